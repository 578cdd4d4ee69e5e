/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/delivery_status.c - what went into a FIFO, for whoever wants to check: counts and the status
 * file. */
#include "pipe/delivery.h"

#include "formats/recordio.h"
#include "pipe/replace_file.h"
#include "pipe/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t read_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* A frame's head is complete. Bytes that are no RecordIO count as one record without end. */
static void take_head(struct ps_record_count *count)
{
    uint32_t word = read_u32(count->head + 4);
    uint32_t flag = word >> 29;
    uint64_t len = word & ((1u << 29) - 1);

    count->head_bytes = 0;
    count->skip_bytes =
        read_u32(count->head) == FMT_RECORDIO_MAGIC ? (len + 3) / 4 * 4 : UINT64_MAX;
    if (flag <= 1)
        count->records++;
}

void ps_record_count_add(struct ps_record_count *count, const uint8_t *data, size_t len_bytes)
{
    while (len_bytes > 0) {
        size_t taken = len_bytes;

        if (count->skip_bytes > 0) {
            if (count->skip_bytes < taken)
                taken = (size_t)count->skip_bytes;
            count->skip_bytes -= taken;
        } else {
            if (taken > FMT_RECORDIO_HEAD_BYTES - count->head_bytes)
                taken = FMT_RECORDIO_HEAD_BYTES - count->head_bytes;
            memcpy(count->head + count->head_bytes, data, taken);
            count->head_bytes += (uint32_t)taken;
            if (count->head_bytes == FMT_RECORDIO_HEAD_BYTES)
                take_head(count);
        }
        data += taken;
        len_bytes -= taken;
    }
}

int ps_delivery_write_status(const struct ps_delivery_config *config,
                             const struct ps_epoch_report *report, struct penstock_error *error)
{
    char path[PS_FIFO_PATH_BYTES];
    char bytes[512];
    struct ps_text text = ps_text_in(bytes, sizeof bytes);

    snprintf(path, sizeof path, "%s/%s_%" PRIu64 ".status", config->dir, config->channel,
             report->epoch);
    ps_text_addf(&text, "{\"epoch\": %" PRIu64 ", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64,
                 report->epoch, report->objects, report->bytes);
    if (config->wrap_recordio || config->count_recordio)
        ps_text_addf(&text, ", \"records\": %" PRIu64, report->records);
    if (report->complete)
        ps_text_addf(&text, ", \"crc32c\": \"%08" PRIx32 "\"", report->crc32c);
    ps_text_addf(&text, ", \"complete\": %s}\n", report->complete ? "true" : "false");
    return ps_replace_file(path, bytes, text.len, error);
}
