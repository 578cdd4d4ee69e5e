/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_process.c - keys that a program of the user's prints.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Process credential provider": the command is run by
 * the shell, must print JSON with "Version": 1, and end with 0. What it writes to standard error
 * is its own.
 */
#include "pipe/credentials_sources.h"

#include "pipe/clock.h"
#include "pipe/error.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_BYTES 65536
#define RUN_NS_MAX (60 * PS_NS_PER_S)
#define POLL_MS 50 /* how often the stop flag is looked at */

extern char **environ;

/* In a process group of its own, so that all of it can be ended, and with the signals of a fresh
 * process: the library's threads block theirs. */
static int start(const char *command, int out_fd, pid_t *pid)
{
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                          (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    int failure = posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, environ);

    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

/* Reads to the end of the output. Returns its length, or -1 when it is too long or takes too long,
 * or *stop is set. */
static ssize_t read_output(int fd, const atomic_bool *stop, char *out, size_t size)
{
    uint64_t end_ns = ps_now_ns() + RUN_NS_MAX;
    size_t len_bytes = 0;

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};

        if (ps_now_ns() >= end_ns || len_bytes == size || (stop && atomic_load(stop)))
            return -1;
        if (poll(&wait, 1, POLL_MS) <= 0)
            continue;
        ssize_t got = read(fd, out + len_bytes, size - len_bytes);

        if (got == 0)
            return (ssize_t)len_bytes;
        if (got > 0)
            len_bytes += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
}

static bool has_version_1(const char *text, size_t len_bytes)
{
    json_t *object = json_loadb(text, len_bytes, 0, NULL);
    bool is_1 = json_integer_value(json_object_get(object, "Version")) == 1;

    json_decref(object);
    return is_1;
}

/* Waits for the end of a program that has closed its output; false as read_output. */
static bool join(pid_t pid, const atomic_bool *stop, int *status)
{
    const struct timespec pause = {.tv_nsec = 10 * PS_NS_PER_MS};
    uint64_t end_ns = ps_now_ns() + RUN_NS_MAX;
    pid_t got;

    while ((got = waitpid(pid, status, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
        if (ps_now_ns() >= end_ns || (stop && atomic_load(stop)))
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

static int run(const char *command, const atomic_bool *stop, char *text, size_t size,
               ssize_t *len_bytes, int *status)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    int failure = start(command, ends[1], &pid);

    close(ends[1]);
    if (failure == 0) {
        *len_bytes = read_output(ends[0], stop, text, size);
        if (*len_bytes < 0 || !join(pid, stop, status)) {
            *len_bytes = -1;
            kill(-pid, SIGKILL);
            while (waitpid(pid, status, 0) < 0 && errno == EINTR)
                continue;
        }
    }
    close(ends[0]);
    return failure;
}

int ps_keys_process(const char *command, const char *profile, const atomic_bool *stop,
                    struct ps_credentials *out, struct penstock_error *error)
{
    char text[OUTPUT_BYTES];
    ssize_t len_bytes = 0;
    int status = 0;
    int rc;

    snprintf(out->origin, sizeof out->origin, "the credential_process of profile '%s'", profile);
    int failure = run(command, stop, text, sizeof text, &len_bytes, &status);

    if (failure != 0)
        rc = ps_fail_errno(error, PENSTOCK_E_CREDENTIALS, failure, "%s cannot be run", out->origin);
    else if (len_bytes < 0)
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS,
                     "%s did not end within a minute, or printed too much", out->origin);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS, "%s failed with %s %d", out->origin,
                     WIFEXITED(status) ? "exit code" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    else if (!has_version_1(text, (size_t)len_bytes))
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS,
                     "%s did not print a JSON object with \"Version\": 1", out->origin);
    else
        rc = ps_key_parse_json(text, (size_t)len_bytes, out, error);
    explicit_bzero(text, sizeof text);
    return rc;
}
