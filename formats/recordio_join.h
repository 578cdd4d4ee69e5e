/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio_join.h - the payload of a RecordIO record, whoever cut it into parts.
 *
 * Two rules are in use. dmlc's writers (mxnet's .rec files) cut a record around each aligned magic
 * number in it and leave that out, so it goes back in between; each of their parts but the last is
 * a multiple of 4 bytes long. AWS's readers take parts of any length and put them together as they
 * are. The frames do not tell which it was, but for a length that dmlc's writers never leave.
 *
 * Owner: a joiner owns its memory, which grows to the longest record of several parts. Threads: one
 * at a time. Units: bytes.
 */
#ifndef FORMATS_RECORDIO_JOIN_H
#define FORMATS_RECORDIO_JOIN_H

#include "formats/recordio.h"

enum fmt_multipart { FMT_MULTIPART_CONCAT, FMT_MULTIPART_DMLC, FMT_MULTIPART_AUTO };

/* Their names, for fmt_option_word. */
extern const char *const fmt_multipart_words[];

struct fmt_joiner {
    enum fmt_multipart multipart; /* in; all else is zero before the first call */
    /* Out: the payload: in place, or in the joiner's memory until the next call. */
    const uint8_t *body;
    size_t len_bytes;
    /* Out: the frames leave it open which rule is right. If the payload is none,
     * fmt_joiner_retry. */
    bool is_guess;
    uint8_t *memory;
    size_t room;
};

/* Puts the record at `in`, which fmt_recordio_read accepted, together. FMT_OK; FMT_E_MEMORY; or
 * FMT_E_FORMAT for parts that dmlc's writers do not make, where it is said to be theirs. */
enum fmt_rc fmt_joiner_join(struct fmt_joiner *joiner, const uint8_t *in,
                            const struct fmt_recordio_record *record, struct fmt_error *error);

/* The same record, after a guess, by the other rule. */
void fmt_joiner_retry(struct fmt_joiner *joiner, const uint8_t *in,
                      const struct fmt_recordio_record *record);

/* Frees the memory, not the struct. */
void fmt_joiner_clear(struct fmt_joiner *joiner);

#endif
