/* SPDX-License-Identifier: Apache-2.0 */
/* formats/safetensors_write.c - see formats/safetensors_write.h. */
#include "formats/safetensors_write.h"

#include "formats/bytes.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert(FMT_LITTLE_ENDIAN, "arrays are written as they lie in memory");

/* Where header bytes go; with a NULL sink they are only counted. */
struct header {
    fmt_sink_fn sink;
    void *cookie;
    uint64_t len_bytes;
    int rc; /* sticky */
};

static void put(struct header *h, const char *text, size_t len_bytes)
{
    h->len_bytes += len_bytes;
    if (h->sink && h->rc == 0)
        h->rc = h->sink(h->cookie, text, len_bytes);
}

static void put_text(struct header *h, const char *text)
{
    put(h, text, strlen(text));
}

/* A JSON string (RFC 8259, 7): quote, backslash and control characters are escaped. */
static void put_string(struct header *h, const char *text)
{
    put_text(h, "\"");
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        char escaped[8];
        if (byte == '"' || byte == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", byte);
        else if (byte < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", byte);
        else
            snprintf(escaped, sizeof escaped, "%c", byte);
        put_text(h, escaped);
    }
    put_text(h, "\"");
}

static void put_number(struct header *h, uint64_t number, const char *after)
{
    char text[40];
    snprintf(text, sizeof text, "%" PRIu64 "%s", number, after);
    put_text(h, text);
}

static void put_header(struct header *h, const struct fmt_tensor *tensors, size_t tensor_count,
                       const struct fmt_metadata *metadata, size_t metadata_count)
{
    uint64_t offset_bytes = 0;
    put_text(h, "{\"__metadata__\":{");
    for (size_t i = 0; i < metadata_count; i++) {
        put_text(h, i > 0 ? "," : "");
        put_string(h, metadata[i].key);
        put_text(h, ":");
        put_string(h, metadata[i].value);
    }
    put_text(h, "}");
    for (size_t i = 0; i < tensor_count; i++) {
        const struct fmt_tensor *t = &tensors[i];
        put_text(h, ",");
        put_string(h, t->name);
        put_text(h, ":{\"dtype\":\"F32\",\"shape\":[");
        for (uint32_t d = 0; d < t->dim_count; d++)
            put_number(h, t->shape[d], d + 1 < t->dim_count ? "," : "");
        put_text(h, "],\"data_offsets\":[");
        put_number(h, offset_bytes, ",");
        offset_bytes += fmt_tensor_bytes(t);
        put_number(h, offset_bytes, "]}");
    }
    put_text(h, "}");
    put(h, "        ", (8 - h->len_bytes % 8) % 8);
}

int fmt_safetensors_write(const struct fmt_tensor *tensors, size_t tensor_count,
                          const struct fmt_metadata *metadata, size_t metadata_count,
                          fmt_sink_fn sink, void *cookie)
{
    struct header counted = {NULL, NULL, 0, 0};
    struct header h = {sink, cookie, 0, 0};
    put_header(&counted, tensors, tensor_count, metadata, metadata_count);
    int rc = sink(cookie, &counted.len_bytes, sizeof counted.len_bytes);
    if (rc != 0)
        return rc;
    put_header(&h, tensors, tensor_count, metadata, metadata_count);
    for (size_t i = 0; i < tensor_count && h.rc == 0; i++)
        h.rc = sink(cookie, tensors[i].data, (size_t)fmt_tensor_bytes(&tensors[i]));
    return h.rc;
}
