/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet.c - see parquet.h: the content type and its codec. */
#include "formats/parquet.h"

#include "formats/bytes.h"
#include "formats/inflate_codecs.h"
#include "formats/parquet_rows.h"
#include "formats/row_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABELS_MAX 1000000u

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
    size_t file_bytes; /* gathered */
    bool gathered;
    struct fmt_pq_rows rows;
    struct fmt_pq_unpacker *unpacker;
    struct fmt_shape first_shape; /* of the first file */
    uint8_t *first_names;         /* of what it has in a row: lengths and names; or NULL */
};

static void close_codec(void *codec)
{
    struct parquet *p = codec;

    if (!p)
        return;
    fmt_pq_arena_end(&p->rows.arena);
    fmt_pq_unpacker_free(p->unpacker);
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
    p->unpacker = fmt_pq_unpacker_new();
    p->memory = malloc(memory_bytes); /* as much as the files need is touched */
    if (!p->unpacker || !p->memory) {
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
    p->file_bytes = 0;
    p->gathered = false;
}

/* Adds to the file what there is of it. */
static enum fmt_rc gather(struct parquet *p, struct fmt_inflate_step *step, struct fmt_error *error)
{
    if (step->in_bytes > p->memory_bytes - p->file_bytes)
        return fmt_fail(error, p->memory_bytes, 0,
                        "the file is longer than %zu bytes, the most that this memory limit "
                        "allows: raise the memory limit, or write smaller files",
                        p->memory_bytes);
    if (step->in_bytes > 0)
        memcpy(p->memory + p->file_bytes, step->in, step->in_bytes);
    p->file_bytes += step->in_bytes;
    step->consumed_bytes = step->in_bytes;
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
    size_t used_bytes = (p->file_bytes + ARENA_ALIGNMENT - 1) & ~((size_t)ARENA_ALIGNMENT - 1);
    size_t left_bytes = used_bytes < p->memory_bytes ? p->memory_bytes - used_bytes : 0;
    enum fmt_rc rc = fmt_pq_rows_start(&p->rows, p->memory, p->file_bytes, p->memory + used_bytes,
                                       left_bytes, p->options, p->unpacker, error);

    p->gathered = true;
    if (rc != FMT_OK)
        return rc;
    return p->first_names ? check_names(p, error) : keep_names(p);
}

static enum fmt_inflate_rc fail(const struct parquet *p, enum fmt_rc rc, struct fmt_error *error)
{
    if (rc == FMT_E_MEMORY)
        fmt_fail(error, p->file_bytes, 0,
                 "its pages need more memory than the %zu bytes that this memory limit leaves "
                 "beside the file: raise it, choose less columns, or write smaller files or pages",
                 p->memory_bytes - p->file_bytes);
    return FMT_INFLATE_E_FORMAT;
}

static enum fmt_inflate_rc run_codec(void *codec, struct fmt_inflate_step *step, uint64_t in_offset,
                                     struct fmt_error *error)
{
    struct parquet *p = codec;
    enum fmt_rc rc = FMT_OK;

    (void)in_offset;
    if (!p->gathered) {
        rc = gather(p, step, error);
        if (rc == FMT_OK && !step->at_end)
            return FMT_INFLATE_IN;
        if (rc == FMT_OK)
            rc = open_file(p, error);
    }
    if (rc == FMT_OK)
        rc = fmt_pq_rows_make(&p->rows, step->out, step->out_bytes, &step->produced_bytes, error);
    if (rc != FMT_OK)
        return fail(p, rc, error);
    return step->produced_bytes == step->out_bytes ? FMT_INFLATE_OUT : FMT_INFLATE_END;
}

static const struct fmt_codec_ops codec_ops = {
    .open = open_codec, .close = close_codec, .start = start_codec, .run = run_codec};

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
