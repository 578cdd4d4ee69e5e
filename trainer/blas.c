/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/blas.c - see blas.h. */
#include "trainer/blas.h"

#include "trainer/symbols.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LIBRARY "libopenblas.so.0"
#define LAPACK "liblapack.so.3"
#define THREADS_MAX 64L

static int wanted_threads(void)
{
    const char *text = getenv("OPENBLAS_NUM_THREADS");
    long count = text ? strtol(text, NULL, 10) : 1;
    if (count < 1)
        count = 1;
    return (int)(count < THREADS_MAX ? count : THREADS_MAX);
}

static __typeof__(&openblas_set_num_threads) set_num_threads;

/* OpenBLAS as distributions build it has LAPACK inside. */
static void find_lapack(struct tr_blas *blas, void *library)
{
    const struct tr_symbol dsyevd = {"dsyevd_", &blas->dsyevd};
    if (!tr_symbols_find(library, &dsyevd, 1))
        return;
    void *lapack = dlopen(LAPACK, RTLD_NOW | RTLD_LOCAL);
    if (lapack)
        tr_symbols_find(lapack, &dsyevd, 1);
}

static bool load(struct tr_blas *blas, char *text, size_t text_bytes)
{
    /* As many threads as this says are started when it is loaded. */
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(text, text_bytes, "OpenBLAS cannot be opened (%s): install libopenblas0-pthread",
                 dlerror());
        return false;
    }
    const struct tr_symbol symbols[] = {{"openblas_set_num_threads", &set_num_threads},
                                        {"cblas_ssyrk", &blas->ssyrk},
                                        {"cblas_sgemm", &blas->sgemm}};
    if (!tr_symbols_find(library, symbols, sizeof symbols / sizeof *symbols)) {
        find_lapack(blas, library);
        return true;
    }
    snprintf(text, text_bytes, "%s is not OpenBLAS: it lacks cblas_sgemm", LIBRARY);
    return false;
}

const struct tr_blas *tr_blas_open(char *text, size_t text_bytes)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    static struct tr_blas blas;
    int threads = wanted_threads();
    pthread_mutex_lock(&one_at_a_time);
    bool loaded = blas.sgemm || load(&blas, text, text_bytes);
    if (loaded && blas.threads != threads) {
        blas.threads = threads;
        set_num_threads(threads);
    }
    pthread_mutex_unlock(&one_at_a_time);
    return loaded ? &blas : NULL;
}
