/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_input.c - see pack_input.h. */
#include "pipe/pack_input.h"

#include "formats/csv.h"
#include "formats/npz.h"
#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define PATH_BYTES 4096
#define INFLATE_BYTES_FIRST ((size_t)1 << 20)

static int file_failed(struct penstock_error *error, const char *what, const char *path,
                       int sys_errno)
{
    int rc = ps_fail_errno(error, ps_file_rc(sys_errno), sys_errno, "cannot %s %s", what, path);

    ps_error_object(error, NULL, path, 0);
    return rc;
}

static int bad_file(struct penstock_error *error, const char *path, const struct fmt_error *cause)
{
    ps_fail(error, PENSTOCK_E_FORMAT, "%s, byte %zu: %s", path, cause->offset_bytes, cause->text);
    ps_error_object(error, NULL, path, cause->offset_bytes);
    return PENSTOCK_E_FORMAT;
}

static int no_memory(struct penstock_error *error, const char *path)
{
    return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory while reading %s", path);
}

static int map_file(struct ps_pack_input *input, const char *path, struct penstock_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (fd < 0)
        return file_failed(error, "open", path, errno);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
        close(fd);
        return ps_fail(error, PENSTOCK_E_FORMAT, "%s is empty, or not a regular file", path);
    }
    input->map_bytes = (size_t)status.st_size;
    input->map = mmap(NULL, input->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    int sys_errno = errno;

    close(fd);
    if (input->map != MAP_FAILED)
        return PENSTOCK_OK;
    input->map = NULL;
    return file_failed(error, "map", path, sys_errno);
}

/* Inflates members until the input ends, as gzip does; *out grows. False for damaged data. */
static bool inflate_all(const uint8_t *in, size_t len, uint8_t **out, size_t *out_len)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)in};
    size_t room = INFLATE_BYTES_FIRST;
    int rc = inflateInit2(&z, MAX_WBITS + 16);
    bool good = false;

    *out_len = 0;
    *out = malloc(room);
    while (*out && (rc == Z_OK || rc == Z_BUF_ERROR)) {
        uInt in_step = len > UINT_MAX ? UINT_MAX : (uInt)len;
        size_t left = room - *out_len;
        uInt out_step = left > UINT_MAX ? UINT_MAX : (uInt)left;

        z.next_out = *out + *out_len;
        z.avail_in = in_step;
        z.avail_out = out_step;
        rc = inflate(&z, Z_NO_FLUSH);
        len -= in_step - z.avail_in;
        *out_len += out_step - z.avail_out;
        good = rc == Z_STREAM_END && len == 0;
        if (rc == Z_STREAM_END && len > 0)
            rc = inflateReset(&z);
        else if (rc == Z_BUF_ERROR && len == 0)
            break; /* cut short */
        if (*out_len == room) {
            uint8_t *more = realloc(*out, room *= 2);

            if (!more)
                free(*out);
            *out = more;
        }
    }
    inflateEnd(&z);
    return good;
}

static int parse(struct ps_pack_input *input, const char *path, const uint8_t *in, size_t len,
                 struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    enum fmt_rc rc = in[0] == 0x93 ? fmt_npy_parse(in, len, &input->array, &cause)
                                   : fmt_idx_parse(in, len, &input->array, &cause);

    if (rc == FMT_OK)
        return PENSTOCK_OK;
    if (in[0] != 0x93 && in[0] != 0)
        return ps_fail(error, PENSTOCK_E_FORMAT,
                       "%s is none of .npy, .npz, IDX (each may be gzipped); for CSV use --csv",
                       path);
    return bad_file(error, path, &cause);
}

static int open_npz(struct ps_pack_input *input, const char *path, const char *member_name,
                    struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    struct fmt_npz_member member;

    if (!member_name && ps_pack_is_sparse(input->map, input->map_bytes)) {
        input->is_sparse = true;
        return ps_pack_sparse_open(&input->sparse, input->map, input->map_bytes, path, error);
    }
    if (fmt_npz_find(input->map, input->map_bytes, member_name, &member, &cause) != FMT_OK)
        return bad_file(error, path, &cause);
    /* Deflate shrinks at most 1032 times: a size beyond that is a lie, not an allocation. */
    if (member.full_bytes == 0 || member.full_bytes / 1100 > member.len_bytes)
        return ps_fail(error, PENSTOCK_E_FORMAT, "%s: member %s announces an impossible size", path,
                       member.name);
    input->inflated = malloc(member.full_bytes);
    if (!input->inflated)
        return no_memory(error, path);
    if (fmt_npz_extract(&member, input->inflated, &cause) != FMT_OK)
        return bad_file(error, path, &cause);
    return parse(input, path, input->inflated, member.full_bytes, error);
}

static int open_gzip(struct ps_pack_input *input, const char *path, struct penstock_error *error)
{
    size_t len = 0;
    bool good = inflate_all(input->map, input->map_bytes, &input->inflated, &len);

    if (!input->inflated)
        return no_memory(error, path);
    if (!good || len == 0)
        return ps_fail(error, PENSTOCK_E_FORMAT, "%s is a damaged or truncated gzip file", path);
    return parse(input, path, input->inflated, len, error);
}

int ps_pack_input_open(struct ps_pack_input *input, const char *name, struct penstock_error *error)
{
    char path[PATH_BYTES];
    const char *member_name = NULL;
    struct stat status;

    *input = (struct ps_pack_input){.map = NULL};
    if (!ps_text_copy(path, sizeof path, name))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "a file name is longer than %d bytes",
                       PATH_BYTES);
    /* A colon may also be part of the file's name. */
    if (stat(path, &status) != 0 && strrchr(path, ':')) {
        char *colon = strrchr(path, ':');

        *colon = '\0';
        member_name = colon + 1;
    }
    int rc = map_file(input, path, error);

    if (rc != PENSTOCK_OK)
        return rc;
    const uint8_t *in = input->map;

    if (input->map_bytes >= 4 && memcmp(in, "PK\3\4", 4) == 0)
        return open_npz(input, path, member_name, error);
    if (member_name)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s is no .npz file, so it has no member \"%s\"",
                       path, member_name);
    if (input->map_bytes >= 2 && in[0] == 0x1f && in[1] == 0x8b)
        return open_gzip(input, path, error);
    return parse(input, path, in, input->map_bytes, error);
}

/* ---- CSV ---- */

struct csv {
    const char *path;
    const uint8_t *in;
    size_t len;
    struct fmt_options options;
    struct fmt_shape shape;
    uint64_t rows;
};

/* Calls cut over the whole file; counts rows, or decodes them if `decoder` is given. */
static enum fmt_rc walk_csv(struct csv *csv, struct fmt_decoder *decoder, float *features,
                            float *labels, struct fmt_error *cause)
{
    const struct fmt_ops *ops = csv->options.ops;
    enum fmt_rc rc = FMT_OK;
    uint64_t rows = 0;

    for (size_t at = 0; rc == FMT_OK && at < csv->len;) {
        struct fmt_cut cut = {.rows = 0};
        size_t base = at;

        rc = ops->cut(&csv->options, csv->in + at, csv->len - at, at == 0, true, UINT32_MAX, &cut,
                      cause);
        if (rc == FMT_OK && rows == 0 && cut.rows > 0 && !decoder)
            rc = ops->learn(&csv->options, csv->in + at + cut.lead_bytes,
                            cut.len_bytes - cut.lead_bytes, &csv->shape, cause);
        if (rc == FMT_OK && cut.rows > 0 && decoder) {
            base += cut.lead_bytes;

            struct fmt_span span = {.in = csv->in + base,
                                    .len = cut.len_bytes - cut.lead_bytes,
                                    .rows = cut.rows,
                                    .position = rows,
                                    .key = csv->path};
            struct fmt_rows out = {.features = features + rows * csv->shape.feature_dim,
                                   .labels = labels ? labels + rows * csv->shape.label_dim : NULL};
            rc = ops->decode(decoder, &span, &out, cause);
        }
        if (rc != FMT_OK)
            cause->offset_bytes += base;
        rows += cut.rows;
        at += cut.len_bytes;
    }
    csv->rows = rows;
    return rc;
}

static struct fmt_array float_array(const void *data, uint64_t rows, uint64_t cols)
{
    return (struct fmt_array){.data = data,
                              .number = FMT_FLOAT,
                              .item_bytes = sizeof(float),
                              .big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
                              .rows = rows,
                              .cols = cols};
}

static int decode_csv(struct ps_pack_input *input, struct csv *csv, struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    struct fmt_decoder *decoder = csv->options.ops->decoder_new(&csv->options, &csv->shape);
    uint64_t rows = csv->rows;

    input->inflated = calloc(rows * csv->shape.feature_dim, sizeof(float));
    input->csv_labels =
        csv->shape.label_dim ? calloc(rows * csv->shape.label_dim, sizeof(float)) : NULL;
    enum fmt_rc rc = FMT_E_MEMORY;

    if (decoder && input->inflated && (input->csv_labels || csv->shape.label_dim == 0))
        rc = walk_csv(csv, decoder, (float *)(void *)input->inflated, input->csv_labels, &cause);
    csv->options.ops->decoder_free(decoder);
    if (rc == FMT_E_MEMORY)
        return no_memory(error, csv->path);
    if (rc != FMT_OK)
        return bad_file(error, csv->path, &cause);
    input->array = float_array(input->inflated, rows, csv->shape.feature_dim);
    if (csv->shape.label_dim)
        input->labels = float_array(input->csv_labels, rows, csv->shape.label_dim);
    return PENSTOCK_OK;
}

int ps_pack_input_csv(struct ps_pack_input *input, const char *path, uint32_t label_size,
                      struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    struct fmt_csv_options own = {.label_size = label_size};
    struct csv csv = {.path = path, .options = {.ops = &fmt_csv, .own = &own}};

    *input = (struct ps_pack_input){.map = NULL};
    int rc = map_file(input, path, error);

    if (rc != PENSTOCK_OK)
        return rc;
    csv.in = input->map;
    csv.len = input->map_bytes;
    if (walk_csv(&csv, NULL, NULL, NULL, &cause) != FMT_OK)
        return bad_file(error, path, &cause);
    if (csv.rows == 0)
        return ps_fail(error, PENSTOCK_E_EMPTY, "%s holds no row", path);
    return decode_csv(input, &csv, error);
}

void ps_pack_input_close(struct ps_pack_input *input)
{
    if (input->map)
        munmap(input->map, input->map_bytes);
    ps_pack_sparse_close(&input->sparse);
    free(input->inflated);
    free(input->csv_labels);
    *input = (struct ps_pack_input){.map = NULL};
}
