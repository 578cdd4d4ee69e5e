/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio_join.c - see recordio_join.h. */
#include "formats/recordio_join.h"

#include <stdlib.h>

const char *const fmt_multipart_words[] = {"concat", "dmlc", "auto", NULL};

/* The number, from 0, of the first part that no writer of dmlc's makes; part_count if there is
 * none. */
static uint32_t find_odd_part(const uint8_t *in, const struct fmt_recordio_record *record,
                              struct fmt_recordio_part *part)
{
    for (uint32_t i = 0; i + 1 < record->part_count; i++) {
        (void)fmt_recordio_read_part(in, FMT_RECORDIO_HEAD_BYTES, i > 0, part, NULL);
        if (part->body_bytes % 4 != 0)
            return i;
        in += part->len_bytes;
    }
    return record->part_count;
}

enum fmt_rc fmt_joiner_join(struct fmt_joiner *joiner, const uint8_t *in,
                            const struct fmt_recordio_record *record, struct fmt_error *error)
{
    joiner->is_guess = false;
    joiner->body = in + FMT_RECORDIO_HEAD_BYTES;
    joiner->len_bytes = record->body_bytes;
    if (record->part_count == 1)
        return FMT_OK;

    struct fmt_recordio_part part;
    bool magic_between = joiner->multipart != FMT_MULTIPART_CONCAT;
    uint32_t odd = magic_between ? find_odd_part(in, record, &part) : record->part_count;
    if (odd < record->part_count && joiner->multipart == FMT_MULTIPART_DMLC)
        return fmt_fail(error, 0, 0,
                        "part %u of the record has %u bytes, no multiple of 4: it was not cut by "
                        "dmlc's rule; set multipart=concat, or auto",
                        odd + 1, part.body_bytes);
    if (odd < record->part_count)
        magic_between = false;
    joiner->is_guess = magic_between && joiner->multipart == FMT_MULTIPART_AUTO;

    size_t room = record->body_bytes + 4 * ((size_t)record->part_count - 1); /* by either rule */
    if (joiner->room < room) {
        uint8_t *memory = realloc(joiner->memory, room);
        if (memory == NULL) {
            (void)fmt_fail(error, 0, 0, "out of memory");
            return FMT_E_MEMORY;
        }
        joiner->memory = memory;
        joiner->room = room;
    }
    joiner->body = joiner->memory;
    joiner->len_bytes = fmt_recordio_join(in, record, magic_between, joiner->memory);
    return FMT_OK;
}

void fmt_joiner_retry(struct fmt_joiner *joiner, const uint8_t *in,
                      const struct fmt_recordio_record *record)
{
    joiner->is_guess = false;
    joiner->len_bytes = fmt_recordio_join(in, record, false, joiner->memory);
}

void fmt_joiner_clear(struct fmt_joiner *joiner)
{
    free(joiner->memory);
    joiner->memory = NULL;
    joiner->room = 0;
    joiner->body = NULL;
    joiner->len_bytes = 0;
}
