/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fake_nccl.c - a libnccl.so.2 (PENSTOCK_NCCL) whose ranks are threads of one process, and
 * whose GPUs' memory is the host's. A sum keeps its thread until all ranks have come to it, or it
 * is aborted, as NCCL's keeps a stream. $FAKE_NCCL makes it fail:
 *
 *     no_id     there is no identifier
 *     no_comm   rank 1 is refused a communicator
 *     refused   rank 1's second sum is refused
 *     remote    after the second sum each rank sees that another one is gone
 *     old       it is of version 2.13
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(default)

enum { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_USAGE = 5, REMOTE_ERROR = 6, IN_PROGRESS = 7 };
enum { RANKS_MAX = 8, RUNS_MAX = 64, COMMS_MAX = 256, LOOKS_BEFORE_READY = 3 };
enum { TYPE_WORD = 5, TYPE_FLOAT = 7, TYPE_DOUBLE = 8 };

struct id {
    char bytes[128];
};

struct comm;

/* What the ranks of one identifier share. */
struct run {
    int ranks;
    int joined;
    int parted;
    int come; /* to the sum under way */
    uint64_t sums;
    uint8_t *values[RANKS_MAX];
    bool broken; /* a rank has aborted its part: no sum can be any more */
};

struct comm {
    struct run *run;
    int rank;
    int looks; /* before it is ready */
    uint64_t sums;
    bool aborted;
};

struct config {
    size_t size;
    unsigned magic;
    unsigned version;
    int blocking;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct run runs[RUNS_MAX];
static int run_count;
static struct comm comms[COMMS_MAX]; /* none is used again: it may be asked on another thread */
static int comm_count;
static int destroyed;
static int aborted;

int fake_nccl_destroyed(void);
int fake_nccl_aborted(void);
int ncclGetVersion(int *version);
int ncclGetUniqueId(struct id *id);
int ncclCommInitRankConfig(struct comm **out, int ranks, struct id id, int rank,
                           const struct config *config);
int ncclCommGetAsyncError(struct comm *comm, int *error);
int ncclAllReduce(const void *from, void *to, size_t n, int type, int operation, struct comm *comm,
                  void *stream);
int ncclCommFinalize(struct comm *comm);
int ncclCommDestroy(struct comm *comm);
int ncclCommAbort(struct comm *comm);
const char *ncclGetErrorString(int result);
const char *ncclGetLastError(struct comm *comm);

static bool told(const char *what)
{
    const char *text = getenv("FAKE_NCCL");
    return text && strcmp(text, what) == 0;
}

static int count_of(const int *counter)
{
    pthread_mutex_lock(&mutex);
    int count = *counter;
    pthread_mutex_unlock(&mutex);
    return count;
}

int fake_nccl_destroyed(void)
{
    return count_of(&destroyed);
}

int fake_nccl_aborted(void)
{
    return count_of(&aborted);
}

int ncclGetVersion(int *version)
{
    *version = told("old") ? 21304 : 29901;
    return SUCCESS;
}

int ncclGetUniqueId(struct id *id)
{
    if (told("no_id"))
        return SYSTEM_ERROR;
    pthread_mutex_lock(&mutex);
    memset(id->bytes, run_count++, sizeof id->bytes);
    pthread_mutex_unlock(&mutex);
    return SUCCESS;
}

int ncclCommInitRankConfig(struct comm **out, int ranks, struct id id, int rank,
                           const struct config *config)
{
    bool good = config->size == sizeof *config && config->magic == 0xcafebeef &&
                config->version >= 21400 && config->blocking == 0;
    *out = NULL;
    if (!good || (told("no_comm") && rank == 1) || id.bytes[0] != id.bytes[127])
        return INVALID_USAGE;
    pthread_mutex_lock(&mutex);
    if (comm_count == COMMS_MAX) {
        pthread_mutex_unlock(&mutex);
        return SYSTEM_ERROR;
    }
    *out = &comms[comm_count++];
    struct run *run = &runs[(int)id.bytes[0]];
    run->ranks = ranks;
    run->joined++;
    **out = (struct comm){.run = run, .rank = rank, .looks = LOOKS_BEFORE_READY};
    pthread_mutex_unlock(&mutex);
    return IN_PROGRESS;
}

/* Ready when all have joined, and somewhat later than that. */
int ncclCommGetAsyncError(struct comm *comm, int *error)
{
    struct run *run = comm->run;
    pthread_mutex_lock(&mutex);
    bool parting = run->parted > 0 && run->parted < run->ranks;
    if (run->joined < run->ranks || parting || comm->looks > 0) {
        comm->looks -= comm->looks > 0;
        *error = IN_PROGRESS;
    } else {
        *error = told("remote") && run->sums >= 2 ? REMOTE_ERROR : SUCCESS;
    }
    pthread_mutex_unlock(&mutex);
    return SUCCESS;
}

static void add(uint8_t *to, const uint8_t *from, size_t n, int type)
{
    for (size_t i = 0; i < n; i++) {
        if (type == TYPE_FLOAT)
            ((float *)(void *)to)[i] += ((const float *)(const void *)from)[i];
        else if (type == TYPE_DOUBLE)
            ((double *)(void *)to)[i] += ((const double *)(const void *)from)[i];
        else
            ((uint64_t *)(void *)to)[i] += ((const uint64_t *)(const void *)from)[i];
    }
}

static void add_all(struct run *run, size_t n, int type)
{
    for (int r = 1; r < run->ranks; r++)
        add(run->values[0], run->values[r], n, type);
    for (int r = 1; r < run->ranks; r++)
        memcpy(run->values[r], run->values[0], n * (type == TYPE_FLOAT ? 4 : 8));
}

int ncclAllReduce(const void *from, void *to, size_t n, int type, int operation, struct comm *comm,
                  void *stream)
{
    struct run *run = comm->run;
    (void)stream;
    if (from != to || operation != 0 ||
        (type != TYPE_WORD && type != TYPE_FLOAT && type != TYPE_DOUBLE))
        return INVALID_USAGE;
    pthread_mutex_lock(&mutex);
    uint64_t own = ++comm->sums;
    if (told("refused") && comm->rank == 1 && own == 2) {
        pthread_mutex_unlock(&mutex);
        return SYSTEM_ERROR;
    }
    run->values[comm->rank] = to;
    if (++run->come == run->ranks && !run->broken) {
        add_all(run, n, type);
        run->come = 0;
        run->sums++;
        pthread_cond_broadcast(&changed);
    }
    while (run->sums < own && !comm->aborted)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return SUCCESS;
}

int ncclCommFinalize(struct comm *comm)
{
    pthread_mutex_lock(&mutex);
    comm->run->parted++;
    pthread_mutex_unlock(&mutex);
    return IN_PROGRESS;
}

int ncclCommDestroy(struct comm *comm)
{
    (void)comm;
    pthread_mutex_lock(&mutex);
    destroyed++;
    pthread_mutex_unlock(&mutex);
    return SUCCESS;
}

int ncclCommAbort(struct comm *comm)
{
    pthread_mutex_lock(&mutex);
    aborted++;
    comm->aborted = true;
    comm->run->broken = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return SUCCESS;
}

const char *ncclGetErrorString(int result)
{
    return result == SYSTEM_ERROR   ? "unhandled system error"
           : result == REMOTE_ERROR ? "remote process exited"
                                    : "invalid usage";
}

const char *ncclGetLastError(struct comm *comm)
{
    (void)comm;
    return "the fake's reason";
}
