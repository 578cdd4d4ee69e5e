/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_open.c - chooses a device by name and says in one line which one and why; opens
 * the CUDA plug-in with dlopen, so that the program itself needs neither CUDA nor a driver.
 */
#include "trainer/device.h"
#include "trainer/symbols.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_NAME "libpenstock_cuda.so"
#define NUMBER_MAX 1023 /* of a GPU */

/* Opens PLUGIN_NAME in `prefix` joined to the program's directory; NULL when it is not there. */
static void *open_near_program(const char *suffix)
{
    char path[PATH_MAX];
    char file[PATH_MAX + 64];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0)
        return NULL;
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    slash[1] = '\0';
    snprintf(file, sizeof file, "%s%s" PLUGIN_NAME, path, suffix);
    return access(file, R_OK) == 0 ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* $PENSTOCK_CUDA_PLUGIN alone when set, else beside the program, in the library directory of the
 * same prefix, and where the dynamic linker looks. */
static void *open_plugin(char *why, size_t why_bytes)
{
    const char *path = getenv("PENSTOCK_CUDA_PLUGIN");
    void *plugin;
    if (path && *path) {
        plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!plugin)
            snprintf(why, why_bytes, "the CUDA plug-in cannot be opened: %s", dlerror());
        return plugin;
    }
    plugin = open_near_program("");
    if (!plugin)
        plugin = open_near_program("../lib/");
    if (!plugin)
        plugin = dlopen(PLUGIN_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!plugin)
        snprintf(why, why_bytes, "no CUDA plug-in (%s)", dlerror());
    return plugin;
}

/* A plug-in is never closed: the CUDA run time in it does not come apart safely. */
static const struct tr_device_ops *cuda_ops(char *why, size_t why_bytes)
{
    tr_cuda_entry_fn entry;
    void *plugin = open_plugin(why, why_bytes);
    if (!plugin)
        return NULL;
    const struct tr_symbol symbol = {TR_CUDA_SYMBOL, &entry};
    if (tr_symbols_find(plugin, &symbol, 1)) {
        snprintf(why, why_bytes, "the CUDA plug-in has no symbol " TR_CUDA_SYMBOL);
        return NULL;
    }
    const struct tr_device_ops *ops = entry();
    if (ops->abi != TR_DEVICE_ABI) {
        snprintf(why, why_bytes, "the CUDA plug-in is of another version (%u, not %u)", ops->abi,
                 (unsigned)TR_DEVICE_ABI);
        return NULL;
    }
    return ops;
}

/* The number of "cuda:1"; -1 where the name says none, -2 where it is none. */
static int number_of(const char *name)
{
    char *end;
    if (strncmp(name, "cuda:", 5) != 0)
        return -1;
    long number = strtol(name + 5, &end, 10);
    return name[5] >= '0' && name[5] <= '9' && *end == '\0' && number <= NUMBER_MAX ? (int)number
                                                                                    : -2;
}

static int open_cuda(int number, uint32_t local_rank, struct tr_device **out, char *text,
                     size_t text_bytes)
{
    const struct tr_device_ops *ops = cuda_ops(text, text_bytes);
    if (!ops)
        return -1;
    uint32_t count = number < 0 ? ops->count() : 0;
    return ops->open(count > 0 ? local_rank % count : (uint32_t)(number > 0 ? number : 0), out,
                     text, text_bytes);
}

int tr_device_open_for(const char *name, uint32_t local_rank, struct tr_device **out, char *line,
                       size_t line_bytes)
{
    char text[512];
    char why[512] = "asked for";
    bool automatic = strcmp(name, "auto") == 0;
    int number = number_of(name);
    int rc;
    *out = NULL;
    if (automatic || number >= 0 || strcmp(name, "cuda") == 0) {
        rc = open_cuda(number, local_rank, out, why, sizeof why);
        if (rc == 0) {
            snprintf(line, line_bytes, "device: cuda (%s)%s", why, automatic ? "" : ": asked for");
            return 0;
        }
        if (!automatic) {
            snprintf(line, line_bytes, "device %s cannot be used: %s", name, why);
            return -1;
        }
        name = "cpu";
    }
    if (strcmp(name, "cpu") == 0) {
        rc = tr_device_cpu.open(0, out, text, sizeof text);
    } else if (strcmp(name, "delayed") == 0) {
        rc = tr_device_delayed.open(0, out, text, sizeof text);
    } else {
        snprintf(line, line_bytes,
                 "there is no device '%s': choose auto, cpu, cuda, cuda:NUMBER or delayed", name);
        return -1;
    }
    if (rc < 0)
        snprintf(line, line_bytes, "device %s cannot be used: %s", name, text);
    else
        snprintf(line, line_bytes, "device: %s (%s): %s", name, text, why);
    return rc;
}

int tr_device_open(const char *name, struct tr_device **out, char *line, size_t line_bytes)
{
    return tr_device_open_for(name, 0, out, line, line_bytes);
}

void tr_device_close(struct tr_device **device)
{
    if (device && *device)
        (*device)->ops->close(device);
}
