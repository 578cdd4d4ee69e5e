/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl.c - the JSON Lines decoder: lines to rows. See jsonl.h. */
#include "formats/jsonl.h"

#include <stdlib.h>
#include <string.h>

/* After templates that did not fit so many lines are walked at most before the next is learnt. */
#define PAUSE_MAX_LINES 256u

/* After so many in a row a template is only tried on the line behind the one it is made of. */
#define MISSES_MAX 8u

static const uint8_t *find_line_end(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));

    return newline != NULL ? newline : end;
}

/* A cause that counts bytes from the line's start becomes one of the span. */
static enum fmt_rc fail_line(enum fmt_rc rc, const struct fmt_error *cause, bool grammar,
                             size_t offset, uint32_t row, struct fmt_error *error)
{
    if (rc != FMT_E_FORMAT)
        return rc;
    if (grammar)
        return fmt_fail(error, offset, row, "byte %zu of the line: %s", cause->offset_bytes,
                        cause->text);
    return fmt_fail(error, offset, row, "%s", cause->text);
}

static enum fmt_rc jsonl_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                               struct fmt_shape *shape, struct fmt_error *error)
{
    struct fmt_jsonl_options *o = options->own;
    const uint8_t *end = in + len;
    const uint8_t *line = fmt_jsonl_skip_blank_lines(in, end);
    jsonl_slot *slots = calloc(o->slot_count + 1, sizeof(*slots));
    struct fmt_error cause = {.text = ""};

    if (slots == NULL) {
        (void)fmt_fail(error, 0, 0, "out of memory");
        return FMT_E_MEMORY;
    }
    size_t line_bytes = (size_t)(find_line_end(line, end) - line);
    enum fmt_rc rc = fmt_jsonl_walk(o, line, line_bytes, slots, &cause);
    bool grammar = rc != FMT_OK;

    if (rc == FMT_OK)
        rc = fmt_jsonl_fit(o, slots, options->feature_dim, shape, &cause);
    free(slots);
    return rc == FMT_OK ? rc : fail_line(rc, &cause, grammar, (size_t)(line - in), 0, error);
}

static size_t jsonl_learnt(const struct fmt_options *options, const struct fmt_shape *shape,
                           uint32_t *words)
{
    (void)shape;
    return fmt_jsonl_fitted(options->own, words);
}

static enum fmt_rc jsonl_learn_again(const struct fmt_options *options, const uint32_t *words,
                                     size_t count, struct fmt_shape *shape, struct fmt_error *error)
{
    return fmt_jsonl_fit_again(options->own, words, count, shape, error);
}

static void jsonl_decoder_free(struct fmt_decoder *decoder)
{
    if (decoder == NULL)
        return;
    fmt_jsonl_template_free(decoder->template);
    free(decoder->slots);
    free(decoder->seen);
    free(decoder);
}

static struct fmt_decoder *jsonl_decoder_new(const struct fmt_options *options,
                                             const struct fmt_shape *shape)
{
    const struct fmt_jsonl_options *o = options->own;
    struct fmt_decoder *decoder = calloc(1, sizeof(*decoder));

    if (decoder == NULL)
        return NULL;
    decoder->options = o;
    decoder->shape = *shape;
    decoder->slots = calloc(o->slot_count + 1, sizeof(*decoder->slots));
    decoder->seen = malloc(o->node_count + o->target_count);
    decoder->template = fmt_jsonl_template_new(o);
    if (decoder->slots != NULL && decoder->seen != NULL && decoder->template != NULL)
        return decoder;
    jsonl_decoder_free(decoder);
    return NULL;
}

static struct jsonl_row row_at(const struct fmt_decoder *decoder, struct fmt_rows *rows,
                               uint32_t row_no)
{
    const struct fmt_shape *shape = &decoder->shape;
    struct jsonl_row row = {.entries = &rows->entries, .texts = &rows->texts};

    if (rows->features != NULL)
        row.features = (float *)rows->features + (size_t)row_no * shape->feature_dim;
    if (rows->labels != NULL)
        row.labels = rows->labels + (size_t)row_no * shape->label_dim;
    if (rows->weights != NULL)
        row.weight = rows->weights + row_no;
    if (rows->entry_ends != NULL)
        row.entry_end = rows->entry_ends + row_no;
    if (rows->text_ends != NULL)
        row.text_ends = rows->text_ends + (size_t)row_no * shape->text_dim;
    return row;
}

/* After a line that no template fitted: the next one does, or after a while. */
static void learn_again(struct fmt_decoder *decoder, const uint8_t *line, size_t len)
{
    if (decoder->pause_lines > 0) {
        decoder->pause_lines--;
        return;
    }
    fmt_jsonl_template_learn(decoder->template, line, len);
    decoder->try_template = true;
    decoder->pause_lines = decoder->misses;
    decoder->misses = decoder->misses * 2 + 1;
    if (decoder->misses > PAUSE_MAX_LINES)
        decoder->misses = PAUSE_MAX_LINES;
}

/* In one pass. Returns what is behind the line, or NULL if it is to be walked. */
static const uint8_t *decode_fast(struct fmt_decoder *decoder, const uint8_t *line,
                                  const uint8_t *end, const struct jsonl_row *row)
{
    const struct fmt_jsonl_options *o = decoder->options;
    size_t entries_before = row->entries->count;
    size_t texts_before = row->texts->count;
    const uint8_t *next = NULL;

    if (decoder->try_template) {
        next = fmt_jsonl_template_run(decoder->template, line, end, row, decoder->slots);
        decoder->misses = next != NULL ? 0 : decoder->misses;
        decoder->try_template = decoder->misses < MISSES_MAX;
    }
    if (next == NULL) {
        row->entries->count = entries_before;
        next = fmt_jsonl_direct(o, line, end, row, decoder->slots, decoder->seen);
        if (next != NULL)
            learn_again(decoder, line, (size_t)(next - line));
    }
    if (next != NULL && decoder->shape.text_dim > 0 &&
        fmt_jsonl_put_texts(o, decoder->slots, row, NULL) != FMT_OK)
        next = NULL;
    if (next == NULL) {
        row->entries->count = entries_before;
        row->texts->count = texts_before;
        return NULL;
    }
    if (row->entry_end != NULL)
        *row->entry_end = (uint32_t)row->entries->count;
    return next;
}

static enum fmt_rc jsonl_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                                struct fmt_rows *rows, struct fmt_error *error)
{
    const uint8_t *end = span->in + span->len;
    const uint8_t *p = span->in;

    for (uint32_t row_no = 0; row_no < span->rows; row_no++) {
        struct jsonl_row row = row_at(decoder, rows, row_no);
        const uint8_t *next = decoder->walk_only ? NULL : decode_fast(decoder, p, end, &row);

        if (next != NULL) {
            p = next;
            continue;
        }
        p = fmt_jsonl_skip_blank_lines(p, end);
        if (p == end)
            return fmt_fail(error, span->len, row_no,
                            "the bytes hold %u records, %u were announced", row_no, span->rows);
        struct fmt_error cause = {.text = ""};
        size_t line_bytes = (size_t)(find_line_end(p, end) - p);
        enum fmt_rc rc = fmt_jsonl_walk(decoder->options, p, line_bytes, decoder->slots, &cause);
        bool grammar = rc != FMT_OK;

        if (rc == FMT_OK)
            rc = fmt_jsonl_put(decoder->options, decoder->slots, &row, &cause);
        if (rc != FMT_OK)
            return fail_line(rc, &cause, grammar, (size_t)(p - span->in), row_no, error);
        if (!decoder->walk_only)
            learn_again(decoder, p, line_bytes);
        p += line_bytes;
        p += p < end;
    }
    return FMT_OK;
}

const struct fmt_ops fmt_jsonl = {
    .content_type = "application/jsonlines",
    .parameters = "features, label, weight, text, missing",
    .options_bytes = sizeof(struct fmt_jsonl_options),
    .set_option = fmt_jsonl_set_option,
    .check_options = fmt_jsonl_check_options,
    .options_clear = fmt_jsonl_options_clear,
    .cut = fmt_jsonl_cut,
    .learn = jsonl_learn,
    .learnt = jsonl_learnt,
    .learn_again = jsonl_learn_again,
    .decoder_new = jsonl_decoder_new,
    .decoder_free = jsonl_decoder_free,
    .decode = jsonl_decode,
};
