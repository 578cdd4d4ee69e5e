/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_plan.c - see csv_plan.h: lists of columns become a plan, once their number and the
 * names are known. */
#include "formats/csv_plan.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX ((uint32_t)INT32_MAX)

/* What is being planned, for messages, and where the record lies. */
struct planner {
    const struct fmt_csv_options *own;
    struct csv_plan *plan;
    size_t offset;
    struct fmt_error *error;
};

static bool take_number(const char **text, const char *end, uint32_t *number)
{
    uint64_t sum = 0;
    const char *p = *text;
    for (; p < end && *p >= '0' && *p <= '9' && sum <= COLUMNS_MAX; p++)
        sum = sum * 10 + (uint64_t)(*p - '0');
    if (p == *text || sum > COLUMNS_MAX)
        return false;
    *text = p;
    *number = (uint32_t)sum;
    return true;
}

/* "7" or "7-9", columns from 0. */
static bool is_range(struct csv_item item, uint32_t *from, uint32_t *to)
{
    const char *p = item.text;
    const char *end = item.text + item.len;
    if (!take_number(&p, end, from))
        return false;
    *to = *from;
    if (p < end && *p == '-') {
        p++;
        if (!take_number(&p, end, to))
            return false;
    }
    return p == end;
}

/* The column that `item` names in own->names, or in the header. column_count if there is none. */
static uint32_t find_name(const struct planner *p, struct csv_item item)
{
    const char *list = p->own->names;
    const char *name = p->own->header_names;
    struct csv_item candidate;
    uint32_t column_no = 0;
    for (; fmt_csv_next_item(&list, ',', &candidate); column_no++)
        if (candidate.len == item.len && memcmp(candidate.text, item.text, item.len) == 0)
            return column_no;
    if (p->own->names != NULL || name == NULL)
        return p->plan->column_count;
    for (column_no = 0; column_no < p->own->header_count; column_no++) {
        if (strlen(name) == item.len && memcmp(name, item.text, item.len) == 0)
            return column_no;
        name += strlen(name) + 1;
    }
    return p->plan->column_count;
}

/* The columns that an item stands for. */
static enum fmt_rc resolve(const struct planner *p, const char *what, struct csv_item item,
                           uint32_t *from, uint32_t *to)
{
    uint32_t count = p->plan->column_count;
    int shown = item.len < 80 ? (int)item.len : 80;
    if (!is_range(item, from, to)) {
        *from = find_name(p, item);
        *to = *from;
        if (*from >= count)
            return fmt_fail(
                p->error, p->offset, 0, "%s: no column is named '%.*s'%s", what, shown, item.text,
                p->own->names != NULL || p->own->header_names != NULL ? ""
                                                                      : ": there is no header");
    }
    if (*from > *to || *to >= count)
        return fmt_fail(p->error, p->offset, 0,
                        "%s: there is no column '%.*s': the row has %u, which count from 0", what,
                        shown, item.text, count);
    return FMT_OK;
}

static enum fmt_rc assign(const struct planner *p, const char *what, uint32_t column_no,
                          enum csv_target target, uint32_t place)
{
    struct csv_column *column = &p->plan->columns[column_no];
    if (column->target != CSV_NOWHERE)
        return fmt_fail(p->error, p->offset, 0, "%s: column %u has a use already", what, column_no);
    column->target = target;
    column->kind = target == CSV_TEXTS ? CSV_TEXT : CSV_NUMBER;
    column->place = place;
    return FMT_OK;
}

/* Gives the columns of a list (NULL: none) their places in order; *count are taken. */
static enum fmt_rc assign_list(const struct planner *p, const char *what, const char *list,
                               enum csv_target target, uint32_t *count)
{
    struct csv_item item;
    while (fmt_csv_next_item(&list, ',', &item)) {
        uint32_t from = 0;
        uint32_t to = 0;
        enum fmt_rc rc = resolve(p, what, item, &from, &to);
        for (; rc == FMT_OK && from <= to; from++)
            rc = assign(p, what, from, target, (*count)++);
        if (rc != FMT_OK)
            return rc;
    }
    return FMT_OK;
}

static uint64_t hash_text(const void *text, size_t len)
{
    const uint8_t *bytes = text;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* Where a text is in the dictionary, or where it would go. */
static struct csv_word *find_word(const struct csv_dictionary *dictionary, const void *text,
                                  size_t len)
{
    uint64_t at = hash_text(text, len);
    for (;; at++) {
        struct csv_word *word = &dictionary->words[at & dictionary->mask];
        if (word->text == NULL || (word->len == len && memcmp(word->text, text, len) == 0))
            return word;
    }
}

static struct csv_dictionary *dictionary_new(const char *values, bool other)
{
    struct csv_dictionary *dictionary = calloc(1, sizeof(*dictionary));
    uint32_t places = 4;
    for (const char *c = values; *c != '\0'; c++)
        places += *c == '|' ? 2 : 0;
    while ((places & (places - 1)) != 0)
        places += places & -places;
    if (dictionary == NULL)
        return NULL;
    dictionary->words = calloc(places, sizeof(dictionary->words[0]));
    dictionary->mask = places - 1;
    dictionary->other = other;
    if (dictionary->words == NULL) {
        free(dictionary);
        return NULL;
    }
    return dictionary;
}

/* One "cat.COLUMN=a|b|c". */
static enum fmt_rc assign_category(const struct planner *p, const struct csv_category *category)
{
    uint32_t from = 0;
    uint32_t to = 0;
    const char *values = category->values;
    const char *name = category->column;
    struct csv_item item;
    (void)fmt_csv_next_item(&name, '\0', &item);
    enum fmt_rc rc = resolve(p, "cat", item, &from, &to);
    if (rc != FMT_OK)
        return rc;
    for (; from <= to; from++) {
        struct csv_column *column = &p->plan->columns[from];
        if (column->kind != CSV_NUMBER)
            return fmt_fail(p->error, p->offset, 0,
                            "cat.%.80s: column %u is no feature, label or weight", category->column,
                            from);
        column->kind = CSV_CATEGORY;
        column->dictionary = dictionary_new(values, p->own->other_unknown);
        if (column->dictionary == NULL)
            return FMT_E_MEMORY;
        for (const char *list = values; fmt_csv_next_item(&list, '|', &item);) {
            struct csv_word *word = find_word(column->dictionary, item.text, item.len);
            if (word->text != NULL)
                return fmt_fail(p->error, p->offset, 0, "cat.%.80s has '%.*s' twice",
                                category->column, (int)(item.len < 80 ? item.len : 80), item.text);
            *word = (struct csv_word){item.text, (uint32_t)item.len, column->dictionary->count++};
        }
    }
    return FMT_OK;
}

static enum fmt_rc assign_hashes(const struct planner *p)
{
    const char *list = p->own->hashed;
    struct csv_item item;
    while (fmt_csv_next_item(&list, ',', &item)) {
        uint32_t from = 0;
        uint32_t to = 0;
        enum fmt_rc rc = resolve(p, "hash_columns", item, &from, &to);
        if (rc != FMT_OK)
            return rc;
        for (; from <= to; from++) {
            if (p->plan->columns[from].kind != CSV_NUMBER)
                return fmt_fail(p->error, p->offset, 0,
                                "hash_columns: column %u is no feature or label, or a category",
                                from);
            p->plan->columns[from].kind = CSV_HASH;
        }
    }
    return FMT_OK;
}

bool fmt_csv_word_value(const struct csv_plan *plan, const struct csv_column *column,
                        const uint8_t *text, size_t len, float *value)
{
    if (column->kind == CSV_HASH) {
        *value = (float)(hash_text(text, len) % plan->hash_buckets);
        return true;
    }
    const struct csv_word *word = find_word(column->dictionary, text, len);
    *value = (float)(word->text != NULL ? word->value : column->dictionary->count);
    return word->text != NULL || column->dictionary->other;
}

/* Every column's target; features are what is left unless they are listed. */
static enum fmt_rc assign_all(const struct planner *p)
{
    const struct fmt_csv_options *own = p->own;
    struct csv_plan *plan = p->plan;
    uint32_t weights = 0;
    enum fmt_rc rc = FMT_OK;
    for (uint32_t i = 0; i < own->label_size && rc == FMT_OK; i++)
        rc = assign(p, "label_size", i, CSV_LABEL, plan->label_dim++);
    if (rc == FMT_OK)
        rc = assign_list(p, "label_columns", own->labels, CSV_LABEL, &plan->label_dim);
    if (rc == FMT_OK && own->weight_follows)
        rc = assign(p, "csv_weights", own->label_size, CSV_WEIGHT, weights++);
    if (rc == FMT_OK)
        rc = assign_list(p, "weight_column", own->weight, CSV_WEIGHT, &weights);
    if (rc == FMT_OK)
        rc = assign_list(p, "text_columns", own->texts, CSV_TEXTS, &plan->text_dim);
    if (rc == FMT_OK)
        rc = assign_list(p, "columns", own->columns, CSV_FEATURE, &plan->feature_dim);
    for (uint32_t i = 0; i < plan->column_count && rc == FMT_OK && own->columns == NULL; i++)
        if (plan->columns[i].target == CSV_NOWHERE)
            rc = assign(p, "columns", i, CSV_FEATURE, plan->feature_dim++);
    for (size_t i = 0; i < own->category_count && rc == FMT_OK; i++)
        rc = assign_category(p, &own->categories[i]);
    if (rc == FMT_OK)
        rc = assign_hashes(p);
    plan->weighted = weights > 0;
    if (rc == FMT_OK && weights > 1)
        rc = fmt_fail(p->error, p->offset, 0, "weight_column: a row has one weight, not %u",
                      weights);
    return rc;
}

/* Lists the columns of each kind. */
static bool sort_out(struct csv_plan *plan)
{
    uint32_t count = plan->column_count;
    plan->numbers = calloc((size_t)count + 1, sizeof(uint32_t));
    plan->words = calloc((size_t)count + 1, sizeof(uint32_t));
    plan->texts = calloc((size_t)plan->text_dim + 1, sizeof(uint32_t));
    if (plan->numbers == NULL || plan->words == NULL || plan->texts == NULL)
        return false;
    plan->plain = plan->label_dim + plan->feature_dim == count;
    for (uint32_t i = 0; i < count; i++) {
        const struct csv_column *column = &plan->columns[i];
        bool in_order = column->target == CSV_LABEL
                            ? column->place == i
                            : column->target == CSV_FEATURE && column->place + plan->label_dim == i;
        plan->plain &= column->kind == CSV_NUMBER && in_order;
        if (column->kind == CSV_NUMBER)
            plan->numbers[plan->number_count++] = i;
        else if (column->kind == CSV_TEXT)
            plan->texts[column->place] = i;
        else if (column->kind != CSV_SKIP)
            plan->words[plan->word_count++] = i;
    }
    return true;
}

static enum fmt_rc check_counts(const struct fmt_csv_options *own, size_t count, size_t offset,
                                struct fmt_error *error)
{
    uint32_t names = own->names == NULL ? 0 : 1;
    for (const char *c = own->names; c != NULL && *c != '\0'; c++)
        names += *c == ',';
    if (own->labels == NULL && own->columns == NULL &&
        (own->label_size > count || count - own->label_size <= own->weight_follows))
        return fmt_fail(error, offset, 0, "label_size=%u leaves no feature: the row has %zu %s",
                        own->label_size, count, count == 1 ? "column" : "columns");
    if ((size_t)own->label_size + own->weight_follows > count)
        return fmt_fail(error, offset, 0, "label_size=%u: the row has %zu columns", own->label_size,
                        count);
    if (own->names != NULL && names != count)
        return fmt_fail(error, offset, 0, "names has %u names, the row has %zu fields", names,
                        count);
    if (own->names == NULL && own->header_names != NULL && own->header_count != count)
        return fmt_fail(error, offset, 0, "the header has %zu fields, the row has %zu",
                        own->header_count, count);
    return FMT_OK;
}

enum fmt_rc fmt_csv_plan_new(const struct fmt_csv_options *own, uint32_t column_count,
                             size_t offset, struct csv_plan **out, struct fmt_error *error)
{
    struct csv_plan *plan = NULL;
    enum fmt_rc rc = check_counts(own, column_count, offset, error);
    *out = NULL;
    if (rc != FMT_OK)
        return rc;
    plan = calloc(1, sizeof(*plan));
    if (plan == NULL)
        return FMT_E_MEMORY;
    *plan = (struct csv_plan){
        .dialect = fmt_csv_dialect(own),
        .column_count = column_count,
        .columns = calloc(column_count, sizeof(plan->columns[0])),
        .hash_buckets = own->hash_buckets,
        .blank_is_good = own->blanks != CSV_BLANKS_ERROR,
        .blank = own->blanks == CSV_BLANKS_ZERO ? 0.0f : __builtin_nanf(""),
    };
    struct planner planner = {.own = own, .plan = plan, .offset = offset, .error = error};
    rc = plan->columns == NULL ? FMT_E_MEMORY : assign_all(&planner);
    if (rc == FMT_OK && !sort_out(plan))
        rc = FMT_E_MEMORY;
    if (rc == FMT_OK && plan->feature_dim + plan->text_dim == 0)
        rc = fmt_fail(error, offset, 0, "no column is left to be a feature");
    if (rc != FMT_OK) {
        fmt_csv_plan_free(plan);
        return rc;
    }
    *out = plan;
    return FMT_OK;
}

void fmt_csv_plan_free(struct csv_plan *plan)
{
    if (plan == NULL)
        return;
    for (uint32_t i = 0; plan->columns != NULL && i < plan->column_count; i++) {
        if (plan->columns[i].dictionary != NULL)
            free(plan->columns[i].dictionary->words);
        free(plan->columns[i].dictionary);
    }
    free(plan->columns);
    free(plan->numbers);
    free(plan->words);
    free(plan->texts);
    free(plan);
}
