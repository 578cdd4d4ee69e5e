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
#include <sys/wait.h>
#include <unistd.h>

/* Those that a container's user, a scheduler or a terminal sends to a program. */
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

/* What a handler tells the main thread. */
struct signal_note {
    int number;
    int code; /* si_code: who sent it */
};

/* Handlers, not signalfd: threads of other libraries do not block these signals, and
 * would take them with their default action. */
static int note_fd = -1;

static void on_signal(int number, siginfo_t *info, void *context)
{
    const struct signal_note note = {.number = number, .code = info->si_code};
    int sys_errno = errno;
    ssize_t written = write(note_fd, &note, sizeof note); /* a full pipe holds enough of them */

    (void)context;
    (void)written;
    errno = sys_errno;
}

static void take_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP;
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaction(passed_on[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

int ps_supervisor_open(struct ps_supervisor *s, uint32_t grace_s, struct penstock_error *error)
{
    memset(s, 0, sizeof *s);
    s->grace_ns = grace_s * PS_NS_PER_S;
    s->tell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->tell_fd < 0 || pipe2(s->signal_fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot watch for signals");
    note_fd = s->signal_fds[1];
    take_signals();
    /* So that processes left by the child come here to be waited for, as they do to process 1. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return PENSTOCK_OK;
}

void ps_supervisor_close(struct ps_supervisor *s)
{
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        signal(passed_on[i], SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    note_fd = -1;
    for (unsigned i = 0; i < 2; i++)
        if (s->signal_fds[i] > 0)
            close(s->signal_fds[i]);
    if (s->tell_fd > 0)
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
static void become(char *const *argv, char *const *environment, pid_t parent, int report_fd)
{
    int sys_errno;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* it died before that could help */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
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
        become(argv, environment, parent, report[1]);
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

static void pass_on(struct ps_supervisor *s, const struct signal_note *note)
{
    int number = note->number;

    if (number == SIGCHLD) {
        reap(s);
        return;
    }
    /* A terminal signals every process of the foreground group: the child has had it. */
    if (note->code != SI_KERNEL)
        send_child(s, number);
    if (!ends(number))
        return;
    if (s->signal == 0)
        s->signal = number;
    if (s->grace_end_ns == 0)
        s->grace_end_ns = ps_now_ns() + s->grace_ns;
}

void ps_supervisor_end_child(struct ps_supervisor *s)
{
    if (s->grace_end_ns == 0)
        s->grace_end_ns = ps_now_ns() + s->grace_ns;
    send_child(s, SIGTERM);
}

static int until_grace_end_ms(const struct ps_supervisor *s)
{
    uint64_t now_ns = ps_now_ns();

    if (s->grace_end_ns == 0 || s->grace_is_over)
        return -1;
    return s->grace_end_ns <= now_ns ? 0 : (int)((s->grace_end_ns - now_ns) / PS_NS_PER_MS) + 1;
}

void ps_supervisor_wait(struct ps_supervisor *s)
{
    struct pollfd waits[2] = {{.fd = s->signal_fds[0], .events = POLLIN},
                              {.fd = s->tell_fd, .events = POLLIN}};
    struct signal_note note;
    uint64_t told;

    poll(waits, 2, until_grace_end_ms(s));
    while (read(s->signal_fds[0], &note, sizeof note) == (ssize_t)sizeof note)
        pass_on(s, &note);
    while (read(s->tell_fd, &told, sizeof told) > 0)
        continue;
    if (until_grace_end_ms(s) == 0) {
        s->grace_is_over = true;
        send_child(s, SIGKILL);
    }
}

int ps_supervisor_exit_code(const struct ps_supervisor *s)
{
    return WIFSIGNALED(s->child_status) ? 128 + WTERMSIG(s->child_status)
                                        : WEXITSTATUS(s->child_status);
}
