/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_template_x86.h - the loops of formats/record_template.c in wide instructions. For
 * record_template.c, which chooses them, and for tests/unit/test_record_template.c, which compares
 * the two.
 *
 * The caller has checked that the processor knows the instructions.
 */
#ifndef FORMATS_RECORD_TEMPLATE_X86_H
#define FORMATS_RECORD_TEMPLATE_X86_H

#if defined(__x86_64__)

#include "formats/convert_x86.h"
#include "formats/record_template.h"

/* As fmt_template_decode, for a template that is_copied: moves[i] is where runs[i] goes. */
uint32_t fmt_template_copy_avx2(const struct fmt_template *template, const uint8_t *in, size_t len,
                                uint32_t row_count, const struct fmt_template_move *moves);

/* As fmt_template_match. */
uint32_t fmt_template_match_avx2(const struct fmt_template *template, const uint8_t *in, size_t len,
                                 uint32_t row_count);

#endif
#endif
