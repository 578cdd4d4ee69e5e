/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mpi.c - see trainer/mpi.h. Types and constants are those of Open MPI's mpi.h, which are
 * part of its ABI since 1.7: handles are pointers to objects that the library exports.
 */
#include "trainer/mpi.h"

#include "trainer/symbols.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libmpi.so.40"
#define SUCCESS 0
#define IN_PLACE ((void *)1)
#define STATUS_IGNORE ((void *)0)
#define THREAD_FUNNELED 1
#define ERROR_TEXT_BYTES 256   /* MPI_MAX_ERROR_STRING */
#define VERSION_TEXT_BYTES 256 /* MPI_MAX_LIBRARY_VERSION_STRING */
#define BROADCAST_BYTES_MAX (1U << 30)

typedef void *handle; /* MPI_Comm, MPI_Datatype, MPI_Op, MPI_Request, MPI_Errhandler */

struct tr_mpi {
    void *library;
    int (*init_thread)(int *argc, char ***argv, int required, int *provided);
    int (*set_errhandler)(handle comm, handle handler);
    int (*library_version)(char *text, int *len);
    int (*error_string)(int code, char *text, int *len);
    int (*bcast)(void *bytes, int count, handle type, int root, handle comm);
    int (*iallreduce)(const void *from, void *to, int count, handle type, handle op, handle comm,
                      handle *request);
    int (*test)(handle *request, int *done, void *status);
    int (*finalize)(void);
    handle world;
    handle byte;
    handle types[3]; /* of enum tr_number */
    handle sum;
    handle errors_return;
    handle request;
    char version[VERSION_TEXT_BYTES];
};

/* --- opening -------------------------------------------------------------------------------------
 */

static int load(struct tr_mpi *mpi, struct tr_error *error)
{
    const struct tr_symbol symbols[] = {
        {"MPI_Init_thread", &mpi->init_thread},
        {"MPI_Comm_set_errhandler", &mpi->set_errhandler},
        {"MPI_Get_library_version", &mpi->library_version},
        {"MPI_Error_string", &mpi->error_string},
        {"MPI_Bcast", &mpi->bcast},
        {"MPI_Iallreduce", &mpi->iallreduce},
        {"MPI_Test", &mpi->test},
        {"MPI_Finalize", &mpi->finalize},
        {"ompi_mpi_comm_world", &mpi->world},
        {"ompi_mpi_byte", &mpi->byte},
        {"ompi_mpi_float", &mpi->types[TR_NUMBER_FLOAT]},
        {"ompi_mpi_double", &mpi->types[TR_NUMBER_DOUBLE]},
        {"ompi_mpi_uint64_t", &mpi->types[TR_NUMBER_WORD]},
        {"ompi_mpi_op_sum", &mpi->sum},
        {"ompi_mpi_errors_return", &mpi->errors_return},
    };
    /* its components look for its symbols among all */
    mpi->library = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL);
    if (!mpi->library)
        return tr_fail(error, "Open MPI cannot be opened: %s", dlerror());
    const char *missing =
        tr_symbols_find(mpi->library, symbols, sizeof symbols / sizeof symbols[0]);
    return missing ? tr_fail(error, LIBRARY " has no symbol %s: it is not Open MPI's", missing) : 0;
}

static int check(struct tr_mpi *mpi, int rc, const char *what, struct tr_error *error)
{
    char text[ERROR_TEXT_BYTES] = "";
    int len = 0;
    if (rc == SUCCESS)
        return 0;
    mpi->error_string(rc, text, &len);
    return tr_fail(error, "%s: %s", what, text);
}

/* The library stays: what it has started does not come apart safely. */
int tr_mpi_open(struct tr_mpi **out, struct tr_error *error)
{
    struct tr_mpi *mpi = calloc(1, sizeof *mpi);
    int provided;
    int len = 0;
    *out = NULL;
    if (!mpi)
        return tr_fail(error, "no memory");
    if (load(mpi, error) < 0 ||
        check(mpi, mpi->init_thread(NULL, NULL, THREAD_FUNNELED, &provided), "MPI_Init_thread",
              error) < 0 ||
        check(mpi, mpi->set_errhandler(mpi->world, mpi->errors_return), "MPI_Comm_set_errhandler",
              error) < 0) {
        free(mpi);
        return -1;
    }
    if (mpi->library_version(mpi->version, &len) != SUCCESS)
        mpi->version[0] = '\0';
    mpi->version[strcspn(mpi->version, ",\n")] = '\0';
    *out = mpi;
    return 0;
}

const char *tr_mpi_version(const struct tr_mpi *mpi)
{
    return mpi->version;
}

/* --- calls ---------------------------------------------------------------------------------------
 */

int tr_mpi_broadcast(struct tr_mpi *mpi, void *bytes, size_t len_bytes, struct tr_error *error)
{
    if (len_bytes > BROADCAST_BYTES_MAX)
        return tr_fail(error, "a broadcast of %zu bytes by MPI", len_bytes);
    return check(mpi, mpi->bcast(bytes, (int)len_bytes, mpi->byte, 0, mpi->world), "MPI_Bcast",
                 error);
}

int tr_mpi_sum_begin(struct tr_mpi *mpi, void *values, size_t n, enum tr_number type,
                     struct tr_error *error)
{
    if (n > TR_MPI_VALUES_MAX)
        return tr_fail(error, "a sum of %zu values by MPI", n);
    return check(mpi,
                 mpi->iallreduce(IN_PLACE, values, (int)n, mpi->types[type], mpi->sum, mpi->world,
                                 &mpi->request),
                 "MPI_Iallreduce", error);
}

int tr_mpi_sum_done(struct tr_mpi *mpi, struct tr_error *error)
{
    int done = 0;
    if (check(mpi, mpi->test(&mpi->request, &done, STATUS_IGNORE), "MPI_Test", error) < 0)
        return -1;
    return done != 0;
}

void tr_mpi_close(struct tr_mpi **mpi, bool together)
{
    struct tr_mpi *m = *mpi;
    *mpi = NULL;
    if (!m)
        return;
    if (together)
        m->finalize();
    free(m);
}
