/* SPDX-License-Identifier: Apache-2.0 */
/* formats/lst.c - mxnet's list files: labels by path, in a hash table with open addressing. */
#include "formats/lst.h"

#include <stdlib.h>
#include <string.h>

#include "formats/number.h"

struct entry {
    size_t path;        /* where in paths[]; the path ends with a NUL */
    size_t first_label; /* where in labels[] */
    uint32_t label_count;
    uint32_t line; /* from 1; 0: the place is free */
};

struct fmt_lst {
    struct entry *table;
    size_t mask; /* places in the table, a power of two, minus 1 */
    float *labels;
    char *paths;
    uint32_t width;
};

/* What is being built, and how much of it there is. */
struct builder {
    struct fmt_lst *lst;
    size_t path_bytes;
    size_t label_count;
};

static uint64_t hash(const char *text, size_t len)
{
    uint64_t sum = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ (uint8_t)text[i]) * 1099511628211u;
    return sum ^ sum >> 29;
}

/* The place of a path: taken by it, or free. */
static struct entry *place_of(const struct fmt_lst *lst, const char *path)
{
    size_t i = hash(path, strlen(path)) & lst->mask;
    while (lst->table[i].line != 0 && strcmp(lst->paths + lst->table[i].path, path) != 0)
        i = (i + 1) & lst->mask;
    return &lst->table[i];
}

/* Cuts a field off the front of the line [*p, end); false when it is the last one. */
static bool cut_field(const uint8_t **p, const uint8_t *end, const uint8_t **field, size_t *len)
{
    const uint8_t *tab = memchr(*p, '\t', (size_t)(end - *p));
    *field = *p;
    *len = (size_t)((tab != NULL ? tab : end) - *p);
    *p = tab != NULL ? tab + 1 : end;
    return tab != NULL;
}

/* Reads the line [p, end), without its end. */
static enum fmt_rc take_line(struct builder *b, const uint8_t *p, const uint8_t *end, uint32_t line,
                             struct fmt_error *error)
{
    struct fmt_lst *lst = b->lst;
    const uint8_t *field;
    size_t len;
    struct entry entry = {.path = b->path_bytes, .first_label = b->label_count, .line = line};
    if (!cut_field(&p, end, &field, &len))
        return fmt_fail(error, 0, 0,
                        "line %u of the list has no TAB: it must be "
                        "INDEX TAB LABEL [TAB LABEL ...] TAB PATH",
                        line);
    while (cut_field(&p, end, &field, &len)) {
        float *label = &lst->labels[b->label_count + entry.label_count++];
        if (len == 0 || fmt_number_scan(field, field + len, label) != field + len)
            return fmt_fail(error, 0, 0, "line %u of the list: label %u is '%.*s', not a number",
                            line, entry.label_count, (int)(len < 60 ? len : 60),
                            (const char *)field);
    }
    if (len == 0 || memchr(field, 0, len) != NULL)
        return fmt_fail(error, 0, 0, "line %u of the list has no path", line);
    if (entry.label_count == 0)
        return fmt_fail(error, 0, 0,
                        "line %u of the list has no label: it must be "
                        "INDEX TAB LABEL [TAB LABEL ...] TAB PATH",
                        line);
    memcpy(lst->paths + b->path_bytes, field, len);
    lst->paths[b->path_bytes + len] = '\0';
    struct entry *place = place_of(lst, lst->paths + b->path_bytes);
    if (place->line != 0)
        return FMT_OK;
    if (b->path_bytes == 0)
        lst->width = entry.label_count;
    *place = entry;
    b->path_bytes += len + 1;
    b->label_count += entry.label_count;
    return FMT_OK;
}

/* Room for whatever a file of that many lines and TABs can hold. */
static struct fmt_lst *allocate(size_t len, size_t lines, size_t tabs)
{
    struct fmt_lst *lst = calloc(1, sizeof(*lst));
    size_t places = 16;
    while (places < 2 * lines)
        places *= 2;
    if (lst == NULL)
        return NULL;
    lst->mask = places - 1;
    lst->table = calloc(places, sizeof(*lst->table));
    lst->labels = malloc((tabs + 1) * sizeof(*lst->labels));
    lst->paths = malloc(len + lines + 1);
    if (lst->table != NULL && lst->labels != NULL && lst->paths != NULL)
        return lst;
    fmt_lst_free(lst);
    return NULL;
}

static size_t count_bytes(const uint8_t *in, size_t len, uint8_t byte)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += in[i] == byte;
    return count;
}

enum fmt_rc fmt_lst_new(const uint8_t *in, size_t len, struct fmt_lst **lst,
                        struct fmt_error *error)
{
    const uint8_t *end = in + len;
    uint32_t line = 1;
    struct builder b = {
        .lst = allocate(len, count_bytes(in, len, '\n') + 1, count_bytes(in, len, '\t'))};
    *lst = NULL;
    if (b.lst == NULL)
        return FMT_E_MEMORY;
    for (const uint8_t *p = in; p < end; line++) {
        const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));
        const uint8_t *line_end = newline != NULL ? newline : end;
        if (line_end > p && line_end[-1] == '\r')
            line_end--;
        enum fmt_rc rc = line_end == p ? FMT_OK : take_line(&b, p, line_end, line, error);
        if (rc != FMT_OK) {
            if (error != NULL)
                error->offset_bytes = (size_t)(p - in);
            fmt_lst_free(b.lst);
            return rc;
        }
        p = newline != NULL ? newline + 1 : end;
    }
    *lst = b.lst;
    return FMT_OK;
}

void fmt_lst_free(struct fmt_lst *lst)
{
    if (lst == NULL)
        return;
    free(lst->table);
    free(lst->labels);
    free(lst->paths);
    free(lst);
}

const float *fmt_lst_find(const struct fmt_lst *lst, const char *key, uint32_t *count)
{
    while (key != NULL) {
        const struct entry *entry = place_of(lst, key);
        if (entry->line != 0) {
            *count = entry->label_count;
            return lst->labels + entry->first_label;
        }
        key = strchr(key, '/');
        key = key != NULL ? key + 1 : NULL;
    }
    return NULL;
}

uint32_t fmt_lst_width(const struct fmt_lst *lst)
{
    return lst->width;
}
