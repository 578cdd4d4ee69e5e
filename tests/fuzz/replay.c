/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/replay.c - a main for fuzz targets: runs each file named on the command line, and each
 * file in the directories named there, through LLVMFuzzerTestOneInput. No argument: the target's
 * corpus, tests/fuzz/corpus/<program>. Fails when there is no input at all.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size); /* of the exact size: ASan sees the first byte too many */
    FILE *file = fopen(path, "rb");
    if ((data == NULL && size > 0) || file == NULL || fread(data, 1, size, file) != size)
        fail(path);
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static unsigned replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        fail(path);
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return 1;
    }
    unsigned count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL)
        fail(path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name) >= (int)sizeof(inner)) {
            errno = ENAMETOOLONG;
            fail(path);
        }
        count += replay(inner);
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash != NULL ? slash + 1 : argv[0];
    unsigned count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    if (argc < 2) {
        char corpus[4096];
        (void)snprintf(corpus, sizeof(corpus), "tests/fuzz/corpus/%s", name);
        count = replay(corpus);
    }
    printf("%s: %u inputs replayed\n", name, count);
    return count > 0 ? 0 : 1;
}
