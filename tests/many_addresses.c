/* SPDX-License-Identifier: Apache-2.0 */
/* tests/many_addresses.c - a host name with several loopback addresses, as S3's has, for a program
 * that is run with this library in LD_PRELOAD.
 *
 *     MANY_ADDRESSES="storage.test 127.0.0.2 127.0.0.3" MANY_ADDRESSES_LOG=FILE
 *
 * getaddrinfo gives these addresses, in that order, for the name; FILE gets the address of each
 * connection that is tried, one a line.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#pragma GCC visibility push(default)

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);
typedef int connect_fn(int, const struct sockaddr *, socklen_t);

/* POSIX lets a pointer to data be one to a function; C does not. */
static void *next(const char *name, void *out)
{
    void *found = dlsym(RTLD_NEXT, name);

    return memcpy(out, &found, sizeof found);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **answers)
{
    char words[256], *rest = words;
    struct addrinfo **end = answers;
    getaddrinfo_fn *real;
    int rc = EAI_NONAME;

    next("getaddrinfo", &real);
    snprintf(words, sizeof words, "%s", getenv("MANY_ADDRESSES") ? getenv("MANY_ADDRESSES") : "");
    const char *word = strsep(&rest, " ");

    if (!node || strcmp(node, word) != 0)
        return real(node, service, hints, answers);
    /* glibc frees a list node by node: lists of one can be joined. */
    while ((word = strsep(&rest, " ")) && (rc = real(word, service, hints, end)) == 0)
        while (*end)
            end = &(*end)->ai_next;
    return rc;
}

int connect(int fd, const struct sockaddr *address, socklen_t len_bytes)
{
    const char *path = getenv("MANY_ADDRESSES_LOG");
    char line[INET_ADDRSTRLEN];
    connect_fn *real;

    next("connect", &real);
    if (path && address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

        inet_ntop(AF_INET, &v4->sin_addr, line, sizeof line);
        if (log < 0 || dprintf(log, "%s\n", line) < 0)
            perror(path);
        close(log);
    }
    return real(fd, address, len_bytes);
}
