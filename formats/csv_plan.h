/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_plan.h - what each column of a CSV file is for.
 *
 * Owner: whoever makes a plan frees it. It points into the options, which outlive it.
 * Threads: read-only once made.
 */
#ifndef FORMATS_CSV_PLAN_H
#define FORMATS_CSV_PLAN_H

#include "formats/csv.h"

enum csv_kind { CSV_SKIP, CSV_NUMBER, CSV_CATEGORY, CSV_HASH, CSV_TEXT };
enum csv_target { CSV_NOWHERE, CSV_FEATURE, CSV_LABEL, CSV_WEIGHT, CSV_TEXTS };

/* One value of a category. */
struct csv_word {
    const char *text; /* not terminated; NULL: the place is free */
    uint32_t len;
    uint32_t value;
};

/* Values of a category by their FNV-1a hash, with open addressing. */
struct csv_dictionary {
    struct csv_word *words;
    uint32_t mask; /* places - 1 */
    uint32_t count;
    bool other; /* what is not in it is number `count` */
};

struct csv_column {
    enum csv_kind kind;
    enum csv_target target;
    uint32_t place; /* among the features, labels or texts */
    struct csv_dictionary *dictionary;
};

struct csv_plan {
    struct csv_dialect dialect;
    uint32_t column_count;
    struct csv_column *columns;
    uint32_t feature_dim;
    uint32_t label_dim;
    uint32_t text_dim;
    uint32_t hash_buckets;
    bool weighted;
    bool plain; /* all columns are numbers: the labels, then the features */
    bool blank_is_good;
    float blank; /* the number that a blank field stands for */
    /* Columns of a kind, in the order of the file; those with text in the order of places. */
    uint32_t *numbers;
    uint32_t number_count;
    uint32_t *words; /* categories and hashes */
    uint32_t word_count;
    uint32_t *texts;
};

/* The plan of records with so many columns; offset is where the record lies, for *error.
 * FMT_E_FORMAT if options and columns do not fit. */
enum fmt_rc fmt_csv_plan_new(const struct fmt_csv_options *own, uint32_t column_count,
                             size_t offset, struct csv_plan **plan, struct fmt_error *error);
void fmt_csv_plan_free(struct csv_plan *plan);

/* The number that a category or hash column has for a text; false if it is unknown. */
bool fmt_csv_word_value(const struct csv_plan *plan, const struct csv_column *column,
                        const uint8_t *text, size_t len, float *value);

#endif
