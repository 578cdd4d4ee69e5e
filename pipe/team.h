/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/team.h - threads that help another one with many small independent jobs.
 *
 * Owner: whoever opened it. Threads: one at a time calls its `run`.
 */
#ifndef PIPE_TEAM_H
#define PIPE_TEAM_H

#include "formats/inflate.h"
#include "pipe/penstock.h"

struct ps_team;

/* `size` threads with the caller of `run`: one less is started, named `name`. *out may be
 * incomplete on failure, and is to be closed. Returns PENSTOCK_OK, PENSTOCK_E_MEMORY or
 * PENSTOCK_E_SYSTEM. */
int ps_team_open(unsigned size, const char *name, struct ps_team **out,
                 struct penstock_error *error);

/* For fmt_inflate_share. */
const struct fmt_team *ps_team_of(const struct ps_team *team);

/* Ends the threads; nothing is being run. Accepts NULL. */
void ps_team_close(struct ps_team *team);

#endif
