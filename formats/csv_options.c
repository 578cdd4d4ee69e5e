/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_options.c - the parameters of text/csv. */
#include "formats/csv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CATEGORY_PREFIX "cat."

void fmt_csv_options_init(void *own)
{
    struct fmt_csv_options *csv = own;
    csv->label_size = 1;
}

void fmt_csv_options_clear(void *own)
{
    struct fmt_csv_options *csv = own;
    char *texts[] = {csv->labels, csv->weight, csv->columns,     csv->texts,
                     csv->hashed, csv->names,  csv->header_names};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    for (size_t i = 0; i < csv->category_count; i++) {
        free(csv->categories[i].column);
        free(csv->categories[i].values);
    }
    free(csv->categories);
}

/* The byte that a name or a character stands for. What numbers, quotes and lines are made of cannot
 * delimit them. */
static enum fmt_rc set_delimiter(const char *value, uint8_t *delimiter, struct fmt_error *error)
{
    static const char *const names[] = {"comma", "tab", "semicolon", "pipe", "space"};
    static const char bytes[] = ",\t;| ";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(value, names[i]) == 0) {
            *delimiter = (uint8_t)bytes[i];
            return FMT_OK;
        }
    }
    bool usable = value[0] == '\t' || (value[0] >= ' ' && value[0] <= '~');
    if (!usable || value[1] != '\0' || strchr("+-.\"", value[0]) != NULL ||
        (value[0] >= '0' && value[0] <= '9') ||
        ((value[0] | 0x20) >= 'a' && (value[0] | 0x20) <= 'z'))
        return fmt_refuse(error,
                          "content type: delimiter must be comma, tab, semicolon, pipe, space or "
                          "another punctuation mark, not '%.80s'",
                          value);
    *delimiter = (uint8_t)value[0];
    return FMT_OK;
}

static enum fmt_rc set_text(const char *value, char **text, struct fmt_error *error)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return fmt_refuse(error, "out of memory");
    free(*text);
    *text = copy;
    return FMT_OK;
}

static enum fmt_rc add_category(struct fmt_csv_options *csv, const char *column, const char *values,
                                struct fmt_error *error)
{
    struct csv_category *more =
        realloc(csv->categories, (csv->category_count + 1) * sizeof(csv->categories[0]));
    if (more == NULL)
        return fmt_refuse(error, "out of memory");
    csv->categories = more;
    struct csv_category *category = &more[csv->category_count++];
    *category = (struct csv_category){.column = NULL};
    enum fmt_rc rc = set_text(column, &category->column, error);
    return rc == FMT_OK ? set_text(values, &category->values, error) : rc;
}

/* Parameters whose value is a list of columns. */
static char **list_named(struct fmt_csv_options *csv, const char *name)
{
    const struct {
        const char *name;
        char **list;
    } lists[] = {
        {"label_columns", &csv->labels}, {"weight_column", &csv->weight},
        {"columns", &csv->columns},      {"text_columns", &csv->texts},
        {"hash_columns", &csv->hashed},  {"names", &csv->names},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (strcasecmp(name, lists[i].name) == 0)
            return lists[i].list;
    return NULL;
}

enum fmt_rc fmt_csv_set_option(void *own, const char *name, const char *value,
                               struct fmt_error *error)
{
    static const char *const on_off[] = {"on", "off", NULL};
    static const char *const headers[] = {"absent", "present", "auto", NULL};
    static const char *const blanks[] = {"nan", "error", "0", NULL};
    static const char *const unknowns[] = {"error", "other", NULL};
    struct fmt_csv_options *csv = own;
    char **list = list_named(csv, name);
    uint32_t word = 0;
    enum fmt_rc rc;
    if (list != NULL)
        return set_text(value, list, error);
    if (strncasecmp(name, CATEGORY_PREFIX, strlen(CATEGORY_PREFIX)) == 0)
        return add_category(csv, name + strlen(CATEGORY_PREFIX), value, error);
    if (strcasecmp(name, "delimiter") == 0)
        return set_delimiter(value, &csv->delimiter, error);
    if (strcasecmp(name, "hash_buckets") == 0)
        return fmt_option_u32(name, value, 1, 1u << 24, &csv->hash_buckets, error);
    if (strcasecmp(name, "label_size") == 0) {
        csv->label_size_set = true;
        return fmt_option_u32(name, value, 0, UINT32_MAX, &csv->label_size, error);
    }
    if (strcasecmp(name, "csv_weights") == 0) {
        rc = fmt_option_u32(name, value, 0, 1, &word, error);
        csv->weight_follows = word == 1;
    } else if (strcasecmp(name, "quotes") == 0) {
        rc = fmt_option_word(name, value, on_off, &word, error);
        csv->no_quotes = word == 1;
    } else if (strcasecmp(name, "header") == 0) {
        rc = fmt_option_word(name, value, headers, &word, error);
        csv->header = (enum csv_header)word;
    } else if (strcasecmp(name, "blanks") == 0) {
        rc = fmt_option_word(name, value, blanks, &word, error);
        csv->blanks = (enum csv_blanks)word;
    } else if (strcasecmp(name, "unknown") == 0) {
        rc = fmt_option_word(name, value, unknowns, &word, error);
        csv->other_unknown = word == 1;
    } else {
        rc = FMT_E_ARGUMENT;
    }
    return rc;
}

bool fmt_csv_next_item(const char **list, char separator, struct csv_item *item)
{
    const char *from = *list;
    if (from == NULL)
        return false;
    const char *to = strchr(from, separator);
    *list = to == NULL || *to == '\0' ? NULL : to + 1;
    if (to == NULL)
        to = from + strlen(from);
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    *item = (struct csv_item){from, (size_t)(to - from)};
    return true;
}

static bool has_names(const char *list)
{
    return list != NULL && list[strspn(list, "0123456789-, \t")] != '\0';
}

bool fmt_csv_is_named(const struct fmt_csv_options *csv)
{
    bool named = has_names(csv->labels) || has_names(csv->weight) || has_names(csv->columns) ||
                 has_names(csv->texts) || has_names(csv->hashed);
    for (size_t i = 0; i < csv->category_count; i++)
        named |= has_names(csv->categories[i].column);
    return named;
}

enum fmt_rc fmt_csv_check_options(void *own, struct fmt_error *error)
{
    struct fmt_csv_options *csv = own;
    bool named = fmt_csv_is_named(csv);
    if (named && csv->names == NULL && csv->header == CSV_HEADER_ABSENT)
        return fmt_refuse(error, "content type: columns are chosen by name: say header=present, or "
                                 "names=NAME,NAME,... for all columns; or count them, from 0");
    if (csv->labels != NULL && csv->label_size_set)
        return fmt_refuse(error, "content type: label_columns and label_size exclude each other");
    if (csv->labels != NULL)
        csv->label_size = 0;
    if (csv->weight != NULL && csv->weight_follows)
        return fmt_refuse(error, "content type: weight_column and csv_weights exclude each other");
    if ((csv->hashed != NULL) != (csv->hash_buckets > 0))
        return fmt_refuse(error, "content type: hash_columns and hash_buckets go together");
    return FMT_OK;
}

struct csv_dialect fmt_csv_dialect(const struct fmt_csv_options *own)
{
    uint8_t delimiter = own->delimiter == 0 ? ',' : own->delimiter;
    return (struct csv_dialect){
        .delimiter = delimiter,
        .blanks = {delimiter == ' ' ? '\t' : ' ', delimiter == '\t' ? ' ' : '\t'},
        .quotes = !own->no_quotes,
    };
}
