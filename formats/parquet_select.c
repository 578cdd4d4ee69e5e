/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_select.c - see parquet_select.h. */
#include "formats/parquet_select.h"

#include "formats/parquet_column.h"

#include <stdio.h>
#include <string.h>

/* In a row's order. */
enum role { ROLE_FEATURE, ROLE_LABEL, ROLE_WEIGHT, ROLE_TEXT, ROLES };

struct choice {
    const struct fmt_pq_file *file;
    const struct fmt_parquet_options *options;
    bool *chosen; /* of each leaf */
    struct {
        uint32_t *leaves;
        uint32_t count;
    } roles[ROLES];
    struct fmt_error *error;
};

static enum fmt_rc fail(const struct choice *choice, const struct fmt_pq_leaf *leaf,
                        const char *cause)
{
    return fmt_pq_fail_column(choice->error, leaf, choice->file->footer_at, cause);
}

static enum fmt_rc choose(struct choice *choice, uint32_t leaf_no, enum role role)
{
    const struct fmt_pq_leaf *leaf = &choice->file->leaves[leaf_no];
    char cause[160];

    if (leaf->refusal) {
        snprintf(cause, sizeof cause, "%s%s", leaf->refusal,
                 choice->options->columns ? "" : ": choose others with the parameter columns");
        return fail(choice, leaf, cause);
    }
    if (choice->chosen[leaf_no])
        return fail(choice, leaf,
                    "it is chosen twice (label_size=0 if the first column is no label)");
    if (role != ROLE_TEXT && leaf->kind == FMT_PQ_TEXT) {
        snprintf(cause, sizeof cause,
                 "it is %s, not a number: choose it with the parameter text, or not at all",
                 fmt_pq_type_name(leaf->type));
        return fail(choice, leaf, cause);
    }
    if (role == ROLE_TEXT && leaf->kind != FMT_PQ_TEXT) {
        snprintf(cause, sizeof cause, "it is %s, not text", fmt_pq_type_name(leaf->type));
        return fail(choice, leaf, cause);
    }
    choice->chosen[leaf_no] = true;
    choice->roles[role].leaves[choice->roles[role].count++] = leaf_no;
    return FMT_OK;
}

/* The leaf of that name; leaf_count: none. */
static uint32_t find_leaf(const struct fmt_pq_file *file, const char *name, size_t len_bytes)
{
    uint32_t leaf_no = 0;

    for (; leaf_no < file->leaf_count; leaf_no++) {
        const struct fmt_thrift_bytes *found = &file->leaves[leaf_no].name;

        if (found->len_bytes == len_bytes && memcmp(found->bytes, name, len_bytes) == 0)
            break;
    }
    return leaf_no;
}

static enum fmt_rc choose_named(struct choice *choice, const char *names, enum role role)
{
    enum fmt_rc rc = FMT_OK;

    for (const char *at = names; names && *at && rc == FMT_OK;) {
        size_t len_bytes = strcspn(at, ",");
        uint32_t leaf_no = find_leaf(choice->file, at, len_bytes);

        if (leaf_no == choice->file->leaf_count)
            return fmt_fail(choice->error, choice->file->footer_at, 0,
                            "it has no column '%.*s', of %u that it has",
                            len_bytes < 80 ? (int)len_bytes : 80, at, choice->file->leaf_count);
        rc = choose(choice, leaf_no, role);
        at += len_bytes + (at[len_bytes] == ',');
    }
    return rc;
}

/* Those that are nothing yet: numbers, or texts. */
static enum fmt_rc choose_rest(struct choice *choice, enum role role)
{
    enum fmt_rc rc = FMT_OK;

    for (uint32_t i = 0; i < choice->file->leaf_count && rc == FMT_OK; i++) {
        const struct fmt_pq_leaf *leaf = &choice->file->leaves[i];
        bool text = !leaf->refusal && leaf->kind == FMT_PQ_TEXT;

        /* texts that are not named are texts all the same, unless others are */
        if (text && role == ROLE_FEATURE && !choice->options->text)
            continue;
        if (!choice->chosen[i] && (text || role == ROLE_FEATURE))
            rc = choose(choice, i, role);
    }
    return rc;
}

static enum fmt_rc choose_labels(struct choice *choice)
{
    const struct fmt_parquet_options *options = choice->options;
    enum fmt_rc rc = FMT_OK;

    if (options->label)
        return choose_named(choice, options->label, ROLE_LABEL);
    if (options->label_size > choice->file->leaf_count)
        return fmt_fail(choice->error, choice->file->footer_at, 0,
                        "it has %u columns, less than label_size=%u", choice->file->leaf_count,
                        options->label_size);
    for (uint32_t i = 0; i < options->label_size && rc == FMT_OK; i++)
        rc = choose(choice, i, ROLE_LABEL);
    return rc;
}

/* The more it says the earlier: what is left goes to the features, and then to the texts. */
static enum fmt_rc choose_all(struct choice *choice)
{
    const struct fmt_parquet_options *options = choice->options;
    enum fmt_rc rc = choose_named(choice, options->text, ROLE_TEXT);

    if (rc == FMT_OK)
        rc = choose_labels(choice);
    if (rc == FMT_OK)
        rc = choose_named(choice, options->weight, ROLE_WEIGHT);
    if (rc == FMT_OK)
        rc = options->columns ? choose_named(choice, options->columns, ROLE_FEATURE)
                              : choose_rest(choice, ROLE_FEATURE);
    if (rc == FMT_OK && !options->columns && !options->text)
        rc = choose_rest(choice, ROLE_TEXT);
    return rc;
}

enum fmt_rc fmt_pq_select(const struct fmt_pq_file *file, const struct fmt_parquet_options *options,
                          struct fmt_pq_selection *selection, struct fmt_pq_arena *arena,
                          struct fmt_error *error)
{
    uint32_t leaf_count = file->leaf_count;
    struct choice choice = {.file = file,
                            .options = options,
                            .chosen = fmt_pq_take(arena, leaf_count, sizeof *choice.chosen),
                            .error = error};

    *selection = (struct fmt_pq_selection){
        .leaves = fmt_pq_take(arena, leaf_count, sizeof *selection->leaves)};
    if (!choice.chosen || !selection->leaves)
        return FMT_E_MEMORY;
    for (int i = 0; i < ROLES; i++) {
        choice.roles[i].leaves = fmt_pq_take(arena, leaf_count, sizeof *choice.roles[i].leaves);
        if (!choice.roles[i].leaves)
            return FMT_E_MEMORY;
    }
    memset(choice.chosen, 0, leaf_count * sizeof *choice.chosen);
    enum fmt_rc rc = choose_all(&choice);

    if (rc != FMT_OK)
        return rc;
    if (choice.roles[ROLE_FEATURE].count == 0)
        return fmt_fail(error, file->footer_at, 0, "it has no column left for the features");
    for (int i = 0; i < ROLES; i++)
        for (uint32_t k = 0; k < choice.roles[i].count; k++)
            selection->leaves[selection->count++] = choice.roles[i].leaves[k];
    selection->shape = (struct fmt_shape){.feature_dim = choice.roles[ROLE_FEATURE].count,
                                          .label_dim = choice.roles[ROLE_LABEL].count,
                                          .weighted = choice.roles[ROLE_WEIGHT].count > 0,
                                          .text_dim = choice.roles[ROLE_TEXT].count,
                                          .type = FMT_F32};
    return FMT_OK;
}
