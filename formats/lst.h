/* SPDX-License-Identifier: Apache-2.0 */
/* formats/lst.h - mxnet's list files: which labels a picture has, by its path.
 *
 * A line is INDEX TAB LABEL [TAB LABEL ...] TAB PATH, ended by LF or CRLF; the index is not looked
 * at (mxnet shuffles it). Lines without a byte are skipped. A path that comes twice keeps the
 * labels of its first line.
 *
 * Owner: the caller frees what fmt_lst_new returns. Threads: reading is safe from any.
 */
#ifndef FORMATS_LST_H
#define FORMATS_LST_H

#include "formats/fmt.h"

struct fmt_lst;

/* Reads a whole file. FMT_E_FORMAT names the line that is malformed; error->offset_bytes is where
 * it begins. */
enum fmt_rc fmt_lst_new(const uint8_t *in, size_t len, struct fmt_lst **lst,
                        struct fmt_error *error);
void fmt_lst_free(struct fmt_lst *lst); /* accepts NULL */

/* Labels of the path that is the longest tail of `key`, whole components: "a/b/c.jpg" is found as
 * "a/b/c.jpg", "b/c.jpg" or "c.jpg". NULL: none; else *count labels. */
const float *fmt_lst_find(const struct fmt_lst *lst, const char *key, uint32_t *count);

/* Labels in the first line; 0 when there is none. */
uint32_t fmt_lst_width(const struct fmt_lst *lst);

#endif
