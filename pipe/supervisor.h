/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/supervisor.h - a command as a child process: started, signalled, waited for.
 *
 * Works as process 1 of a container: signals reach the child, and processes that lost their parent
 * are waited for as well. The child dies with its supervisor (PR_SET_PDEATHSIG): otherwise it could
 * take the end of this process for the end of its data.
 *
 * Owner: process-wide (signals); the main thread. Threads: the main thread; ps_supervisor_tell may
 *   be called from any.
 */
#ifndef PIPE_SUPERVISOR_H
#define PIPE_SUPERVISOR_H

#include "pipe/penstock.h"

#include <sys/types.h>

struct ps_supervisor {
    int signal_fds[2]; /* from the handler */
    int tell_fd;
    pid_t child;      /* 0: none */
    int child_status; /* as waitpid tells, once child_ended */
    bool child_ended;
    int signal; /* the first one to end that came from outside, 0: none */
    uint64_t grace_ns;
    uint64_t grace_end_ns; /* 0: nobody has been told to end */
    bool grace_is_over;    /* the child, if there is one, has been killed */
};

/* Takes over the signals. `grace_s` is how long a child that was told to end may take. */
int ps_supervisor_open(struct ps_supervisor *supervisor, uint32_t grace_s,
                       struct penstock_error *error);
void ps_supervisor_close(struct ps_supervisor *supervisor);

/* Makes ps_supervisor_wait return. Any thread. */
void ps_supervisor_tell(struct ps_supervisor *supervisor);

/* Starts argv[0], looked for in $PATH of `environment`. Returns PENSTOCK_OK, or
 * PENSTOCK_E_NOT_FOUND, _DENIED or _SYSTEM. */
int ps_supervisor_start(struct ps_supervisor *supervisor, char *const *argv,
                        char *const *environment, struct penstock_error *error);

/* Waits until something happens: the child ended, a signal came (which has been passed on; one to
 * end begins the time of grace), that time is over, or somebody told. */
void ps_supervisor_wait(struct ps_supervisor *supervisor);

/* Asks the child to end (SIGTERM); it is killed when the time it has is over. */
void ps_supervisor_end_child(struct ps_supervisor *supervisor);

/* The exit code that the child's end stands for: its own, or 128 + signal. */
int ps_supervisor_exit_code(const struct ps_supervisor *supervisor);

#endif
