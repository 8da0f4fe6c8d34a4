#define _GNU_SOURCE
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The functions that the platforms have under different names. */
#ifdef _WIN32
static void *aligned(size_t align, size_t bytes) { return _aligned_malloc(bytes, align); }
static void free_aligned(void *block) { _aligned_free(block); }
static void *resize_array(void *block, size_t count, size_t bytes) {
    return bytes != 0 && count > SIZE_MAX / bytes ? NULL : realloc(block, count * bytes);
}
static size_t usable_size(void *block) { return _msize(block); }
static char *allocated_by_library(void) { return _fullpath(NULL, "C:\\", 0); }
static const char *const expected_of_library = "C:\\";
#else
static void *aligned(size_t align, size_t bytes) {
    void *block = NULL;
    return posix_memalign(&block, align, bytes) == 0 ? block : NULL;
}
static void free_aligned(void *block) { free(block); }
static void *resize_array(void *block, size_t count, size_t bytes) { return reallocarray(block, count, bytes); }
static size_t usable_size(void *block) { return malloc_usable_size(block); }
static char *allocated_by_library(void) { return realpath("/", NULL); }
static const char *const expected_of_library = "/";
#endif

/* Keeps the compiler from leaving out allocations whose result is not used. */
static void *volatile sink;

void fixture_leak(size_t blocks, size_t bytes) {
    for (size_t i = 0; i < blocks; i++) {
        sink = malloc(bytes);
        sink = calloc(1, bytes);
        sink = realloc(malloc(1), bytes);
        sink = aligned(64, bytes);
        sink = resize_array(malloc(1), 1, bytes);
#ifdef _WIN32
        sink = _aligned_realloc(aligned(64, 1), bytes, 64);
#else
        sink = aligned_alloc(64, (bytes + 63) / 64 * 64);
#endif
    }
}

uint32_t fixture_mix(void) {
    uint32_t surprises = 0;

    char *copy = strdup("allocated by the C library");
    copy = realloc(copy, 1000);
    surprises += strcmp(copy, "allocated by the C library") != 0;
    copy = resize_array(copy, 100, 20);
    surprises += strcmp(copy, "allocated by the C library") != 0;
    free(copy);
    copy = resize_array(strdup("another one"), 100, 20);
    surprises += strcmp(copy, "another one") != 0;
    free(copy);

    char *path = allocated_by_library();
    surprises += path == NULL || strcmp(path, expected_of_library) != 0;
    free(path);

    unsigned char *zeroed = calloc(100, 7);
    for (size_t i = 0; i < 700; i++) surprises += zeroed[i] != 0;
    surprises += usable_size(zeroed) < 700;
    free(zeroed);

#ifndef _WIN32
    surprises += malloc_usable_size(NULL) != 0;
#endif
    free(NULL);

    void *empty = malloc(0);
    surprises += empty == NULL;
    empty = realloc(empty, 50);
    surprises += empty == NULL;
    free(empty);

    size_t volatile half = SIZE_MAX / 2;
    surprises += calloc(half, 3) != NULL;
    empty = resize_array(NULL, 5, 10);
    surprises += empty == NULL || resize_array(empty, half, 3) != NULL;
    free(empty);

    void *page = aligned(4096, 10);
    surprises += page == NULL || (uintptr_t)page % 4096 != 0;
    free_aligned(page);
#ifndef _WIN32
    surprises += posix_memalign(&page, 3, 10) == 0;
#endif
    return surprises;
}
