/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet.c - see parquet.h: the content type and its codec. */
#include "formats/parquet.h"

#include "formats/bytes.h"
#include "formats/inflate_codecs.h"
#include "formats/parquet_find.h"
#include "formats/parquet_rows.h"
#include "formats/row_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABELS_MAX 1000000u

/* A stream is searched for the end of a file after so much more of it. */
#define STREAM_STEP_BYTES ((size_t)1 << 20)

enum { ARENA_ALIGNMENT = 64 };

/* ---- parameters ---- */

static void init_options(void *own)
{
    struct fmt_parquet_options *options = own;

    options->label_size = 1;
}

static void clear_options(void *own)
{
    struct fmt_parquet_options *options = own;

    free(options->columns);
    free(options->label);
    free(options->text);
    free(options->weight);
}

static enum fmt_rc set_names(char **names, const char *name, const char *value,
                             struct fmt_error *error)
{
    size_t len_bytes = strlen(value);

    if (len_bytes == 0 || value[0] == ',' || value[len_bytes - 1] == ',' || strstr(value, ",,"))
        return fmt_refuse(error,
                          "content type: %s must be names of columns with commas between them, not "
                          "'%.80s'",
                          name, value);
    free(*names);
    *names = strdup(value);
    if (*names)
        return FMT_OK;
    (void)fmt_refuse(error, "out of memory");
    return FMT_E_MEMORY;
}

static enum fmt_rc set_option(void *own, const char *name, const char *value,
                              struct fmt_error *error)
{
    struct fmt_parquet_options *options = own;

    if (strcasecmp(name, "label_size") == 0) {
        options->label_size_given = true;
        return fmt_option_u32(name, value, 0, LABELS_MAX, &options->label_size, error);
    }
    char **names = strcasecmp(name, "columns") == 0  ? &options->columns
                   : strcasecmp(name, "label") == 0  ? &options->label
                   : strcasecmp(name, "text") == 0   ? &options->text
                   : strcasecmp(name, "weight") == 0 ? &options->weight
                                                     : NULL;

    return names ? set_names(names, name, value, error) : FMT_E_ARGUMENT;
}

static enum fmt_rc check_options(void *own, struct fmt_error *error)
{
    const struct fmt_parquet_options *options = own;

    if (options->label && options->label_size_given)
        return fmt_refuse(error, "content type: label and label_size say the same thing twice");
    if (options->weight && strchr(options->weight, ','))
        return fmt_refuse(error, "content type: weight must be one column, not '%.80s'",
                          options->weight);
    return FMT_OK;
}

/* ---- codec ---- */

struct parquet {
    const struct fmt_parquet_options *options;
    uint8_t *memory; /* the file, and behind it the arena */
    size_t memory_bytes;
    size_t file_bytes;  /* gathered */
    size_t have_bytes;  /* the same, and what a stream has behind the file */
    size_t seen_bytes;  /* of these searched in vain for the file's end */
    uint64_t stream_at; /* where in its stream the file begins; of an object 0 */
    bool gathered;
    struct fmt_pq_rows rows;
    struct fmt_pq_crew crew;
    struct fmt_shape first_shape; /* of the first file */
    uint8_t *first_names;         /* of what it has in a row: lengths and names; or NULL */
};

static void close_codec(void *codec)
{
    struct parquet *p = codec;

    if (!p)
        return;
    fmt_pq_arena_end(&p->rows.arena);
    fmt_pq_crew_end(&p->crew);
    free(p->first_names);
    free(p->memory);
    free(p);
}

static void *open_codec(const struct fmt_options *options, size_t memory_bytes)
{
    struct parquet *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->options = options->own;
    p->memory_bytes = memory_bytes;
    bool has_crew = fmt_pq_crew_begin(&p->crew);

    p->memory = malloc(memory_bytes); /* as much as the files need is touched */
    if (!has_crew || !p->memory) {
        close_codec(p);
        return NULL;
    }
    return p;
}

static void start_codec(void *codec)
{
    struct parquet *p = codec;

    fmt_pq_arena_end(&p->rows.arena);
    p->rows.arena = (struct fmt_pq_arena){.size_bytes = 0};
    p->file_bytes = p->have_bytes = p->seen_bytes = 0;
    p->stream_at = 0;
    p->gathered = false;
}

/* Adds to what there is of the file len_bytes more. */
static enum fmt_rc gather(struct parquet *p, struct fmt_inflate_step *step, size_t len_bytes,
                          struct fmt_error *error)
{
    if (len_bytes > p->memory_bytes - p->have_bytes)
        return fmt_fail(error, p->memory_bytes, 0,
                        "the file is longer than %zu bytes, the most that this memory limit "
                        "allows: raise the memory limit, or write smaller files",
                        p->memory_bytes);
    fmt_pq_crew_copy(&p->crew, p->memory + p->have_bytes, step->in + step->consumed_bytes,
                     len_bytes);
    p->have_bytes += len_bytes;
    step->consumed_bytes += len_bytes;
    return FMT_OK;
}

/* Gathers what there is, of a stream until a file's end is found. *whole: the file is. */
static enum fmt_rc gather_file(struct parquet *p, struct fmt_inflate_step *step, bool *whole,
                               struct fmt_error *error)
{
    for (;;) {
        size_t left_bytes = step->in_bytes - step->consumed_bytes;

        p->file_bytes = 0;
        if (step->in_stream && p->have_bytes >= 4 && memcmp(p->memory, "PAR1", 4) == 0)
            p->file_bytes = fmt_pq_find_end(p->memory, p->have_bytes, &p->seen_bytes);
        else if (step->in_stream && p->have_bytes >= 4)
            return fmt_fail(error, 0, 0, "no Parquet file begins here: there is no PAR1");
        *whole = p->file_bytes > 0;
        if (*whole || left_bytes == 0)
            break;
        if (step->in_stream && left_bytes > STREAM_STEP_BYTES)
            left_bytes = STREAM_STEP_BYTES;
        enum fmt_rc rc = gather(p, step, left_bytes, error);

        if (rc != FMT_OK)
            return rc;
    }
    if (!*whole && step->at_end) { /* if it is no file, reading it tells why */
        p->file_bytes = p->have_bytes;
        *whole = true;
    }
    return FMT_OK;
}

static const struct fmt_thrift_bytes *name_of(const struct fmt_pq_rows *rows, uint32_t i)
{
    return &rows->file.leaves[rows->selection.leaves[i]].name;
}

/* Keeps what the first file has in a row. */
static enum fmt_rc keep_names(struct parquet *p)
{
    size_t bytes = 1;

    for (uint32_t i = 0; i < p->rows.selection.count; i++)
        bytes += 4 + name_of(&p->rows, i)->len_bytes;
    uint8_t *out = p->first_names = malloc(bytes);

    if (!out)
        return FMT_E_MEMORY;
    for (uint32_t i = 0; i < p->rows.selection.count; i++) {
        const struct fmt_thrift_bytes *name = name_of(&p->rows, i);
        uint32_t len_bytes = (uint32_t)name->len_bytes;

        memcpy(out, &len_bytes, 4);
        memcpy(out + 4, name->bytes, len_bytes);
        out += 4 + len_bytes;
    }
    p->first_shape = p->rows.selection.shape;
    return FMT_OK;
}

/* A later file has to have the same in a row, or its numbers would mean something else. */
static enum fmt_rc check_names(const struct parquet *p, struct fmt_error *error)
{
    const struct fmt_shape *shape = &p->rows.selection.shape;
    const struct fmt_shape *first = &p->first_shape;
    size_t at = p->rows.file.footer_at;
    const uint8_t *names = p->first_names;

    if (shape->feature_dim != first->feature_dim || shape->label_dim != first->label_dim ||
        shape->text_dim != first->text_dim)
        return fmt_fail(error, at, 0,
                        "its rows have %u features and %u texts, those of the channel's first file "
                        "%u and %u: choose columns that all files have with the parameter columns",
                        shape->feature_dim, shape->text_dim, first->feature_dim, first->text_dim);
    for (uint32_t i = 0; i < p->rows.selection.count; i++) {
        const struct fmt_thrift_bytes *name = name_of(&p->rows, i);
        uint32_t len_bytes = fmt_load_le32(names);

        if (len_bytes != name->len_bytes || memcmp(names + 4, name->bytes, len_bytes) != 0)
            return fmt_fail(error, at, 0,
                            "it has column '%.*s' where the channel's first file has '%.*s': name "
                            "the columns with the parameters label and columns",
                            name->len_bytes < 40 ? (int)name->len_bytes : 40,
                            (const char *)name->bytes, len_bytes < 40 ? (int)len_bytes : 40,
                            (const char *)names + 4);
        names += 4 + len_bytes;
    }
    return FMT_OK;
}

static enum fmt_rc open_file(struct parquet *p, struct fmt_error *error)
{
    size_t used_bytes = (p->have_bytes + ARENA_ALIGNMENT - 1) & ~((size_t)ARENA_ALIGNMENT - 1);
    size_t left_bytes = used_bytes < p->memory_bytes ? p->memory_bytes - used_bytes : 0;
    enum fmt_rc rc = fmt_pq_rows_start(&p->rows, p->memory, p->file_bytes, p->memory + used_bytes,
                                       left_bytes, p->options, &p->crew, error);

    p->gathered = true;
    if (rc != FMT_OK)
        return rc;
    return p->first_names ? check_names(p, error) : keep_names(p);
}

/* Makes what a stream has behind the file the next one. */
static void end_file(struct parquet *p)
{
    fmt_pq_arena_end(&p->rows.arena);
    p->rows.arena = (struct fmt_pq_arena){.size_bytes = 0};
    p->have_bytes -= p->file_bytes;
    memmove(p->memory, p->memory + p->file_bytes, p->have_bytes);
    p->stream_at += p->file_bytes;
    p->file_bytes = p->seen_bytes = 0;
    p->gathered = false;
}

static enum fmt_inflate_rc fail(const struct parquet *p, enum fmt_rc rc, struct fmt_error *error)
{
    if (rc == FMT_E_MEMORY)
        fmt_fail(error, p->file_bytes, 0,
                 "its pages need more memory than the %zu bytes that this memory limit leaves "
                 "beside the file: raise it, choose less columns, or write smaller files or pages",
                 p->memory_bytes - p->have_bytes);
    error->offset_bytes += p->stream_at;
    return FMT_INFLATE_E_FORMAT;
}

/* Opens the next file. *wanted: more bytes are, first. */
static enum fmt_rc begin_file(struct parquet *p, struct fmt_inflate_step *step, bool *wanted,
                              struct fmt_error *error)
{
    bool whole;
    enum fmt_rc rc = gather_file(p, step, &whole, error);

    *wanted = !whole;
    return rc == FMT_OK && whole ? open_file(p, error) : rc;
}

static enum fmt_inflate_rc run_codec(void *codec, struct fmt_inflate_step *step, uint64_t in_offset,
                                     struct fmt_error *error)
{
    struct parquet *p = codec;

    (void)in_offset;
    for (;;) {
        bool wanted = false;
        bool nothing_left = step->at_end && step->consumed_bytes == step->in_bytes;
        size_t made_bytes = 0;
        enum fmt_rc rc = FMT_OK;

        /* Between two files a stream may end; an object of no bytes is no file. */
        if (!p->gathered && step->in_stream && p->have_bytes == 0 && nothing_left)
            return FMT_INFLATE_END;
        if (!p->gathered)
            rc = begin_file(p, step, &wanted, error);
        if (rc == FMT_OK && wanted)
            return FMT_INFLATE_IN;
        if (rc == FMT_OK)
            rc = fmt_pq_rows_make(&p->rows, step->out + step->produced_bytes,
                                  step->out_bytes - step->produced_bytes, &made_bytes, error);
        step->produced_bytes += made_bytes;
        if (rc != FMT_OK)
            return fail(p, rc, error);
        if (step->produced_bytes == step->out_bytes)
            return FMT_INFLATE_OUT;
        if (!step->in_stream)
            return FMT_INFLATE_END;
        end_file(p);
    }
}

static void share_codec(void *codec, const struct fmt_team *team)
{
    struct parquet *p = codec;

    fmt_pq_crew_share(&p->crew, team);
}

static const struct fmt_codec_ops codec_ops = {.open = open_codec,
                                               .close = close_codec,
                                               .start = start_codec,
                                               .run = run_codec,
                                               .share = share_codec};

const struct fmt_ops fmt_parquet = {
    .content_type = "application/x-parquet",
    .codec = &codec_ops,
    .parameters = "columns, label, label_size, text, weight",
    .options_bytes = sizeof(struct fmt_parquet_options),
    .options_init = init_options,
    .set_option = set_option,
    .check_options = check_options,
    .options_clear = clear_options,
    .cut = fmt_row_cut,
    .learn = fmt_row_learn,
    .decoder_new = fmt_row_decoder_new,
    .decoder_free = fmt_row_decoder_free,
    .decode = fmt_row_decode,
};
