/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/transport_file.c - parts of local files, read through the reactor straight into the ring.
 *
 * A part is read in steps, so that its head is published before its tail is there. The file must be
 * the one that was listed: same modification time, size and inode.
 */
#include "pipe/error.h"
#include "pipe/io.h"
#include "pipe/list_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_BYTES ((uint64_t)1 << 20)

struct transfer {
    struct ps_read read; /* first: `done` gets a pointer to it */
    struct transport *transport;
    struct ps_part *part; /* NULL: free */
};

struct transport {
    struct ps_transport base;
    struct ps_io *io;
    struct transfer *transfers; /* pace.most of them */
};

static int transport_open(struct ps_io *io, struct ps_transport **out, struct penstock_error *error)
{
    struct transport *t = calloc(1, sizeof *t);

    if (t)
        t->transfers = calloc(io->pace.most, sizeof *t->transfers);
    if (!t || !t->transfers) {
        free(t);
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    }
    t->base.ops = &ps_transport_file;
    t->io = io;
    *out = &t->base;
    return PENSTOCK_OK;
}

static void transport_close(struct ps_transport *base)
{
    struct transport *t = (struct transport *)base;

    free(t->transfers);
    free(t);
}

/* Ends a transfer; `error` is NULL when the part is whole. */
static void end(struct transfer *transfer, const struct penstock_error *error)
{
    struct ps_part *part = transfer->part;
    struct ps_retry_decision decision = {.verdict = error ? PS_RETRY_FATAL : PS_RETRY_DONE,
                                         .rc = error ? error->rc : PENSTOCK_OK};

    if (transfer->read.fd >= 0)
        close(transfer->read.fd);
    transfer->part = NULL;
    ps_io_part_ended(transfer->transport->io, part, decision, error);
}

static void fail(struct transfer *transfer, const char *what, int sys_errno)
{
    const struct ps_part *part = transfer->part;
    uint64_t offset = part->object_offset + part->filled_bytes;
    struct penstock_error error;

    ps_fail_errno(&error, ps_file_rc(sys_errno), sys_errno, "channel %s: cannot %s %s at byte %llu",
                  part->channel->name, what, part->object->key, (unsigned long long)offset);
    ps_error_object(&error, NULL, part->object->key, offset);
    end(transfer, &error);
}

static void fail_changed(struct transfer *transfer, const char *found)
{
    const struct ps_part *part = transfer->part;
    uint64_t offset = part->object_offset + part->filled_bytes;
    struct penstock_error error;

    ps_fail(&error, PENSTOCK_E_CHANGED,
            "channel %s: file %s changed while it was streamed, seen at byte %llu (listed as "
            "mtime-size-inode %s, now %s): start again with data that stays as it is",
            part->channel->name, part->object->key, (unsigned long long)offset, part->object->etag,
            found);
    ps_error_object(&error, NULL, part->object->key, offset);
    end(transfer, &error);
}

/* Whether the open file is still what was listed; ends the transfer if it is not. */
static bool unchanged(struct transfer *transfer)
{
    char found[PS_FILE_IDENTITY_BYTES];
    struct stat status;

    if (fstat(transfer->read.fd, &status) != 0) {
        fail(transfer, "look at", errno);
        return false;
    }
    ps_file_identity(&status, found);
    if (strcmp(found, transfer->part->object->etag) == 0)
        return true;
    fail_changed(transfer, found);
    return false;
}

static void next_step(struct transfer *transfer)
{
    struct ps_part *part = transfer->part;
    struct ps_reactor *reactor = transfer->transport->io->reactor;
    uint64_t left_bytes = ps_part_left_bytes(part);

    transfer->read.into = ps_part_into(part);
    transfer->read.len_bytes = left_bytes < STEP_BYTES ? left_bytes : STEP_BYTES;
    transfer->read.offset_bytes = part->object_offset + part->filled_bytes;
    reactor->ops->read_at(reactor, &transfer->read);
}

static void on_read(struct ps_read *read)
{
    struct transfer *transfer = (struct transfer *)read;
    struct ps_part *part = transfer->part;

    if (atomic_load(&transfer->transport->io->stream->stopping)) {
        close(read->fd);
        return;
    }
    if (read->result == -EINTR || read->result == -EAGAIN) {
        next_step(transfer);
        return;
    }
    if (read->result < 0) {
        fail(transfer, "read", (int)-read->result);
        return;
    }
    /* Looked at after the bytes were copied: what is published was the listed content. */
    if (!unchanged(transfer))
        return;
    if (read->result == 0) {
        fail_changed(transfer, "shorter");
        return;
    }
    ps_part_advance(part, (uint64_t)read->result);
    if (ps_part_left_bytes(part) == 0)
        end(transfer, NULL);
    else
        next_step(transfer);
}

static void transport_start(struct ps_transport *base, struct ps_part *part)
{
    struct transport *t = (struct transport *)base;
    struct transfer *transfer = t->transfers;

    while (transfer->part)
        transfer++; /* the I/O thread never has more under way than there are transfers */
    *transfer = (struct transfer){.transport = t, .part = part, .read = {.done = on_read}};
    transfer->read.fd = open(part->object->key, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (transfer->read.fd < 0)
        fail(transfer, "open", errno);
    else
        next_step(transfer);
}

const struct ps_transport_ops ps_transport_file = {
    .name = "file",
    .open = transport_open,
    .close = transport_close,
    .start = transport_start,
};
