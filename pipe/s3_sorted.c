/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_sorted.c - see s3_sorted.h. */
#include "pipe/s3_sorted.h"

#include "pipe/error.h"

#include <stdlib.h>
#include <string.h>

struct ps_s3_sorted {
    struct ps_s3_object *objects; /* all pages', in the order they came */
    size_t count, room;
    char **texts; /* of the pages: where their keys are */
    size_t text_count, text_room;
};

int ps_s3_sorted_open(struct ps_s3_sorted **out, struct penstock_error *error)
{
    *out = calloc(1, sizeof **out);
    return *out ? PENSTOCK_OK : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory while listing");
}

/* The same things with room for `count` of `size` bytes; NULL without memory. */
static void *grow(void *things, size_t *room, size_t count, size_t size)
{
    if (count <= *room)
        return things;
    size_t more = *room * 2 > count ? *room * 2 : count;
    void *larger = realloc(things, more * size);

    if (larger)
        *room = more;
    return larger;
}

int ps_s3_sorted_add(struct ps_s3_sorted *sorted, struct ps_s3_page *page,
                     struct penstock_error *error)
{
    size_t count = sorted->count + page->count;
    void *objects = grow(sorted->objects, &sorted->room, count + 1, sizeof *sorted->objects);
    void *texts =
        grow(sorted->texts, &sorted->text_room, sorted->text_count + 1, sizeof *sorted->texts);

    if (objects)
        sorted->objects = objects;
    if (texts)
        sorted->texts = texts;
    if (!objects || !texts)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory while listing");
    if (page->count)
        memcpy(sorted->objects + sorted->count, page->objects, page->count * sizeof *page->objects);
    sorted->count = count;
    sorted->texts[sorted->text_count++] = page->text;
    page->text = NULL;
    ps_s3_page_free(page);
    return PENSTOCK_OK;
}

static int compare(const void *a, const void *b)
{
    const struct ps_s3_object *left = a, *right = b;

    return strcmp(left->key, right->key);
}

int ps_s3_sorted_take(struct ps_s3_sorted *sorted, const char *prefix, struct ps_s3_page *page,
                      struct penstock_error *error)
{
    size_t prefix_len = strlen(prefix);

    ps_s3_page_free(page);
    if (sorted->count == 0)
        return PENSTOCK_OK;
    page->objects = malloc(sorted->count * sizeof *page->objects);
    if (!page->objects)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory while listing");
    qsort(sorted->objects, sorted->count, sizeof *sorted->objects, compare);
    for (size_t i = 0; i < sorted->count; i++) {
        const struct ps_s3_object *object = &sorted->objects[i];

        if (strncmp(object->key, prefix, prefix_len) == 0 &&
            (page->count == 0 || strcmp(page->objects[page->count - 1].key, object->key) != 0))
            page->objects[page->count++] = *object;
    }
    return PENSTOCK_OK;
}

void ps_s3_sorted_close(struct ps_s3_sorted *sorted)
{
    if (!sorted)
        return;
    for (size_t i = 0; i < sorted->text_count; i++)
        free(sorted->texts[i]);
    free(sorted->texts);
    free(sorted->objects);
    free(sorted);
}
