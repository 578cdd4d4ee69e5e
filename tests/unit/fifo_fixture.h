/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fifo_fixture.h - a thread that writes FIFOs, one for each epoch, as SageMaker's agent
 * does. SIGPIPE has to be ignored.
 */
#ifndef TESTS_UNIT_FIFO_FIXTURE_H
#define TESTS_UNIT_FIFO_FIXTURE_H

#include "tests/unit/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Writes `bytes` through FIFO train_0, train_1, ..., as SageMaker's agent does: FIFO n + 1 is there
 * before n has ended, and what a reader leaves unread is dropped. */
struct writer {
    struct scratch scratch;
    const uint8_t *bytes;
    size_t len;
    uint32_t epochs;
    size_t write_bytes_max; /* writes are this long at most, of any length below */
    unsigned pause_ms;      /* before the first FIFO is made, and before each first byte */
    size_t lens[8];         /* of each epoch, where has_lens */
    bool has_lens;
    bool late;  /* the next FIFO is made after the last one is gone */
    bool polls; /* for a reader, which has to be there when the writer looks */
    pthread_t thread;
    uint32_t broken_pipes; /* epochs that the reader left early */
};

static inline struct scratch_name fifo_path(const struct writer *w, uint32_t epoch)
{
    struct scratch_name name;

    snprintf(name.text, sizeof name.text, "%s/train_%u", w->scratch.path, epoch);
    return name;
}

static inline void make_fifo(const struct writer *w, uint32_t epoch)
{
    if (mkfifo(fifo_path(w, epoch).text, 0600) != 0 && errno != EEXIST)
        abort();
}

static inline void pause_ms(unsigned ms)
{
    const struct timespec pause = {.tv_nsec = (long)ms * 1000000};

    nanosleep(&pause, NULL);
}

static inline int open_fifo(const struct writer *w, uint32_t epoch)
{
    int flags = O_WRONLY | O_CLOEXEC | (w->polls ? O_NONBLOCK : 0);
    int fd;

    while ((fd = open(fifo_path(w, epoch).text, flags)) < 0) {
        if (!w->polls || errno != ENXIO)
            abort();
        pause_ms(1);
    }
    if (fcntl(fd, F_SETFL, O_WRONLY) != 0)
        abort();
    return fd;
}

static inline void write_epoch(struct writer *w, uint32_t epoch, unsigned *chance)
{
    size_t len = w->has_lens ? w->lens[epoch] : w->len;
    int fd = open_fifo(w, epoch);

    pause_ms(w->pause_ms);
    for (size_t done = 0; done < len;) {
        *chance = *chance * 1103515245u + 12345u;
        size_t most = 1 + (*chance >> 8) % w->write_bytes_max;
        ssize_t wrote = write(fd, w->bytes + done, most < len - done ? most : len - done);

        if (wrote < 0) {
            w->broken_pipes += errno == EPIPE;
            break;
        }
        done += (size_t)wrote;
    }
    if (!w->late)
        make_fifo(w, epoch + 1);
    close(fd);
    unlink(fifo_path(w, epoch).text);
    if (w->late) {
        pause_ms(w->pause_ms);
        make_fifo(w, epoch + 1);
    }
}

static inline void *writer_main(void *cookie)
{
    struct writer *w = cookie;
    unsigned chance = 7;

    pause_ms(w->pause_ms);
    make_fifo(w, 0);
    for (uint32_t epoch = 0; epoch < w->epochs; epoch++)
        write_epoch(w, epoch, &chance);
    return NULL;
}

static inline struct writer writer_of(const void *bytes, size_t len, uint32_t epochs)
{
    return (struct writer){.scratch = scratch_open(),
                           .bytes = bytes,
                           .len = len,
                           .epochs = epochs,
                           .write_bytes_max = 70000};
}

static inline void writer_start(struct writer *w)
{
    assert_int_equal(pthread_create(&w->thread, NULL, writer_main, w), 0);
}

static inline void writer_end(struct writer *w)
{
    pthread_join(w->thread, NULL);
    scratch_close(&w->scratch);
}

#endif
