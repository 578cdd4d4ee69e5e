/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_own_server.c - see bench_own_server.h. */
#include "bench/bench_own_server.h"

#include "bench/bench_child.h"
#include "bench/bench_download.h"
#include "pipe/stop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { FILES = 4, FILE_MIB = 64, LOOKS = 500, LOOK_NS = 20000000 };

static int fail(struct penstock_error *error, const char *what, const char *path)
{
    snprintf(error->message, sizeof error->message, "cannot %s %s: %s", what, path,
             strerror(errno));
    return error->rc = PENSTOCK_E_SYSTEM;
}

static int write_object(const char *path, const char *block, struct penstock_error *error)
{
    FILE *out = fopen(path, "we");
    bool good = out != NULL;

    for (int i = 0; good && i < FILE_MIB; i++)
        good = fwrite(block, MIB, 1, out) == 1;
    if (out && fclose(out) != 0)
        good = false;
    return good ? PENSTOCK_OK : fail(error, "write", path);
}

static int make_objects(const char *data, struct penstock_error *error)
{
    char path[700];
    char *block = malloc(MIB);
    int rc = PENSTOCK_OK;

    snprintf(path, sizeof path, "%s/bench", data);
    if (!block || mkdir(data, 0700) != 0 || mkdir(path, 0700) != 0)
        rc = fail(error, "make", path);
    for (size_t done = 0; rc == PENSTOCK_OK && done < MIB;) {
        ssize_t got = getrandom(block + done, MIB - done, 0);

        done += got > 0 ? (size_t)got : 0;
    }
    for (int i = 0; rc == PENSTOCK_OK && i < FILES; i++) {
        snprintf(path, sizeof path, "%s/bench/object-%04d", data, i);
        rc = write_object(path, block, error);
    }
    free(block);
    return rc;
}

/* The port that it writes when it is ready; 0: it does not come. */
static unsigned wait_port(const char *path)
{
    unsigned port = 0;

    for (int i = 0; i < LOOKS && port == 0 && !ps_stop_signal(); i++) {
        FILE *in = fopen(path, "re");
        char text[16] = "";

        if (in && fgets(text, sizeof text, in) && strchr(text, '\n'))
            port = (unsigned)strtoul(text, NULL, 10);
        if (in)
            fclose(in);
        if (port == 0)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return port;
}

int bench_own_server_start(struct bench_own_server *server, const char *wished,
                           struct penstock_error *error)
{
    const char *where = wished ? wished : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL;
    int rc = bench_directory_make(where, server->dir, sizeof server->dir, error);

    if (rc != PENSTOCK_OK) {
        server->dir[0] = '\0';
        return rc;
    }
    char data[600], port_path[600], log_path[600];

    snprintf(data, sizeof data, "%s/data", server->dir);
    snprintf(port_path, sizeof port_path, "%s/port", server->dir);
    snprintf(log_path, sizeof log_path, "%s/log", server->dir);
    rc = make_objects(data, error);
    if (rc != PENSTOCK_OK)
        return rc;
    const char *const argv[] = {"/proc/self/exe", "serve",   "--anonymous", "--port", "0",
                                "--port-file",    port_path, data,          NULL};
    pid_t pid = bench_child_start((char *const *)(uintptr_t)argv, log_path);

    if (pid < 0)
        return fail(error, "start", "penstock serve");
    server->pid = pid;
    unsigned port = wait_port(port_path);

    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", port);
    if (ps_stop_signal())
        return PENSTOCK_E_STOPPED;
    return port > 0 ? PENSTOCK_OK : fail(error, "wait for", "penstock serve");
}

void bench_own_server_end(struct bench_own_server *server)
{
    if (server->pid > 0)
        bench_child_end(server->pid);
    if (server->dir[0])
        bench_directory_remove(server->dir);
}
