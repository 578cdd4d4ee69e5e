/* SPDX-License-Identifier: Apache-2.0 */
/* formats/npz_write.h - float32 arrays as a NumPy .npz file: a ZIP archive of stored .npy members
 * (APPNOTE.TXT 6.3.3, 4.3; numpy.lib.format 1.0). No time stamps: the same arrays give the same
 * bytes.
 *
 * Owner: the caller. Threads: pure function.
 */
#ifndef FORMATS_NPZ_WRITE_H
#define FORMATS_NPZ_WRITE_H

#include "formats/tensor.h"

#define FMT_NPZ_TENSORS_MAX 96U

/* Most bytes of one file: without ZIP64, offsets and sizes have 32 bits. */
#define FMT_NPZ_BYTES_MAX UINT64_C(0xfffffffe)

/* Bytes that fmt_npz_write would write; more than FMT_NPZ_BYTES_MAX cannot be. */
uint64_t fmt_npz_bytes(const struct fmt_tensor *tensors, size_t tensor_count);

/* Writes a whole file of at most FMT_NPZ_TENSORS_MAX arrays to the sink. Returns 0, or what the
 * sink returned. */
int fmt_npz_write(const struct fmt_tensor *tensors, size_t tensor_count, fmt_sink_fn sink,
                  void *cookie);

#endif
