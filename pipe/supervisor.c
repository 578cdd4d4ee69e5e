/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/supervisor.c - see supervisor.h. */
#include "pipe/supervisor.h"

#include "pipe/clock.h"
#include "pipe/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Those that a container's user, a scheduler or a terminal sends to a program. */
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

#define KILLED UINT64_MAX /* kill_ns when that has been done */

static sigset_t signals_taken(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(&set, passed_on[i]);
    return set;
}

int ps_supervisor_open(struct ps_supervisor *s, uint32_t grace_s, struct penstock_error *error)
{
    sigset_t taken = signals_taken();

    memset(s, 0, sizeof *s);
    s->grace_ns = grace_s * PS_NS_PER_S;
    sigprocmask(SIG_BLOCK, &taken, &s->before);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    /* So that processes left by the child come here to be waited for, as they do to process 1. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    s->signal_fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    s->tell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->signal_fd >= 0 && s->tell_fd >= 0)
        return PENSTOCK_OK;
    return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot watch for signals");
}

void ps_supervisor_close(struct ps_supervisor *s)
{
    if (s->signal_fd >= 0)
        close(s->signal_fd);
    if (s->tell_fd >= 0)
        close(s->tell_fd);
}

void ps_supervisor_tell(struct ps_supervisor *s)
{
    uint64_t one = 1;

    /* A full counter would have told already. */
    while (write(s->tell_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

/* ---- the child ---- */

/* In the child, which has one thread and shares nothing but the memory it was copied from: only
 * calls that are safe in a signal handler. Writes errno to `report_fd` when it fails. */
static void become(const struct ps_supervisor *s, char *const *argv, char *const *environment,
                   pid_t parent, int report_fd)
{
    int sys_errno;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* it died before that could help */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigprocmask(SIG_SETMASK, &s->before, NULL);
    execvpe(argv[0], argv, environment);
    sys_errno = errno;
    if (write(report_fd, &sys_errno, sizeof sys_errno) < 0)
        _exit(126);
    _exit(127);
}

static int fail_to_start(const char *program, int sys_errno, struct penstock_error *error)
{
    int rc = sys_errno == ENOENT   ? PENSTOCK_E_NOT_FOUND
             : sys_errno == EACCES ? PENSTOCK_E_DENIED
                                   : PENSTOCK_E_SYSTEM;

    return ps_fail_errno(error, rc, sys_errno, "cannot start %s", program);
}

int ps_supervisor_start(struct ps_supervisor *s, char *const *argv, char *const *environment,
                        struct penstock_error *error)
{
    pid_t parent = getpid();
    int sys_errno = 0;
    int report[2];

    if (pipe2(report, O_CLOEXEC) != 0)
        return fail_to_start(argv[0], errno, error);
    pid_t child = fork();

    if (child == 0)
        become(s, argv, environment, parent, report[1]);
    if (child < 0)
        sys_errno = errno;
    close(report[1]);
    /* End of file: the child has become the command. */
    while (child > 0 && read(report[0], &sys_errno, sizeof sys_errno) < 0 && errno == EINTR)
        continue;
    close(report[0]);
    if (sys_errno != 0) {
        if (child > 0)
            waitpid(child, NULL, 0);
        return fail_to_start(argv[0], sys_errno, error);
    }
    s->child = child;
    return PENSTOCK_OK;
}

/* ---- what happens ---- */

static void reap(struct ps_supervisor *s)
{
    int status;
    pid_t ended;

    while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
        if (ended == s->child) {
            s->child_ended = true;
            s->child_status = status;
        }
}

static void send_child(const struct ps_supervisor *s, int number)
{
    if (s->child > 0 && !s->child_ended)
        kill(s->child, number);
}

static bool ends(int number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
}

static void pass_on(struct ps_supervisor *s, const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;

    if (number == SIGCHLD) {
        reap(s);
        return;
    }
    /* A terminal signals every process of the foreground group: the child has had it. */
    if (info->ssi_code != SI_KERNEL)
        send_child(s, number);
    if (!ends(number))
        return;
    if (s->signal == 0)
        s->signal = number;
    if (s->kill_ns == 0)
        s->kill_ns = ps_now_ns() + s->grace_ns;
}

void ps_supervisor_end_child(struct ps_supervisor *s)
{
    if (s->kill_ns == 0)
        s->kill_ns = ps_now_ns() + s->grace_ns;
    send_child(s, SIGTERM);
}

static int until_kill_ms(const struct ps_supervisor *s)
{
    uint64_t now_ns = ps_now_ns();

    if (s->kill_ns == 0 || s->kill_ns == KILLED || s->child == 0)
        return -1;
    return s->kill_ns <= now_ns ? 0 : (int)((s->kill_ns - now_ns) / PS_NS_PER_MS) + 1;
}

void ps_supervisor_wait(struct ps_supervisor *s)
{
    struct pollfd waits[2] = {{.fd = s->signal_fd, .events = POLLIN},
                              {.fd = s->tell_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    uint64_t told;

    poll(waits, 2, until_kill_ms(s));
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        pass_on(s, &info);
    while (read(s->tell_fd, &told, sizeof told) > 0)
        continue;
    if (until_kill_ms(s) == 0) {
        send_child(s, SIGKILL);
        s->kill_ns = KILLED;
    }
}

int ps_supervisor_exit_code(const struct ps_supervisor *s)
{
    return WIFSIGNALED(s->child_status) ? 128 + WTERMSIG(s->child_status)
                                        : WEXITSTATUS(s->child_status);
}
