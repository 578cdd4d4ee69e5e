/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/checkpoint_files.c - see trainer/checkpoint_files.h. */
#include "trainer/checkpoint_files.h"

#include "trainer/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "checkpoint-"
#define SUFFIX ".safetensors"

void tr_checkpoint_name(char name[TR_CHECKPOINT_NAME_BYTES], uint32_t epoch, uint64_t batch)
{
    snprintf(name, TR_CHECKPOINT_NAME_BYTES, PREFIX "%010" PRIu32 "-%012" PRIu64 SUFFIX, epoch,
             batch);
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* Digits of a fixed number, so that names are in the order of the points in time. */
static bool is_ours(const char *name)
{
    char model[TR_CHECKPOINT_NAME_BYTES];
    tr_checkpoint_name(model, 0, 0);
    return strlen(name) == strlen(model) && strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           ends_in(name, SUFFIX);
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(b, a);
}

int tr_checkpoint_list(const char *directory, struct tr_checkpoint_names *out,
                       struct tr_error *error)
{
    DIR *listing = opendir(directory);
    size_t room = 0;
    const struct dirent *entry;
    *out = (struct tr_checkpoint_names){.count = 0};
    if (!listing)
        return errno == ENOENT
                   ? 0
                   : tr_fail(error, "cannot list the directory %s: %s", directory, strerror(errno));
    while ((entry = readdir(listing)) != NULL) {
        if (!is_ours(entry->d_name))
            continue;
        if (out->count == room) {
            room = room * 2 + 16;
            void *grown = realloc(out->names, room * sizeof *out->names);
            if (!grown) {
                closedir(listing);
                return tr_fail(error, "no memory");
            }
            out->names = grown;
        }
        memcpy(out->names[out->count++], entry->d_name, strlen(entry->d_name) + 1); /* is_ours */
    }
    closedir(listing);
    if (out->count > 0)
        qsort(out->names, out->count, sizeof *out->names, newest_first);
    return 0;
}

void tr_checkpoint_names_free(struct tr_checkpoint_names *names)
{
    free(names->names);
    *names = (struct tr_checkpoint_names){.count = 0};
}

void tr_checkpoint_prune(const char *directory, uint32_t keep)
{
    struct tr_checkpoint_names names;
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at >= 0 && tr_checkpoint_list(directory, &names, NULL) == 0) {
        for (size_t i = keep; i < names.count; i++)
            unlinkat(at, names.names[i], 0);
        tr_checkpoint_names_free(&names);
    }
    if (at >= 0) {
        fsync(at); /* names, too, outlive a machine that loses its power */
        close(at);
    }
}

void tr_checkpoint_sweep(const char *directory)
{
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing)) != NULL) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 &&
            ends_in(entry->d_name, TR_OUTPUT_SUFFIX))
            unlinkat(dirfd(listing), entry->d_name, 0);
    }
    if (listing)
        closedir(listing);
}
