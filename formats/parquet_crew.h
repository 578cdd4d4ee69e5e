/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_crew.h - work on the columns of a Parquet file, by one thread or several.
 *
 * What is done does not depend on how many there are, nor does what is reported when some of it
 * fails: it is what comes first in the order that one thread would go.
 *
 * Owner: whoever began it ends it. Threads: one at a time calls fmt_pq_crew_run, which gives jobs
 * to the team's; a job has its unpacker for itself.
 */
#ifndef FORMATS_PARQUET_CREW_H
#define FORMATS_PARQUET_CREW_H

#include "formats/inflate.h"
#include "formats/parquet_page.h"

/* Numbers of several columns, before they are put into rows. */
#define FMT_PQ_SCRATCH_BYTES ((size_t)2 << 20)

struct fmt_pq_failure {
    enum fmt_rc rc;
    uint32_t stage; /* the least counts, and then the job's number */
    uint32_t job_no;
    struct fmt_error error;
};

struct fmt_pq_lane;

struct fmt_pq_crew {
    struct fmt_pq_unpacker *unpacker; /* of the caller's thread */
    const struct fmt_team *team;      /* NULL: it is alone */
    struct fmt_pq_lane *lanes;        /* as many as the team has threads */
    float *scratch;                   /* of a team */
};

/* Does job `job_no`; on failure sets failure->stage, too. */
typedef enum fmt_rc fmt_pq_job(void *arg, uint32_t job_no, struct fmt_pq_unpacker *unpacker,
                               struct fmt_pq_failure *failure);

/* False when memory is out: it is to be ended all the same. */
bool fmt_pq_crew_begin(struct fmt_pq_crew *crew);
void fmt_pq_crew_end(struct fmt_pq_crew *crew);

/* From here on the team helps; NULL, or no memory for it: nobody does. */
void fmt_pq_crew_share(struct fmt_pq_crew *crew, const struct fmt_team *team);

/* Does `count` jobs. All of them are done even if some fail; returns FMT_OK, or what the first
 * failure is, which is then at *failure. */
enum fmt_rc fmt_pq_crew_run(const struct fmt_pq_crew *crew, uint32_t count, fmt_pq_job *job,
                            void *arg, struct fmt_pq_failure *failure);

/* Copies; by the team what is worth it. */
void fmt_pq_crew_copy(const struct fmt_pq_crew *crew, uint8_t *to, const uint8_t *from,
                      size_t len_bytes);

#endif
