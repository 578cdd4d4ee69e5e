/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_kind.c - what an object is, by its first bytes. See inspect.h. */
#include "formats/bytes.h"
#include "formats/crc.h"
#include "formats/number.h"
#include "formats/record.h"
#include "formats/recordio.h"
#include "pipe/inspect.h"

#include <string.h>

/* IMAGE_HEAD_BYTES: mxnet, src/io/image_recordio.h, ImageRecordIO::Header. */
enum {
    IMAGE_HEAD_BYTES = 24,
    HEAD_BYTES = 64 << 10,
    RECORD_BYTES_MAX = 64 << 20,
    RECORDS_TRIED = 8,
    LINES_TRIED = 3
};

static const struct {
    const char *bytes;
    size_t len;
    enum ps_kind kind;
} magics[] = {
    {"PAR1", 4, PS_KIND_PARQUET},      {"\x93NUMPY", 6, PS_KIND_NPY},
    {"PK\x03\x04", 4, PS_KIND_ZIP},    {"Obj\x01", 4, PS_KIND_AVRO},
    {"\xff\xd8\xff", 3, PS_KIND_JPEG}, {"\x89PNG\r\n\x1a\n", 8, PS_KIND_PNG},
};

const char *ps_kind_name(enum ps_kind kind)
{
    static const char *const names[] = {
        "unknown",
        "recordio-protobuf",
        "recordio",
        "image-recordio",
        "csv",
        "csv-other-delimiter",
        "libsvm",
        "json-lines",
        "json",
        "lst",
        "recordio-index",
        "text",
        "tfrecord",
        "parquet",
        "npy",
        "zip",
        "idx",
        "avro",
        "jpeg",
        "png",
        "binary",
    };

    return names[kind];
}

bool ps_kind_is_text(enum ps_kind kind)
{
    return kind == PS_KIND_CSV || kind == PS_KIND_CSV_OTHER || kind == PS_KIND_LIBSVM ||
           kind == PS_KIND_JSON_LINES || kind == PS_KIND_LST || kind == PS_KIND_RECORDIO_INDEX ||
           kind == PS_KIND_TEXT;
}

enum fmt_codec ps_inspect_codec(const uint8_t *in, size_t len)
{
    if (len >= 3 && memcmp(in, "\x1f\x8b\x08", 3) == 0)
        return FMT_CODEC_GZIP;
    if (len >= 4 && memcmp(in, "\x04\x22\x4d\x18", 4) == 0)
        return FMT_CODEC_LZ4;
    if (len >= 4 && memcmp(in, "\x28\xb5\x2f\xfd", 4) == 0)
        return FMT_CODEC_ZSTD;
    return FMT_CODEC_NONE;
}

/* ---- RecordIO ---- */

/* A Record of the protobuf has a feature map; most bytes that are none do not parse as one. */
static bool is_protobuf(const uint8_t *in, size_t len)
{
    struct fmt_recordio_record place;

    if (fmt_recordio_read(in, len, &place, NULL) != FMT_OK || place.body_bytes == 0)
        return false;
    struct fmt_shape shape;

    if (fmt_recordio_protobuf.learn(NULL, in, len, &shape, NULL) == FMT_OK)
        return true;
    if (place.part_count != 1)
        return false;
    static const struct fmt_record_query query = {.count = 1}; /* any feature */
    struct fmt_record_value value;
    void *message;
    bool is_record = fmt_record_unpack(in + FMT_RECORDIO_HEAD_BYTES, place.body_bytes, &query,
                                       &value, &message) == FMT_RECORD_PARSED &&
                     value.kind != FMT_RECORD_ABSENT;

    fmt_record_free(message);
    return is_record;
}

static bool is_picture(const uint8_t *in, size_t len)
{
    return (len >= 3 && memcmp(in, "\xff\xd8\xff", 3) == 0) ||
           (len >= 8 && memcmp(in, "\x89PNG\r\n\x1a\n", 8) == 0);
}

size_t ps_inspect_picture_at(const uint8_t *payload, size_t len)
{
    if (len < IMAGE_HEAD_BYTES)
        return 0;
    size_t labels_bytes = (size_t)fmt_load_le32(payload) * sizeof(float);

    if (labels_bytes > len - IMAGE_HEAD_BYTES)
        return 0;
    size_t at = IMAGE_HEAD_BYTES + labels_bytes;

    return is_picture(payload + at, len - at) ? at : 0;
}

static bool is_image_record(const uint8_t *in, size_t len)
{
    struct fmt_recordio_record place;

    return fmt_recordio_read(in, len, &place, NULL) == FMT_OK &&
           ps_inspect_picture_at(in + FMT_RECORDIO_HEAD_BYTES,
                                 place.part_count == 1 ? place.body_bytes
                                                       : fmt_load_le32(in + 4) & 0x1fffffffu) > 0;
}

static enum ps_kind recordio_kind(const uint8_t *in, size_t len, bool whole)
{
    size_t at = 0;

    for (int tried = 0; tried < RECORDS_TRIED && at < len; tried++) {
        struct fmt_cut cut = {.rows = 0};
        enum fmt_rc rc = fmt_recordio_cut(NULL, in + at, len - at, at == 0, whole, 1, &cut, NULL);

        if (rc == FMT_MORE && tried == 0 && len < RECORD_BYTES_MAX)
            return PS_KIND_UNKNOWN;
        if (rc != FMT_OK)
            break;
        if (is_protobuf(in + at, cut.len_bytes))
            return PS_KIND_RECORD_PROTOBUF;
        if (is_image_record(in + at, cut.len_bytes))
            return PS_KIND_IMAGE_RECORDIO;
        at += cut.len_bytes;
    }
    return PS_KIND_RECORDIO;
}

/* ---- other binary formats ---- */

/* Source: TensorFlow, tensorflow/core/lib/io/record_writer.h: length, and its CRC32C, masked. */
static bool is_tfrecord(const uint8_t *in, size_t len)
{
    if (len < 12)
        return false;
    uint32_t sum = (uint32_t)fmt_crc(FMT_CRC32C, 0, in, 8);

    return fmt_load_le32(in + 8) == ((sum >> 15) | (sum << 17)) + 0xa282ead8u;
}

static bool is_idx(const uint8_t *in, size_t len)
{
    return len >= 4 && in[0] == 0 && in[1] == 0 && in[2] >= 8 && in[2] <= 14 && in[3] >= 1 &&
           in[3] <= 4;
}

/* ---- text ---- */

static bool is_text(const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (in[i] < ' ' && in[i] != '\t' && in[i] != '\n' && in[i] != '\r')
            return false;
    return len > 0;
}

struct line {
    const uint8_t *start;
    const uint8_t *end;
};

/* The next line that is not blank; false if there is none. */
static bool next_line(const uint8_t **at, const uint8_t *end, struct line *line)
{
    while (*at < end && (**at == '\n' || **at == '\r' || **at == ' ' || **at == '\t'))
        ++*at;
    line->start = *at;
    while (*at < end && **at != '\n' && **at != '\r')
        ++*at;
    line->end = *at;
    return line->end > line->start;
}

static bool is_number(const uint8_t *p, const uint8_t *end)
{
    float value;

    while (p < end && (*p == ' ' || *p == '"'))
        p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '"'))
        end--;
    return p < end && fmt_number_scan(p, end, &value) == end;
}

struct fields {
    size_t count;
    size_t blank;
    size_t numbers;
};

static struct fields count_fields(const struct line *line, char delimiter)
{
    struct fields fields = {.count = 0};

    for (const uint8_t *p = line->start;; p++) {
        const uint8_t *stop = memchr(p, delimiter, (size_t)(line->end - p));

        if (!stop)
            stop = line->end;
        fields.count++;
        fields.blank += stop == p;
        fields.numbers += is_number(p, stop);
        if (stop == line->end)
            return fields;
        p = stop;
    }
}

static bool all_numbers(const struct fields *fields)
{
    return fields->numbers > 0 && fields->numbers + fields->blank == fields->count;
}

/* "1 3:0.5 17:1" */
static bool is_libsvm(const struct line *line)
{
    const uint8_t *blank = memchr(line->start, ' ', (size_t)(line->end - line->start));

    if (!blank || !is_number(line->start, blank))
        return false;
    const uint8_t *colon = memchr(blank, ':', (size_t)(line->end - blank));

    return colon && is_number(blank + 1, colon);
}

/* The delimiter of a line that is all numbers, of which it has several unless `first`; 0 if it is
 * none. */
static char number_delimiter(const struct line *line, bool first)
{
    for (const char *d = ",;\t| "; *d; d++) {
        struct fields fields = count_fields(line, *d);

        if (all_numbers(&fields) && (fields.count > 1 || first))
            return *d;
    }
    return 0;
}

/* Of mxnet's tools: "0 TAB 0", "1 TAB 3184": numbers that grow, the second ones by fours. */
static bool is_recordio_index(const struct line *lines, size_t count)
{
    float before = -1;

    for (size_t n = 0; n < count; n++) {
        struct fields fields = count_fields(&lines[n], '\t');
        const uint8_t *tab = memchr(lines[n].start, '\t', (size_t)(lines[n].end - lines[n].start));
        float offset;

        if (fields.count != 2 || fields.numbers != 2 || !tab ||
            !fmt_number_scan(tab + 1, lines[n].end, &offset) || offset <= before ||
            (n == 0 && offset != 0) || lines[n].end[-1] % 2 != 0)
            return false;
        before = offset;
    }
    return count > 1;
}

/* "INDEX TAB LABEL TAB ... TAB PATH" */
static bool is_lst(const struct line *line)
{
    struct fields fields = count_fields(line, '\t');
    const uint8_t *path = memrchr(line->start, '\t', (size_t)(line->end - line->start));

    return fields.count >= 3 && fields.numbers == fields.count - 1 && path &&
           !is_number(path + 1, line->end);
}

/* Numbers with one delimiter in the first line or, under a header, the second; or commas, the same
 * number of them in all lines. */
static enum ps_kind table_kind(const struct line *lines, size_t count)
{
    for (size_t n = 0; n < count && n < 2; n++) {
        char delimiter = number_delimiter(&lines[n], n == 0);

        if (delimiter)
            return delimiter == ',' ? PS_KIND_CSV : PS_KIND_CSV_OTHER;
    }
    size_t commas = count_fields(&lines[0], ',').count;

    for (size_t n = 1; n < count; n++)
        if (count_fields(&lines[n], ',').count != commas)
            return PS_KIND_TEXT;
    return commas > 1 ? PS_KIND_CSV : PS_KIND_TEXT;
}

/* The first lines that are not blank; returns how many. */
static size_t first_lines(const uint8_t *in, size_t len, struct line lines[LINES_TRIED])
{
    const uint8_t *at = in;
    size_t count = 0;

    if (len >= 3 && memcmp(in, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (count < LINES_TRIED && next_line(&at, in + len, &lines[count]))
        count++;
    return count;
}

/* An array a line is JSON Lines; one array over several is not. */
static enum ps_kind json_kind(const struct line *lines, size_t count)
{
    uint8_t open = *lines[0].start;

    if (lines[0].end[-1] != (open == '{' ? '}' : ']'))
        return PS_KIND_JSON;
    if (open == '[' && (count < 2 || *lines[1].start != '['))
        return PS_KIND_JSON;
    return PS_KIND_JSON_LINES;
}

static enum ps_kind text_kind(const uint8_t *in, size_t len)
{
    struct line lines[LINES_TRIED];
    size_t count = first_lines(in, len, lines);

    if (count == 0)
        return PS_KIND_TEXT;
    if (*lines[0].start == '{' || *lines[0].start == '[')
        return json_kind(lines, count);
    if (is_libsvm(&lines[0]))
        return PS_KIND_LIBSVM;
    if (is_lst(&lines[0]))
        return PS_KIND_LST;
    if (is_recordio_index(lines, count))
        return PS_KIND_RECORDIO_INDEX;
    return table_kind(lines, count);
}

char ps_inspect_delimiter(const uint8_t *in, size_t len)
{
    struct line lines[LINES_TRIED];
    size_t count = first_lines(in, len < HEAD_BYTES ? len : HEAD_BYTES, lines);
    char delimiter = 0;

    for (size_t n = 0; n < count && n < 2 && !delimiter; n++)
        delimiter = number_delimiter(&lines[n], n == 0);
    return delimiter ? delimiter : ',';
}

bool ps_inspect_is_header(const uint8_t *in, size_t len, char delimiter)
{
    struct line line;
    const uint8_t *at = in;

    return next_line(&at, in + len, &line) && count_fields(&line, delimiter).numbers == 0;
}

/* ---- all of them ---- */

enum ps_kind ps_inspect_kind(const uint8_t *in, size_t len, bool whole)
{
    if (len < HEAD_BYTES && !whole)
        return PS_KIND_UNKNOWN;
    if (len >= FMT_RECORDIO_HEAD_BYTES && fmt_load_le32(in) == FMT_RECORDIO_MAGIC)
        return recordio_kind(in, len, whole);
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (len >= magics[i].len && memcmp(in, magics[i].bytes, magics[i].len) == 0)
            return magics[i].kind;
    if (is_tfrecord(in, len))
        return PS_KIND_TFRECORD;
    if (is_idx(in, len))
        return PS_KIND_IDX;
    size_t seen = len < HEAD_BYTES ? len : HEAD_BYTES;

    return is_text(in, seen) ? text_kind(in, seen) : PS_KIND_BINARY;
}
