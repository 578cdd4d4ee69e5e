/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_child.c - see bench_child.h. */
#include "bench/bench_child.h"

#include "pipe/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 200 };

extern char **environ;

static int spawn(char *const *argv, int out, int err, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t usual;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE); /* this program ignores it */
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    int sys_errno = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);

    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return sys_errno;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Keeps what begins the output. */
static bool take_out(int fd, struct bench_child *child, size_t *have)
{
    char more[4096];
    ssize_t got = read(fd, more, sizeof more);
    size_t room = sizeof child->out - 1 - *have;

    if (got <= 0)
        return got < 0 && errno == EINTR;
    size_t taken = (size_t)got < room ? (size_t)got : room;

    memcpy(child->out + *have, more, taken);
    *have += taken;
    child->out[*have] = '\0';
    return true;
}

/* Keeps the last line that is not empty. */
static bool take_said(int fd, struct bench_child *child, char *tail, size_t *have)
{
    size_t room = sizeof child->said - 1;
    char more[1024];
    ssize_t got = read(fd, more, sizeof more / 2);

    if (got <= 0)
        return got < 0 && errno == EINTR;
    if (*have + (size_t)got > room) {
        size_t keep = room - (size_t)got < *have ? room - (size_t)got : *have;

        memmove(tail, tail + *have - keep, keep);
        *have = keep;
    }
    memcpy(tail + *have, more, (size_t)got);
    *have += (size_t)got;
    return true;
}

static void last_line(struct bench_child *child, const char *tail, size_t have)
{
    while (have > 0 && (tail[have - 1] == '\n' || tail[have - 1] == ' '))
        have--;
    size_t from = have;

    while (from > 0 && tail[from - 1] != '\n')
        from--;
    snprintf(child->said, sizeof child->said, "%.*s", (int)(have - from), tail + from);
}

static void collect(pid_t pid, int out, int err, struct bench_child *child)
{
    struct pollfd fds[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    char tail[sizeof child->said];
    size_t out_bytes = 0, tail_bytes = 0;
    bool told = false;

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        poll(fds, 2, LOOK_MS);
        if (ps_stop_signal() && !told) {
            kill(-pid, SIGTERM);
            told = true;
        }
        if (fds[0].revents && !take_out(out, child, &out_bytes))
            fds[0].fd = -1;
        if (fds[1].revents && !take_said(err, child, tail, &tail_bytes))
            fds[1].fd = -1;
    }
    last_line(child, tail, tail_bytes);
}

void bench_child_run(char *const *argv, struct bench_child *child)
{
    int out[2], err[2];
    pid_t pid;

    *child = (struct bench_child){.code = 127};
    if (pipe2(out, O_CLOEXEC) != 0)
        return;
    if (pipe2(err, O_CLOEXEC) != 0) {
        close(out[0]);
        close(out[1]);
        return;
    }
    int sys_errno = spawn(argv, out[1], err[1], &pid);

    close(out[1]);
    close(err[1]);
    if (sys_errno != 0) {
        snprintf(child->said, sizeof child->said, "%s: %s", argv[0], strerror(sys_errno));
    } else {
        collect(pid, out[0], err[0], child);
        child->code = wait_for(pid);
    }
    close(out[0]);
    close(err[0]);
}

pid_t bench_child_start(char *const *argv, const char *log_path)
{
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t pid = -1;

    if (fd < 0)
        return -1;
    int sys_errno = spawn(argv, fd, fd, &pid);

    close(fd);
    errno = sys_errno;
    return sys_errno == 0 ? pid : -1;
}

void bench_child_end(pid_t pid)
{
    kill(pid, SIGTERM);
    wait_for(pid);
}
