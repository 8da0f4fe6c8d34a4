#define _GNU_SOURCE
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Keeps the compiler from leaving out allocations whose result is not used. */
static void *volatile sink;

void fixture_leak(size_t blocks, size_t bytes) {
    for (size_t i = 0; i < blocks; i++) {
        void *block = NULL;
        sink = malloc(bytes);
        sink = calloc(1, bytes);
        sink = realloc(malloc(1), bytes);
        sink = reallocarray(malloc(1), 1, bytes);
        if (posix_memalign(&block, 64, bytes) == 0) sink = block;
        sink = aligned_alloc(64, (bytes + 63) / 64 * 64);
    }
}

uint32_t fixture_mix(void) {
    uint32_t surprises = 0;

    char *copy = strdup("allocated by the C library");
    copy = realloc(copy, 1000);
    surprises += strcmp(copy, "allocated by the C library") != 0;
    copy = reallocarray(copy, 100, 20);
    surprises += strcmp(copy, "allocated by the C library") != 0;
    free(copy);
    copy = reallocarray(strdup("another one"), 100, 20);
    surprises += strcmp(copy, "another one") != 0;
    free(copy);

    char *path = realpath("/", NULL);
    surprises += path == NULL || strcmp(path, "/") != 0;
    free(path);

    unsigned char *zeroed = calloc(100, 7);
    for (size_t i = 0; i < 700; i++) surprises += zeroed[i] != 0;
    surprises += malloc_usable_size(zeroed) < 700;
    free(zeroed);

    surprises += malloc_usable_size(NULL) != 0;
    free(NULL);

    void *empty = malloc(0);
    surprises += empty == NULL;
    empty = realloc(empty, 50);
    surprises += empty == NULL;
    free(empty);

    size_t volatile half = SIZE_MAX / 2;
    surprises += calloc(half, 3) != NULL;
    empty = reallocarray(NULL, 5, 10);
    surprises += empty == NULL || reallocarray(empty, half, 3) != NULL;
    free(empty);

    void *aligned = NULL;
    surprises += posix_memalign(&aligned, 4096, 10) != 0 || (uintptr_t)aligned % 4096 != 0;
    free(aligned);
    surprises += posix_memalign(&aligned, 3, 10) == 0;
    return surprises;
}
