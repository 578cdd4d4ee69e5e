/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/job_check.c - say of each line of standard input whether it is a good job.
 *
 * Prints a line for each: "ok", or the message. Exit code 0.
 */
#include "pipe/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    while ((len = getline(&line, &size, stdin)) > 0) {
        struct penstock_error error;
        struct ps_job job;
        int rc;

        ps_job_init(&job);
        rc = ps_job_parse(line, (size_t)len, "job", &job, &error);
        if (rc == PENSTOCK_OK)
            rc = ps_job_check(&job, &error);
        puts(rc == PENSTOCK_OK ? "ok" : error.message);
        ps_job_free(&job);
    }
    free(line);
    return 0;
}
