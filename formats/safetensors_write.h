/* SPDX-License-Identifier: Apache-2.0 */
/* formats/safetensors_write.h - float32 arrays as a safetensors file
 * (https://github.com/huggingface/safetensors, "Format"): the length of the header in 8 bytes, the
 * header in JSON, padded with blanks so that the data is 8-byte aligned, then the arrays' bytes in
 * the order given.
 *
 * Owner: the caller. Threads: pure function.
 */
#ifndef FORMATS_SAFETENSORS_WRITE_H
#define FORMATS_SAFETENSORS_WRITE_H

#include "formats/tensor.h"

/* An entry of the header's __metadata__; both strings are UTF-8. */
struct fmt_metadata {
    const char *key;
    const char *value;
};

/* Writes a whole file to the sink. Returns 0, or what the sink returned. */
int fmt_safetensors_write(const struct fmt_tensor *tensors, size_t tensor_count,
                          const struct fmt_metadata *metadata, size_t metadata_count,
                          fmt_sink_fn sink, void *cookie);

#endif
