/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_service.c - answers about the service as a whole: which buckets there are. */
#include "bench/serve_request.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bucket {
    char *name;
    time_t made_at;
};

struct buckets {
    struct bucket *items;
    size_t count;
    size_t cap;
};

static bool add_bucket(struct buckets *buckets, const char *name, time_t made_at)
{
    struct bucket *grown = buckets->items;

    if (buckets->count == buckets->cap) {
        size_t cap = buckets->cap ? 2 * buckets->cap : 16;

        grown = realloc(buckets->items, cap * sizeof *grown);
        if (!grown)
            return false;
        buckets->items = grown;
        buckets->cap = cap;
    }
    grown[buckets->count].name = strdup(name);
    grown[buckets->count].made_at = made_at;
    return grown[buckets->count].name != NULL && ++buckets->count > 0;
}

static int compare_buckets(const void *a, const void *b)
{
    const struct bucket *left = a, *right = b;

    return strcmp(left->name, right->name);
}

static void free_buckets(struct buckets *buckets)
{
    for (size_t i = 0; i < buckets->count; i++)
        free(buckets->items[i].name);
    free(buckets->items);
}

/* Finds every bucket, in ascending order. Returns false when the root cannot be read. */
static bool find_buckets(int root_fd, struct buckets *buckets)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *item;
    bool ok = true;

    *buckets = (struct buckets){0};
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (ok && (item = readdir(dir)) != NULL) {
        int bucket_fd = serve_store_open_bucket(root_fd, item->d_name);
        struct stat st;

        if (bucket_fd < 0)
            continue;
        if (fstat(bucket_fd, &st) == 0)
            ok = add_bucket(buckets, item->d_name, st.st_ctim.tv_sec);
        close(bucket_fd);
    }
    closedir(dir);
    if (buckets->count > 0)
        qsort(buckets->items, buckets->count, sizeof *buckets->items, compare_buckets);
    return ok;
}

unsigned serve_bucket_count(const struct serve *serve)
{
    struct buckets buckets;

    (void)find_buckets(serve->root_fd, &buckets);
    free_buckets(&buckets);
    return (unsigned)buckets.count;
}

enum MHD_Result serve_answer_service(struct serve_request *request)
{
    struct serve_text xml = {0};
    struct buckets buckets;

    if (strcmp(request->method, "GET") != 0)
        return serve_answer_method_not_allowed(request, "GET");
    if (!find_buckets(request->serve->root_fd, &buckets)) {
        free_buckets(&buckets);
        return serve_reply_simple_error(request, 500, "InternalError",
                                        "The served directory cannot be read.");
    }
    serve_text_str(&xml,
                   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                   "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                   "<Owner><ID>penstock</ID></Owner><Buckets>");
    for (size_t i = 0; i < buckets.count; i++) {
        char made_at[32];
        struct tm tm;

        gmtime_r(&buckets.items[i].made_at, &tm);
        strftime(made_at, sizeof made_at, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        serve_text_format(&xml, "<Bucket><Name>%s</Name><CreationDate>%s</CreationDate></Bucket>",
                          buckets.items[i].name, made_at);
    }
    serve_text_str(&xml, "</Buckets></ListAllMyBucketsResult>");
    free_buckets(&buckets);
    return serve_reply_xml(request, 200, &xml);
}
