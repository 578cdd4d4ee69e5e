/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_records.c - the records of one object after another. See inspect.h.
 *
 * Records are cut and decoded one by one: a bad one is told of, and the next one taken. Where not
 * even the end of a record can be found the rest of its object is passed over.
 */
#include "pipe/inspect.h"

#include "formats/csv.h"
#include "formats/recordio.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 512 << 20 };

/* ---- what is known of all objects ---- */

static void set_kind(struct ps_inspect *inspect, enum ps_kind kind)
{
    struct fmt_error why;

    inspect->kind = kind;
    if (kind == PS_KIND_RECORD_PROTOBUF)
        (void)fmt_options_parse("application/x-recordio-protobuf", &inspect->options, &why);
    else if (kind == PS_KIND_CSV)
        (void)fmt_options_parse("text/csv;label_size=1", &inspect->options, &why);
}

/* Learns the shape from a record. One that is malformed leaves it unknown. */
static int learn(struct ps_inspect *inspect, const uint8_t *in, size_t len, struct fmt_error *why)
{
    const struct fmt_options *options = &inspect->options;
    struct fmt_shape shape;

    if (options->ops->learn(options, in, len, &shape, why) != FMT_OK)
        return PENSTOCK_E_FORMAT;
    size_t row_len = (size_t)shape.feature_dim + shape.label_dim;

    inspect->decoder = options->ops->decoder_new(options, &shape);
    inspect->row = calloc(row_len, sizeof *inspect->row);
    inspect->row_kept = calloc(row_len * (inspect->rows_wanted + 1), sizeof *inspect->row);
    inspect->shape = shape;
    return inspect->decoder && inspect->row && inspect->row_kept ? PENSTOCK_OK : PENSTOCK_E_MEMORY;
}

/* ---- rows ---- */

static void keep_row(struct ps_inspect *inspect, uint64_t offset_bytes)
{
    const struct fmt_shape *shape = &inspect->shape;
    size_t row_len = (size_t)shape->feature_dim + shape->label_dim;
    const float *features = inspect->row + shape->label_dim;
    uint64_t odd = inspect->features.nan_count + inspect->features.inf_count;

    if (inspect->rows_kept < inspect->rows_wanted)
        memcpy(inspect->row_kept + row_len * inspect->rows_kept++, inspect->row,
               row_len * sizeof *inspect->row);
    ps_numbers_take(&inspect->features, features, shape->feature_dim, 1, false);
    odd = inspect->features.nan_count + inspect->features.inf_count - odd;
    for (uint32_t i = 0; i < shape->label_dim && i < PS_LABELS_SHOWN; i++) {
        struct ps_numbers *label = &inspect->labels[i];
        uint64_t before = label->nan_count + label->inf_count;

        ps_numbers_take(label, inspect->row + i, 1, 1, true);
        odd += label->nan_count + label->inf_count - before;
    }
    inspect->records++;
    if (odd > 0)
        ps_inspect_problem(inspect, PS_PROBLEM_NUMBERS, inspect->key, offset_bytes,
                           "%llu of the record's numbers are missing, NaN or infinite",
                           (unsigned long long)odd);
}

/* A record that does not decode: of another shape, a header, or malformed. */
static void tell_bad_row(struct ps_inspect *inspect, const uint8_t *in, size_t len,
                         uint64_t offset_bytes, const char *why)
{
    const struct fmt_options *options = &inspect->options;
    struct fmt_shape shape;
    enum ps_problem problem = PS_PROBLEM_MALFORMED;

    if (options->ops == &fmt_csv && offset_bytes <= 3 && ps_inspect_is_header(in, len))
        problem = PS_PROBLEM_HEADER;
    else if (inspect->shape.feature_dim > 0 &&
             options->ops->learn(options, in, len, &shape, NULL) == FMT_OK &&
             (shape.feature_dim != inspect->shape.feature_dim ||
              shape.label_dim != inspect->shape.label_dim))
        problem = PS_PROBLEM_SHAPE;
    ps_inspect_problem(inspect, problem, inspect->key, offset_bytes, "%s",
                       problem == PS_PROBLEM_HEADER
                           ? "the first line is a header: SageMaker's CSV has none"
                           : why);
}

static int take_row(struct ps_inspect *inspect, const uint8_t *in, size_t len,
                    uint64_t offset_bytes)
{
    struct fmt_error why = {.text = ""};
    int rc = PENSTOCK_OK;
    bool header =
        inspect->options.ops == &fmt_csv && offset_bytes <= 3 && ps_inspect_is_header(in, len);

    if (!inspect->decoder && !header)
        rc = learn(inspect, in, len, &why);
    if (rc == PENSTOCK_E_MEMORY)
        return rc;
    struct fmt_span span = {.in = in,
                            .len = len,
                            .rows = 1,
                            .position = inspect->records,
                            .key = inspect->key,
                            .object_offset = offset_bytes};
    struct fmt_rows out = {.features = inspect->row + inspect->shape.label_dim,
                           .labels = inspect->row};

    if (rc == PENSTOCK_OK && inspect->decoder &&
        inspect->options.ops->decode(inspect->decoder, &span, &out, &why) == FMT_OK)
        keep_row(inspect, offset_bytes);
    else
        tell_bad_row(inspect, in, len, offset_bytes, why.text);
    return PENSTOCK_OK;
}

/* Of RecordIO that is no protobuf. */
static void take_payload(struct ps_inspect *inspect, const uint8_t *in, size_t len)
{
    struct fmt_recordio_record place;

    if (fmt_recordio_read(in, len, &place, NULL) != FMT_OK)
        return;
    if (inspect->records++ == 0) {
        bool whole = place.part_count == 1;
        enum ps_kind kind =
            ps_inspect_kind(in + FMT_RECORDIO_HEAD_BYTES, whole ? place.body_bytes : 0, true);

        snprintf(inspect->payload_kind, sizeof inspect->payload_kind, "%s", ps_kind_name(kind));
        inspect->payload_least_bytes = place.body_bytes;
    }
    inspect->records_in_parts += place.part_count > 1;
    inspect->payload_total_bytes += place.body_bytes;
    if (place.body_bytes < inspect->payload_least_bytes)
        inspect->payload_least_bytes = place.body_bytes;
    if (place.body_bytes > inspect->payload_most_bytes)
        inspect->payload_most_bytes = place.body_bytes;
}

/* ---- records ---- */

static bool has_records(const struct ps_inspect *inspect)
{
    return inspect->options.ops || inspect->kind == PS_KIND_RECORDIO;
}

static int take_record(struct ps_inspect *inspect, const uint8_t *in, uint64_t offset_bytes)
{
    const struct fmt_cut *cut = &inspect->cut;

    in += cut->lead_bytes;
    if (cut->rows == 0)
        return PENSTOCK_OK;
    if (inspect->options.ops)
        return take_row(inspect, in, cut->len_bytes - cut->lead_bytes,
                        offset_bytes + cut->lead_bytes);
    take_payload(inspect, in, cut->len_bytes);
    return PENSTOCK_OK;
}

/* Cuts what is pending, and keeps what is no whole record. */
static int cut_records(struct ps_inspect *inspect, bool at_end)
{
    const struct fmt_options *options = &inspect->options;
    size_t at = 0;
    int rc = PENSTOCK_OK;

    while (rc == PENSTOCK_OK && at < inspect->pending_bytes) {
        struct fmt_error why;
        const uint8_t *in = inspect->pending + at;
        size_t len = inspect->pending_bytes - at;
        uint64_t offset = inspect->pending_offset + at;
        enum fmt_rc cut_rc =
            options->ops
                ? options->ops->cut(options, in, len, offset == 0, at_end, 1, &inspect->cut, &why)
                : fmt_recordio_cut(options, in, len, offset == 0, at_end, 1, &inspect->cut, &why);

        if (cut_rc == FMT_MORE && len < RECORD_BYTES_MAX)
            break;
        if (cut_rc != FMT_OK) {
            ps_inspect_problem(inspect, PS_PROBLEM_MALFORMED, inspect->key, offset,
                               "%s; the rest of the object is passed over",
                               cut_rc == FMT_MORE ? "a record of more than 512 MiB" : why.text);
            inspect->passed_over = true;
            break;
        }
        rc = take_record(inspect, in, offset);
        at += inspect->cut.len_bytes;
        inspect->cut = (struct fmt_cut){.rows = 0};
    }
    memmove(inspect->pending, inspect->pending + at, inspect->pending_bytes - at);
    inspect->pending_bytes -= at;
    inspect->pending_offset += at;
    return rc;
}

/* ---- contents ---- */

static int keep_pending(struct ps_inspect *inspect, const uint8_t *in, size_t len)
{
    size_t wanted = inspect->pending_bytes + len;

    if (wanted > inspect->pending_room) {
        size_t room = wanted + wanted / 2;
        uint8_t *memory = realloc(inspect->pending, room);

        if (!memory)
            return PENSTOCK_E_MEMORY;
        inspect->pending = memory;
        inspect->pending_room = room;
    }
    if (len > 0)
        memcpy(inspect->pending + inspect->pending_bytes, in, len);
    inspect->pending_bytes = wanted;
    return PENSTOCK_OK;
}

/* Finds out what the object is. False while that takes more of its bytes. */
static bool know_kind(struct ps_inspect *inspect, bool whole)
{
    if (inspect->kind_known)
        return true;
    enum ps_kind kind = ps_inspect_kind(inspect->pending, inspect->pending_bytes, whole);

    if (kind == PS_KIND_UNKNOWN)
        return false;
    inspect->kind_known = true;
    if (inspect->kind == PS_KIND_UNKNOWN) {
        set_kind(inspect, kind);
    } else if (kind != inspect->kind) {
        ps_inspect_problem(inspect, PS_PROBLEM_FORMAT, inspect->key, 0,
                           "is %s, the first object %s; it is passed over", ps_kind_name(kind),
                           ps_kind_name(inspect->kind));
        inspect->passed_over = true;
        return true;
    }
    if (kind == PS_KIND_CSV_OTHER)
        ps_inspect_problem(inspect, PS_PROBLEM_DELIMITER, inspect->key, 0,
                           "numbers with another delimiter than the comma, which alone is read");
    return true;
}

static void check_last_byte(struct ps_inspect *inspect)
{
    if (!ps_kind_is_text(inspect->kind) || inspect->last_byte == '\n')
        return;
    ps_inspect_problem(
        inspect, PS_PROBLEM_NEWLINE, inspect->key, inspect->pending_offset + inspect->pending_bytes,
        "the last line does not end: Pipe mode joins it with the next object's first");
}

int ps_inspect_contents(struct ps_inspect *inspect, const uint8_t *in, size_t len, bool at_end)
{
    int rc = PENSTOCK_OK;

    if (inspect->passed_over)
        return rc;
    inspect->content_bytes += len;
    if (len > 0)
        inspect->last_byte = in[len - 1];
    rc = keep_pending(inspect, in, len);
    if (rc != PENSTOCK_OK || !know_kind(inspect, at_end) || inspect->passed_over)
        return rc;
    if (has_records(inspect)) {
        rc = cut_records(inspect, at_end);
    } else {
        inspect->pending_offset += inspect->pending_bytes;
        inspect->pending_bytes = 0;
    }
    if (rc == PENSTOCK_OK && at_end)
        check_last_byte(inspect);
    return rc;
}

int ps_inspect_finish(struct ps_inspect *inspect)
{
    if (!inspect->object_open || inspect->passed_over || inspect->kind_known ||
        inspect->pending_bytes == 0)
        return PENSTOCK_OK;
    (void)know_kind(inspect, true);
    return !inspect->passed_over && has_records(inspect) ? cut_records(inspect, false)
                                                         : PENSTOCK_OK;
}
