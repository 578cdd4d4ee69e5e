/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_records.c - the records of one object after another. See inspect.h.
 *
 * Records are cut and decoded one by one: a bad one is told of, and the next one taken. Where not
 * even the end of a record can be found the rest of its object is passed over.
 */
#include "pipe/inspect.h"

#include "formats/recordio.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 512 << 20 };

static void set_kind(struct ps_inspect *inspect, enum ps_kind kind)
{
    struct fmt_error why;

    inspect->kind = kind;
    ps_inspect_type(kind, inspect->pending, inspect->pending_bytes, inspect->type,
                    sizeof inspect->type);
    if (ps_inspect_type_is_whole(kind))
        (void)fmt_options_parse(inspect->type, &inspect->options, &why);
}

/* Of RecordIO that is no protobuf. */
static void take_payload(struct ps_inspect *inspect, const uint8_t *in, size_t len)
{
    struct fmt_recordio_record place;

    if (fmt_recordio_read(in, len, &place, NULL) != FMT_OK)
        return;
    if (inspect->records++ == 0) {
        bool whole = place.part_count == 1;
        size_t at =
            whole ? ps_inspect_picture_at(in + FMT_RECORDIO_HEAD_BYTES, place.body_bytes) : 0;
        enum ps_kind kind = ps_inspect_kind(in + FMT_RECORDIO_HEAD_BYTES + at,
                                            whole ? place.body_bytes - at : 0, true);

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
    return inspect->options.ops || inspect->kind == PS_KIND_RECORDIO ||
           inspect->kind == PS_KIND_IMAGE_RECORDIO;
}

static int take_record(struct ps_inspect *inspect, const uint8_t *in, uint64_t offset_bytes)
{
    const struct fmt_cut *cut = &inspect->cut;

    in += cut->lead_bytes;
    if (cut->rows == 0)
        return PENSTOCK_OK;
    if (inspect->options.ops)
        return ps_inspect_row(inspect, in, cut->len_bytes - cut->lead_bytes,
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
        ps_inspect_problem(
            inspect, PS_PROBLEM_DELIMITER, inspect->key, 0,
            "numbers with another delimiter than the comma: SageMaker's CSV has none");
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
