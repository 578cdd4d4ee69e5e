/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_options.c - see record_options.h. */
#include "formats/record_options.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct fmt_record_options DEFAULTS = {
    .query = {.wanted = {{.is_label = false}, {.is_label = true}}, .count = 2},
    .feature_count = 1,
};

const struct fmt_record_options *fmt_record_options(const struct fmt_options *options)
{
    return options != NULL && options->own != NULL ? options->own : &DEFAULTS;
}

void fmt_record_options_init(void *own)
{
    *(struct fmt_record_options *)own = DEFAULTS;
}

void fmt_record_options_clear(void *own)
{
    struct fmt_record_options *options = own;
    free(options->features);
    free(options->label);
    free(options->weight);
    free(options->text);
}

static enum fmt_rc set_name(char **out, const char *name, const char *value,
                            struct fmt_error *error)
{
    if (*value == '\0')
        return fmt_refuse(error, "content type: %s is empty", name);
    char *copy = strdup(value);
    if (copy == NULL) {
        (void)fmt_refuse(error, "out of memory");
        return FMT_E_MEMORY;
    }
    free(*out);
    *out = copy;
    return FMT_OK;
}

enum fmt_rc fmt_record_set_option(void *own, const char *name, const char *value,
                                  struct fmt_error *error)
{
    static const char *const TYPES[] = {"float32", "float64", "int32", "uint8", NULL};
    static const char *const TRUTHS[] = {"false", "true", NULL};
    static const char *const LAYOUTS[] = {"auto", "dense", "sparse", NULL};
    struct fmt_record_options *options = own;
    uint32_t word = 0;
    enum fmt_rc rc;
    if (strcasecmp(name, "features") == 0)
        return set_name(&options->features, name, value, error);
    if (strcasecmp(name, "label") == 0)
        return set_name(&options->label, name, value, error);
    if (strcasecmp(name, "weight") == 0)
        return set_name(&options->weight, name, value, error);
    if (strcasecmp(name, "text") == 0)
        return set_name(&options->text, name, value, error);
    if (strcasecmp(name, "type") == 0) {
        rc = fmt_option_word(name, value, TYPES, &word, error);
        options->type = (enum fmt_feature_type)word;
        return rc;
    }
    if (strcasecmp(name, "multipart") == 0) {
        rc = fmt_option_word(name, value, fmt_multipart_words, &word, error);
        options->multipart = (enum fmt_multipart)word;
        return rc;
    }
    if (strcasecmp(name, "layout") == 0) {
        rc = fmt_option_word(name, value, LAYOUTS, &word, error);
        options->layout = (enum fmt_record_layout)word;
        return rc;
    }
    if (strcasecmp(name, "framed") == 0) {
        rc = fmt_option_word(name, value, TRUTHS, &word, error);
        options->framed = word == 1;
        return rc;
    }
    return FMT_E_ARGUMENT;
}

static bool is_wanted(const struct fmt_record_query *query, const struct fmt_record_wanted *other)
{
    for (uint32_t i = 0; i < query->count; i++) {
        const struct fmt_record_wanted *wanted = &query->wanted[i];
        if (wanted->name != NULL && wanted->is_label == other->is_label &&
            wanted->name_bytes == other->name_bytes &&
            memcmp(wanted->name, other->name, other->name_bytes) == 0)
            return true;
    }
    return false;
}

/* Wants each of the names that commas part. They are cut apart in place: a name ends with a NUL. */
static enum fmt_rc want_names(struct fmt_record_query *query, char *names, bool is_label,
                              const char *parameter, uint32_t count_max, uint32_t *count,
                              struct fmt_error *error)
{
    *count = 0;
    for (char *name = names; name != NULL;) {
        char *comma = strchr(name, ',');
        if (comma != NULL)
            *comma = '\0';
        struct fmt_record_wanted wanted = {name, strlen(name), is_label};
        if (wanted.name_bytes == 0)
            return fmt_refuse(error, "content type: %s has an empty name", parameter);
        if (*count == count_max)
            return fmt_refuse(error, "content type: %s has more than %u names", parameter,
                              count_max);
        if (is_wanted(query, &wanted))
            return fmt_refuse(error, "content type: \"%.80s\" is named twice, again in %s", name,
                              parameter);
        query->wanted[query->count++] = wanted;
        ++*count;
        name = comma != NULL ? comma + 1 : NULL;
    }
    return FMT_OK;
}

static enum fmt_rc want_one(struct fmt_record_query *query, const char *name, const char *parameter,
                            struct fmt_error *error)
{
    struct fmt_record_wanted wanted = {name, strlen(name), true};
    if (is_wanted(query, &wanted))
        return fmt_refuse(error, "content type: label and %s are both \"%.80s\"", parameter, name);
    query->wanted[query->count++] = wanted;
    return FMT_OK;
}

enum fmt_rc fmt_record_check_options(void *own, struct fmt_error *error)
{
    struct fmt_record_options *options = own;
    struct fmt_record_query *query = &options->query;
    enum fmt_rc rc = FMT_OK;
    query->count = 0;
    options->feature_count = 1;
    if (options->features == NULL)
        query->wanted[query->count++] = (struct fmt_record_wanted){.is_label = false};
    else
        rc = want_names(query, options->features, false, "features", FMT_RECORD_FEATURES_MAX,
                        &options->feature_count, error);
    if (rc == FMT_OK && options->label == NULL)
        query->wanted[query->count++] = (struct fmt_record_wanted){.is_label = true};
    else if (rc == FMT_OK)
        rc = want_one(query, options->label, "label", error);
    if (rc == FMT_OK && options->weight != NULL)
        rc = want_one(query, options->weight, "weight", error);
    if (rc == FMT_OK)
        rc = want_names(query, options->text, false, "text", FMT_RECORD_TEXTS_MAX,
                        &options->text_count, error);
    if (rc != FMT_OK)
        return rc;
    if (options->layout == FMT_LAYOUT_SPARSE && options->type != FMT_F32)
        return fmt_refuse(error, "content type: type is for dense features: entries of "
                                 "layout=sparse are float32");
    if (options->framed &&
        (options->layout != FMT_LAYOUT_AUTO || options->type != FMT_F32 || options->text != NULL ||
         options->weight != NULL || options->feature_count > 1))
        return fmt_refuse(error, "content type: framed=true leaves records as they are: it goes "
                                 "with one feature and one label, not with type, layout, weight "
                                 "or text");
    return FMT_OK;
}
