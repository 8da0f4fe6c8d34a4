#include <stdlib.h>
#include <string.h>

/* Every text that was ever split. */
struct text {
    struct text *next;
    char *copy;
};

static struct text *texts;

/* Keeps a copy of the text, which nobody ever frees, and reports each of its words. Returns their number, or -1 if
   there is no memory. */
int split_words(const char *text, void (*found)(void *context, const char *word), void *context) {
    struct text *kept = malloc(sizeof *kept);
    char *copy = malloc(strlen(text) + 1);
    if (!kept || !copy) {
        free(kept);
        free(copy);
        return -1;
    }
    strcpy(copy, text);
    kept->copy = copy;
    kept->next = texts;
    texts = kept;

    int words = 0;
    char *rest;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        found(context, word);
        words++;
    }
    return words;
}
