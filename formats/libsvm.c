/* SPDX-License-Identifier: Apache-2.0 */
/* formats/libsvm.c - the libsvm decoder: lines of index:value to sparse rows. Regular lines are
 * decoded in bulk, others word by word.
 */
#include "formats/libsvm.h"

#include <stdlib.h>
#include <strings.h>

/* After a row that is not for bulk decoding so many go the plain way, doubled each time. */
#define BULK_PAUSE_MIN_ROWS 8u
#define BULK_PAUSE_MAX_ROWS 1024u

const struct csv_dialect fmt_libsvm_lines = {
    .delimiter = ' ', .blanks = {' ', '\t'}, .comment = '#', .quotes = false};

static enum fmt_rc libsvm_set_option(void *own, const char *name, const char *value,
                                     struct fmt_error *error)
{
    static const char *const bases[] = {"0", "1", "auto", NULL};
    static const char *const has[] = {"auto", "on", "off", NULL};
    struct fmt_libsvm_options *libsvm = own;
    uint32_t word = 0;
    enum fmt_rc rc = FMT_E_ARGUMENT;
    if (strcasecmp(name, "index_base") == 0) {
        rc = fmt_option_word(name, value, bases, &word, error);
        libsvm->index_base = (enum libsvm_base)word;
    } else if (strcasecmp(name, "weights") == 0) {
        rc = fmt_option_word(name, value, has, &word, error);
        libsvm->weights = (enum libsvm_has)word;
    } else if (strcasecmp(name, "qid") == 0) {
        rc = fmt_option_word(name, value, has, &word, error);
        libsvm->groups = (enum libsvm_has)word;
    }
    return rc;
}

static enum fmt_rc libsvm_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                              bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                              struct fmt_error *error)
{
    (void)options;
    return fmt_csv_cut_lines(&fmt_libsvm_lines, in, len, at_start, at_end, rows_max, cut, error);
}

static enum libsvm_has settle(enum libsvm_has wanted, bool first_has)
{
    return wanted != LIBSVM_AUTO ? wanted : first_has ? LIBSVM_ON : LIBSVM_NONE;
}

/* Indices are taken to start at 1 unless the first record has index 0; another record that has it
 * is an error then, so that no column is moved in silence. */
static uint32_t learn_base(enum libsvm_base base, const struct fmt_entries *entries)
{
    if (base != LIBSVM_BASE_AUTO)
        return base == LIBSVM_BASE_1;
    for (size_t i = 0; i < entries->count; i++)
        if (entries->columns[i] == 0)
            return 0;
    return 1;
}

static struct fmt_shape shape_of(const struct fmt_options *options, bool weighted, bool grouped)
{
    const struct fmt_libsvm_options *own = options->own;

    return (struct fmt_shape){
        .feature_dim = options->feature_dim,
        .label_dim = 1,
        .sparse = true,
        .weighted = settle(own->weights, weighted) == LIBSVM_ON,
        .grouped = settle(own->groups, grouped) == LIBSVM_ON,
    };
}

static enum fmt_rc libsvm_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                                struct fmt_shape *shape, struct fmt_error *error)
{
    struct fmt_libsvm_options *own = options->own;
    const struct fmt_decoder anything = {.base = own->index_base == LIBSVM_BASE_1};
    struct fmt_entries entries = {.count = 0};
    struct libsvm_head head;
    const uint8_t *end = in + len;
    const uint8_t *row = fmt_libsvm_skip_lines(in, end);
    const uint8_t *next;
    enum fmt_rc rc = fmt_libsvm_row(&anything, in, end, row, &next, 0, &head, &entries, error);
    if (rc == FMT_OK) {
        own->learnt_base = learn_base(own->index_base, &entries);
        *shape = shape_of(options, head.weighted, head.grouped);
    }
    free(entries.columns);
    free(entries.values);
    return rc;
}

static size_t libsvm_learnt(const struct fmt_options *options, const struct fmt_shape *shape,
                            uint32_t *words)
{
    const struct fmt_libsvm_options *own = options->own;

    words[0] = own->learnt_base;
    words[1] = shape->weighted;
    words[2] = shape->grouped;
    return 3;
}

static enum fmt_rc libsvm_learn_again(const struct fmt_options *options, const uint32_t *words,
                                      size_t count, struct fmt_shape *shape,
                                      struct fmt_error *error)
{
    struct fmt_libsvm_options *own = options->own;

    if (count != 3 || words[0] > 1)
        return fmt_fail(error, 0, 0, "not what libsvm's first record tells");
    own->learnt_base = words[0];
    *shape = shape_of(options, words[1] != 0, words[2] != 0);
    return FMT_OK;
}

static void libsvm_decoder_free(struct fmt_decoder *decoder)
{
    if (decoder != NULL)
        fmt_libsvm_bulk_free(decoder->bulk);
    free(decoder);
}

static struct fmt_decoder *libsvm_decoder_new(const struct fmt_options *options,
                                              const struct fmt_shape *shape)
{
    const struct fmt_libsvm_options *own = options->own;
    struct fmt_decoder *decoder = calloc(1, sizeof(*decoder));
    bool failed;
    if (decoder == NULL)
        return NULL;
    *decoder = (struct fmt_decoder){
        .base = own->learnt_base,
        .feature_dim = shape->feature_dim,
        .weights = settle(own->weights, shape->weighted),
        .groups = settle(own->groups, shape->grouped),
        .bulk = fmt_libsvm_bulk_new(&failed),
    };
    if (!failed)
        return decoder;
    free(decoder);
    return NULL;
}

static enum fmt_rc decode_row(const struct fmt_decoder *decoder, const struct fmt_span *span,
                              const uint8_t **p, uint32_t row_no, struct fmt_rows *out,
                              struct fmt_error *error)
{
    const uint8_t *end = span->in + span->len;
    struct libsvm_head head;
    *p = fmt_libsvm_skip_lines(*p, end);
    if (*p == end)
        return fmt_fail(error, span->len, row_no, "the bytes hold %u records, %u were announced",
                        row_no, span->rows);
    enum fmt_rc rc =
        fmt_libsvm_row(decoder, span->in, end, *p, p, row_no, &head, &out->entries, error);
    if (rc != FMT_OK)
        return rc;
    out->labels[row_no] = head.label;
    if (decoder->weights == LIBSVM_ON)
        out->weights[row_no] = head.weight;
    if (decoder->groups == LIBSVM_ON)
        out->groups[row_no] = head.group;
    out->entry_ends[row_no] = (uint32_t)out->entries.count;
    return FMT_OK;
}

static enum fmt_rc libsvm_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                                 struct fmt_rows *out, struct fmt_error *error)
{
    const uint8_t *p = span->in;
    uint32_t row_no = 0;
    uint32_t pause_rows = BULK_PAUSE_MIN_ROWS;
    /* The next row to try in bulk, which reads bytes in front of a row: not the first. */
    uint64_t bulk_row_no = decoder->bulk != NULL ? 1 : span->rows;
    while (row_no < span->rows) {
        if (row_no >= bulk_row_no) {
            uint32_t n = fmt_libsvm_bulk_rows(decoder, span, &p, row_no, out);
            row_no += n;
            if (n > 0) {
                pause_rows = BULK_PAUSE_MIN_ROWS;
                continue;
            }
            bulk_row_no = row_no + pause_rows;
            if (pause_rows < BULK_PAUSE_MAX_ROWS)
                pause_rows *= 2;
        }
        enum fmt_rc rc = decode_row(decoder, span, &p, row_no, out, error);
        if (rc != FMT_OK)
            return rc;
        row_no++;
    }
    return FMT_OK;
}

const struct fmt_ops fmt_libsvm = {
    .content_type = "text/libsvm",
    .parameters = "index_base, weights, qid",
    .options_bytes = sizeof(struct fmt_libsvm_options),
    .set_option = libsvm_set_option,
    .cut = libsvm_cut,
    .learn = libsvm_learn,
    .learnt = libsvm_learnt,
    .learn_again = libsvm_learn_again,
    .decoder_new = libsvm_decoder_new,
    .decoder_free = libsvm_decoder_free,
    .decode = libsvm_decode,
};
