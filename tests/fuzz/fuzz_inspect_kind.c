/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_inspect_kind.c - any bytes as the head of an object: what penstock inspect takes
 * it for has a name, and a content type that can be parsed; and what is told of an object before
 * its end is told of it at its end, text and odd RecordIO apart.
 */
#include <stdlib.h>
#include <string.h>

#include "pipe/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char type[PS_TYPE_BYTES];
    struct fmt_options options;
    enum ps_kind kind = ps_inspect_kind(data, size, true);

    require(kind > PS_KIND_UNKNOWN && kind <= PS_KIND_BINARY);
    require(strlen(ps_kind_name(kind)) > 0);
    ps_inspect_type(kind, data, size, type, sizeof type);
    require(strlen(type) > 0);
    require(fmt_options_parse(type, &options, NULL) == FMT_OK);
    fmt_options_free(&options);
    (void)ps_inspect_is_header(data, size, ',');
    (void)ps_inspect_codec(data, size);
    enum ps_kind early = ps_inspect_kind(data, size, false);

    require(early == PS_KIND_UNKNOWN || early == kind || ps_kind_is_text(kind) ||
            kind == PS_KIND_RECORDIO);
    return 0;
}
