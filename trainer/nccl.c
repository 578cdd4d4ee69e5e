/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/nccl.c - see trainer/nccl.h. */
#include "trainer/nccl.h"

#include "trainer/symbols.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libnccl.so.2"
#define VERSION_LEAST 21400 /* communicators that do not block */
#define CONFIG_MAGIC 0xcafebeefU
#define TYPE_WORD 5
#define TYPE_FLOAT 7
#define TYPE_DOUBLE 8

static int find_symbols(void *library, struct tr_nccl *nccl, struct tr_error *why)
{
    const struct tr_symbol symbols[] = {
        {"ncclGetVersion", &nccl->get_version},
        {"ncclGetUniqueId", &nccl->get_unique_id},
        {"ncclCommInitRankConfig", &nccl->comm_init},
        {"ncclCommGetAsyncError", &nccl->get_async_error},
        {"ncclAllReduce", &nccl->all_reduce},
        {"ncclCommFinalize", &nccl->comm_finalize},
        {"ncclCommDestroy", &nccl->comm_destroy},
        {"ncclCommAbort", &nccl->comm_abort},
        {"ncclGetErrorString", &nccl->error_string},
        {"ncclGetLastError", &nccl->last_error},
    };
    const char *missing = tr_symbols_find(library, symbols, sizeof symbols / sizeof symbols[0]);
    return missing ? tr_fail(why, "NCCL has no symbol %s: version 2.14 at least is needed", missing)
                   : 0;
}

int tr_nccl_open(struct tr_nccl *nccl, struct tr_error *why)
{
    const char *path = getenv("PENSTOCK_NCCL");
    if (path && strcmp(path, "off") == 0)
        return tr_fail(why, "PENSTOCK_NCCL=off");
    void *library = dlopen(path && *path ? path : LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return tr_fail(why, "%s", dlerror());
    if (find_symbols(library, nccl, why) < 0)
        return -1;
    if (nccl->get_version(&nccl->version) != TR_NCCL_SUCCESS || nccl->version < VERSION_LEAST)
        return tr_fail(why, "NCCL is of version %d, and 2.14 (%d) at least is needed",
                       nccl->version, VERSION_LEAST);
    return 0;
}

int tr_nccl_type(enum tr_number type)
{
    switch (type) {
    case TR_NUMBER_FLOAT:
        return TYPE_FLOAT;
    case TR_NUMBER_DOUBLE:
        return TYPE_DOUBLE;
    case TR_NUMBER_WORD:
        return TYPE_WORD;
    }
    return TYPE_WORD;
}

int tr_nccl_begin(const struct tr_nccl *nccl, const struct tr_nccl_id *id, uint32_t rank,
                  uint32_t count, struct tr_nccl_comm **comm)
{
    struct tr_nccl_config config = {
        .size = sizeof config, .magic = CONFIG_MAGIC, .version = VERSION_LEAST, .blocking = 0};
    *comm = NULL;
    return nccl->comm_init(comm, (int)count, *id, (int)rank, &config);
}

int tr_nccl_failed(const struct tr_nccl *nccl, struct tr_nccl_comm *comm, int result,
                   struct tr_error *error)
{
    const char *more = comm ? nccl->last_error(comm) : NULL;
    return tr_fail(error, "NCCL: %s%s%.1000s", nccl->error_string(result),
                   more && *more ? ": " : "", more && *more ? more : "");
}
