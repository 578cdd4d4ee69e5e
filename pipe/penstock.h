/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/penstock.h - stream training data from object storage into memory, a batch at a time.
 *
 * The only public header of libpenstock. A program that trains on a stream needs six calls:
 *
 *     struct penstock_config config;
 *     struct penstock_channel_config train;
 *     struct penstock *stream;
 *     struct penstock_error error;
 *     const char *uri = "s3://bucket/prefix/";
 *
 *     penstock_config_init(&config);
 *     penstock_channel_config_init(&train);
 *     train.uris = &uri;
 *     train.uri_count = 1;
 *     train.content_type = "application/x-recordio-protobuf";
 *     config.channels = &train;
 *     config.channel_count = 1;
 *     if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
 *         complain(error.message);
 *     for (;;) {
 *         const struct penstock_batch *batch;
 *         int rc = penstock_next(stream, 0, -1, &batch);
 *         if (rc == PENSTOCK_EPOCH_END)
 *             continue;
 *         if (rc != PENSTOCK_OK)
 *             break;                     // PENSTOCK_END, or an error: penstock_last_error()
 *         step(batch->features, batch->labels, batch->rows);
 *         penstock_release(stream, batch);
 *     }
 *     penstock_close(&stream);
 *
 * Owner: the caller owns the handle; the handle owns every batch, and lends it between
 *   penstock_next and penstock_release. Strings in a configuration are copied by penstock_open.
 * Threads: one thread at a time may call penstock_next for a given channel; different channels may
 *   be read by different threads. penstock_release, penstock_stop and penstock_get_counters may be
 *   called from any thread. penstock_open and penstock_close exclude every other call.
 * Order: batches of a channel come in stream order. The order, and every byte of every batch, is
 * the same for any number of connections, I/O threads and decode threads, for either I/O backend,
 * and for s3 and file sources that hold the same objects under the same keys. Units: bytes, rows,
 * milliseconds (timeouts) and nanoseconds (counters), named in the field. Errors: functions return
 * 0 (PENSTOCK_OK), a positive flow code that is no failure, or a negative error code. The library
 * never prints, exits or aborts.
 */
#ifndef PENSTOCK_H
#define PENSTOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PENSTOCK_VERSION "0.1.0"

#if defined(__GNUC__)
#define PENSTOCK_API __attribute__((visibility("default")))
#define PENSTOCK_MUST_CHECK __attribute__((warn_unused_result))
#else
#define PENSTOCK_API
#define PENSTOCK_MUST_CHECK
#endif

/* Result codes. Values are pinned: they never change meaning between releases. */
enum penstock_rc {
    PENSTOCK_OK = 0,
    PENSTOCK_AGAIN = 1, /* flow: the timeout passed and no batch was ready */
    PENSTOCK_EPOCH_END =
        2,            /* flow: every batch of the epoch was delivered; the next call goes on */
    PENSTOCK_END = 3, /* flow: every epoch was delivered; sticky */

    PENSTOCK_E_MEMORY = -1,   /* allocation failed, or the memory limit is too small for the job */
    PENSTOCK_E_ARGUMENT = -2, /* a configuration field or a call's argument is unusable */
    PENSTOCK_E_SYSTEM = -3,   /* a system call failed: see sys_errno */
    PENSTOCK_E_STOPPED = -4,  /* penstock_stop was called */

    PENSTOCK_E_NETWORK = -10, /* connection, TLS or time-out trouble that outlived the retries */
    PENSTOCK_E_HTTP = -11,    /* an HTTP status that outlived the retries or cannot be retried */
    PENSTOCK_E_CREDENTIALS = -12, /* no usable credentials */
    PENSTOCK_E_DENIED = -13,      /* 401, 403, or EACCES for files */
    PENSTOCK_E_NOT_FOUND = -14,   /* no such bucket, object or file */
    PENSTOCK_E_CHANGED = -15,     /* an object was replaced while it was being streamed */
    PENSTOCK_E_EMPTY = -16,       /* the channel holds no object with data, or no record */
    PENSTOCK_E_CORRUPT = -17,     /* an object's bytes do not have the checksum that S3 keeps */

    PENSTOCK_E_FORMAT = -20 /* a record is malformed or has another shape than the first one */
};

/* What went wrong, where, and what to do. Every text is NUL-terminated; unknown ones are "",
 * unknown numbers 0. `message` is one complete sentence that already names every detail worth
 * showing. It never holds a secret key, a session token or a signature. */
struct penstock_error {
    int rc;                /* enum penstock_rc */
    int http_status;       /* last HTTP status, 0 if none was received */
    int sys_errno;         /* errno of the failed call, 0 if none */
    uint32_t attempts;     /* requests made for the part that failed */
    uint64_t offset_bytes; /* offset in the object of the first byte not delivered, or of the bad
                              record */
    char bucket[256];      /* bucket, or "" for files */
    char key[1032];        /* key, or path of the file */
    char s3_code[64];      /* <Code> of S3's answer, e.g. "SlowDown" */
    char request_id[128];  /* x-amz-request-id */
    char remote_ip[64];
    char message[2048];
};

/* How log lines reach the caller: level is 0 info, 1 warning. May be called from any thread of the
 * library, one at a time; `line` has no newline and lives for the call only. */
typedef void (*penstock_log_fn)(void *cookie, int level, const char *line);

/* How batch memory is pinned, for callers that copy batches to a device. `pin` is called once for
 * each batch slot (page aligned, whole pages) before its first use, from a library thread;
 * non-zero means refused, and the slot is used unpinned. `unpin` is called once for each slot that
 * was pinned, from penstock_close. */
typedef int (*penstock_pin_fn)(void *cookie, void *base, size_t len_bytes);
typedef void (*penstock_unpin_fn)(void *cookie, void *base, size_t len_bytes);

/* One channel: a set of objects read as one ordered stream of records.
 * Use penstock_channel_config_init for defaults; every field may then be set. */
struct penstock_channel_config {
    const char *name; /* for messages and thread names; NULL = "train" */

    /* "s3://bucket/prefix" (every key that starts with prefix, as SageMaker's S3Prefix),
     * "file:///dir" or a plain path (a file, or every file below a directory). Listed in the order
     * given; within a URI in UTF-8 byte order of keys. Keys ending in "/" are skipped, and so are
     * empty objects, but see empty_objects.
     *
     * Or "pipe:///dir/name" alone: epoch n is what the FIFO /dir/name_n brings until its writer
     * closes it, as in SageMaker's Pipe mode. Each FIFO is waited for and opened once; one without
     * bytes is an epoch without rows. Order and share are the writer's: no shuffle, one shard. */
    const char *const *uris;
    size_t uri_count;

    /* What the URIs name, as SageMaker's S3DataType. "prefix" (default, also for NULL): as above.
     * "manifest": each is one object or file that holds a JSON array, a prefix and what to append
     * to it: [{"prefix":"s3://bucket/a/"},"1.rec","b/2.rec"]. Objects come in the order, and as
     * often, as listed; empty ones are skipped. "augmented-manifest": each holds JSON lines, and
     * for each line attribute_names are delivered, in the order given here, each as an object of
     * its own: one whose name ends in "-ref" is the object that the value names, maybe in another
     * bucket and maybe empty; others are the text of a string, and the bytes of any other value as
     * they are written. For plain bytes alone, but for application/x-image with the names of the
     * picture, which ends in "-ref", and maybe its label. Permuted and shared by shuffle and
     * shard_index are the entries, or whole lines. A manifest of up to 1 GiB, read into memory, in
     * S3 names objects in up to 256 buckets, one in a file files; sizes and entity tags are asked
     * for by HEAD, ahead of the stream. */
    const char *data_type;
    const char *const *attribute_names; /* 1 .. 16 of 1 .. 256 characters */
    size_t attribute_count;

    /* Of what is listed below a prefix, take the keys alone that end in one of these, parted by
     * commas: ".rec" or ".rec,.pbr". For index files and lists that lie beside the records (.idx,
     * .lst, .manifest). NULL (default): every key, as SageMaker does. */
    const char *key_suffix;

    /* What becomes of a line that is no JSON object, lacks an attribute, or names an object that
     * does not exist or may not be read. "error" (default, also for NULL): the stream ends before
     * it. "skip": the whole line is left out and counted. */
    const char *bad_lines;

    /* Plain bytes alone: an object of no bytes is delivered, as a span of none. */
    bool empty_objects;

    /* What the objects hold, with the format's parameters, e.g.
     * "text/csv;label_size=0;header=auto". penstock(3) describes each.
     *   application/x-recordio-protobuf   type layout features label weight text framed multipart
     *   text/csv           label_size (the first columns, default 1) label_columns weight_column
     *                      csv_weights columns text_columns cat.COLUMNS unknown hash_columns
     *                      hash_buckets delimiter quotes blanks header names
     *   text/libsvm        index_base weights qid
     *   application/jsonlines             features label weight text missing
     *   application/x-parquet             columns label label_size text weight; an object is a
     * file, gathered in three fourths of the channel's memory before its first row
     *   application/x-image               image_shape=C,H,W resize crop mirror dtype layout mean
     * std scale lst label_width ...; an object is a picture, JPEG or PNG application/x-recordio the
     * same for records of mxnet's im2rec, and multipart application/x-tfrecord            example
     * label text, of tf.train.Example; without them each record is a text application/octet-stream
     * bytes as they are, read with penstock_next_span */
    const char *content_type;

    /* Records of application/x-recordio-protobuf may be lent as they were received, in place of
     * rows, as with framed=true, where that gives the rows that decoding would: dense ones of
     * float32 or float64, with nothing but features and labels. A batch with records that are not
     * like the first one comes decoded, and so do those behind it; all do where framed=true is
     * refused. Whether a batch is lent is told by its run_count. What a state says does not depend
     * on this. */
    bool lend_records;

    /* How the objects are compressed: "gzip" (any number of members), "lz4" (frames), "zstd";
     * "auto": each by its key's extension, .gz .gzip .lz4 .zst .zstd, others as they are; "none"
     * (the default, also for NULL). Checksums inside are checked. Records and spans are of what the
     * objects hold, and so are offsets in them; an object that is truncated or corrupt is
     * PENSTOCK_E_FORMAT, with the offset of the gzip member or frame at fault, and its last byte is
     * not delivered. */
    const char *compression;

    uint32_t batch_rows;  /* rows of a full batch, 1 .. 2^24; default 1000 */
    uint32_t feature_dim; /* 0 (default): taken from the first record; else checked against it */
    uint32_t epochs;      /* passes over the data; default 1; 0 = without end */

    /* shuffle: the order of objects is a permutation of the listing that depends on seed and epoch
     * alone (SageMaker's ShuffleConfig); it needs the whole listing before the first GET. Without
     * it: listing order, and the first GET leaves after the first listing page; of a directory
     * bucket, which lists in no order, after the last page, in order of keys. */
    bool shuffle;
    uint64_t seed;

    /* Shard `shard_index` of `shard_count` (ShardedByS3Key): this stream carries the objects whose
     * position in the epoch's global order is congruent to shard_index modulo shard_count.
     * Default 0 of 1 (FullyReplicated). A shard may be empty when others are not: its epochs then
     * end at once with no batch. */
    uint32_t shard_index;
    uint32_t shard_count;

    /* Share `row_share_index` of `row_share_count` of the rows of every batch, for programs that
     * train together on the same batches: of each batch of batch_rows rows this stream carries
     * batch_rows / row_share_count, from the row_share_index-th part on; row_share_count divides
     * batch_rows. All shares have the same batches, though of an epoch's last one a share may have
     * no rows. The shares of batch k, one behind the other, are batch k of the stream without
     * shares, bit for bit, filled up or not, and the state behind it is the same place: a stream
     * goes on with another number of shares. Every share receives and cuts all records. Those of
     * others are not decoded, and so a malformed one among them is an error of its own share alone;
     * but with bad_records "skip" or "warn", a sample or shuffle_rows, where it follows from all
     * records which rows a batch has, every share decodes them all, and sees every error. Records
     * of any type but plain bytes. Default 0 of 1, which is all rows. */
    uint32_t row_share_index;
    uint32_t row_share_count;

    /* What a shard is made of. "off" (default, also for NULL): objects, as above. "bytes": of every
     * object the records that begin in the shard_index-th of shard_count ranges of equal length;
     * all shards together deliver each record once. A stream reads its range, and a 64th of the
     * object, at least 1 MiB, behind it, which has to hold the end of the last record. For few
     * large objects, not compressed, of a format whose records are found from any byte: RecordIO
     * and TFRecord. RecordIO's magic number in a payload does not mislead it; a payload that holds
     * whole frames may, which is found out where it would tell: the stream ends in
     * PENSTOCK_E_FORMAT. Objects so read are not verified. "index": likewise, by a RecordIO index
     * beside every object, a.idx beside a.rec, which tells where its records begin: the share of
     * records is equal, as dmlc's, and no byte more is read. Keys that end in .idx are left out. */
    const char *split_objects;

    /* What becomes of a record that is malformed, or has another shape than the first one. "error"
     * (default, also for NULL): the stream ends before it. "skip": it is left out and counted, and
     * batches are filled with the rows that follow. "warn": the same, and log is told (of the first
     * 16 of an epoch, of each whose number is a power of two, and of the sum at the epoch's end).
     * Where no next record can be found the rest of the object counts as one bad record. An object
     * that cannot be inflated or has the wrong checksum is an error all the same. The stream ends
     * in PENSTOCK_E_FORMAT once more than bad_records_max records of an epoch are bad, or more than
     * bad_fraction_max of those seen, which are at least 1000 or the whole epoch. 0: no such limit.
     * penstock_bad_records tells which were bad. */
    const char *bad_records;
    uint64_t bad_records_max;
    double bad_fraction_max; /* 0 .. 1 */

    /* What becomes of an epoch's last batch if it is not full. "keep" (default, also for NULL): it
     * is shorter. "drop": it is not delivered. "pad": rows of zeros fill it up, whose labels are
     * pad_label; sparse ones have no entries, texts no bytes. "wrap": rows of the epoch's first
     * batch, from its first on, over again if need be. See penstock_batch.rows_padded. */
    const char *last_batch;
    float pad_label;

    /* Rows are shuffled within windows of so many, rounded up to whole batches; 0: they are not.
     * Row i of an epoch becomes row ps_permute(i mod W, W) of its window, with a key of seed, epoch
     * and window alone, whatever the threads and parts; of the last, shorter window the rows keep
     * the order that these places are in. All batches of a window and four more have to fit in half
     * the channel's share of the memory limit, and only those besides a window's may be on loan at
     * a time (see penstock_counters.slot_count). Sparse rows and texts, whose length is not known
     * beforehand, share that half between the batches of two windows and four more. */
    uint64_t shuffle_rows;

    /* The sample: a record belongs to it if its hash, a number from 0 up to but not including 1
     * that depends on sample_seed, the object's key and the record's index in the object, is at
     * least sample_from and less than sample_to: the same records in every epoch, in any order and
     * shard. Ranges that do not overlap give disjoint samples, for training and for validation.
     * Default 0 and 1, which is everything. What does not belong to it is left out, bad or not. */
    double sample_from;
    double sample_to;
    uint64_t sample_seed;

    /* A text that penstock_get_state wrote, of a stream with the same settings: this one goes on
     * behind it, with the bytes that the other would have brought. NULL (default): it begins at the
     * beginning. Settings may differ that order and contents do not follow from: epochs, the name,
     * limits of bad records, where the data are, threads, memory and all of struct penstock_config.
     * penstock_open is PENSTOCK_E_ARGUMENT for one that differs, or an unknown version, and names
     * it. When the listing has shown that the data are others, penstock_next is PENSTOCK_E_CHANGED,
     * unless resume_changed_data. */
    const char *resume;
    bool resume_changed_data;
};

/* No state is longer, with its NUL. */
#define PENSTOCK_STATE_BYTES 4096

/* Use penstock_config_init for defaults: zero or NULL in any field below means the default. */
struct penstock_config {
    const struct penstock_channel_config *channels;
    size_t channel_count; /* 1 .. 20 */

    /* Upper bound of the memory for streamed bytes and batches, all channels together. Default 1
     * GiB, least 16 MiB a channel. Half of a channel's share is its stream ring, the other half
     * batch slots; for plain bytes all of it is ring. Of a compressed channel's share the inflater
     * takes 9 MiB first, for zstd up to a fourth (129 MiB at most; a frame's window has to fit),
     * for gzip next to nothing; then a fourth of what is ring holds the compressed bytes. */
    size_t memory_limit_bytes;

    uint32_t decode_threads;  /* per channel; default: CPUs, at most 8 */
    uint32_t io_threads;      /* default 1 */
    uint32_t max_connections; /* ranged GETs in flight per I/O thread, 1 .. 256; default: begins
                                 with 16, then as many as raise the rate */
    size_t part_bytes;        /* size of one ranged GET, 64 KiB .. 1 GiB; default: 1 to 16 MiB, from
                                 latency, rate and the stream ring */
    const char *io_backend;   /* "uring", "epoll", "auto"; default $PENSTOCK_IO, then auto */

    /* S3. NULL: $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, the profile's endpoint_url, then AWS
     * itself; $AWS_REGION, $AWS_DEFAULT_REGION, the profile's region, then us-east-1; $AWS_PROFILE,
     * "default". An endpoint given by URL is addressed path style, AWS itself virtual-host style.
     */
    const char *endpoint_url;
    const char *region;
    const char *profile;
    bool anonymous;  /* send unsigned requests */
    bool no_hedging; /* do not ask a second time for a part that is slow */

    /* Whether objects are compared with the checksums that S3 keeps of them (CRC64NVME, CRC32C or
     * CRC32, of the whole object). A stream whose object differs ends in PENSTOCK_E_CORRUPT before
     * the object's last byte is delivered; an object that came in one GET is fetched once more
     * before that. "auto" (the default, also for NULL): where the checksum comes for free, with the
     * answer to a GET of a whole object, which is one of up to part_bytes. "always": every object,
     * by a HEAD request beside the GETs of a longer one; one that has no checksum is
     * PENSTOCK_E_ARGUMENT, one whose checksum is of another kind (of its upload's parts, or a hash)
     * is warned of and streamed. "off": nothing. Files have no checksums. */
    const char *verify;

    /* "path" (bucket in the path), "virtual" (in the host name), or "auto": as above. NULL: the
     * profile's s3 addressing_style, then auto. */
    const char *addressing_style;

    /* File with the 256-bit key that the objects were encrypted with by their owner (SSE-C): 32
     * bytes, or base64. Sent over https only, with each request for an object. NULL: none. */
    const char *sse_customer_key_file;

    /* S3 buckets of others. requester_pays: this account is charged for requests and bytes, as such
     * buckets demand. expected_bucket_owner: 12 digits, the only account whose buckets may be read;
     * NULL: any. */
    bool requester_pays;
    const char *expected_bucket_owner;

    penstock_log_fn log;
    void *log_cookie;
    penstock_pin_fn pin;
    penstock_unpin_fn unpin;
    void *pin_cookie;
};

/* What a batch's dense features are stored as. Values are pinned. */
enum penstock_type {
    PENSTOCK_FLOAT32 = 0,
    PENSTOCK_FLOAT64 = 1,
    PENSTOCK_INT32 = 2,
    PENSTOCK_UINT8 = 3,
};

/* Records one behind the other, of a batch that lends them. */
struct penstock_run {
    const void *data;
    uint32_t rows;
};

/* A batch on loan: `rows` rows of what the channel's records hold. What they lack is NULL and 0.
 *
 *   dense features   `data`, (rows, feature_dim) of `type`, row-major, without gaps
 *   sparse features  compressed sparse rows (CSR), as scipy and cuSPARSE take them: row i has the
 *                    entries row_offsets[i] .. row_offsets[i + 1] - 1 of `columns` and `values`; in
 *                    the order in which they were written, which need not be ascending; a column
 *                    may come twice. feature_dim is the number of columns, 0 if neither the data
 *                    nor the configuration tells it
 *   labels           (rows, label_dim), float32, row-major, without gaps
 *   weights, groups  one for each row
 *   records          with framed=true or lend_records, where run_count is not 0, in place of
 *                    features and labels: record i of a run lies at data + i * stride_bytes as it
 *                    was received, with feature_dim values of `type` at features_offset and
 *                    label_dim values of `label_type` at labels_offset, float32 or float64, little-
 *                    endian, at any address. The memory is the stream ring's, pinned as a whole; no
 *                    more than two batches may be held at a time, and none where a longer one than
 *                    the ring may follow
 *   texts            text j of row i is text[text_offsets[i * text_dim + j]] up to the next offset:
 *                    bytes as they are, without a terminator
 *
 * `base` .. `base + len_bytes` is the slot that holds all of it (features at its start, each
 * further array 64-byte aligned after room for the rows of a full batch, the same in all batches):
 * one copy moves a whole batch. Of a share without rows the arrays are there, and offsets are 0. */
struct penstock_batch {
    const float *features; /* `data` if it is float32, else NULL */
    const float *labels;   /* NULL when label_dim is 0 */
    uint32_t rows; /* 1 .. batch_rows; less than batch_rows only in the last batch of an epoch, of
                      which a share may have none */
    uint32_t rows_padded; /* behind those, which last_batch "pad" or "wrap" filled it up with; the
                             arrays hold rows + rows_padded */
    uint32_t first_row;   /* of a share: index of its first row in the whole batch; else 0 */
    uint32_t rows_elsewhere; /* of a share: `rows` of the whole batch, less its own; else 0 */
    uint32_t feature_dim;
    uint32_t label_dim;
    uint32_t epoch;    /* from 0 */
    uint64_t position; /* index of its first row in this stream's epoch, from 0, among all records,
                          with those that are bad or outside the sample; of shuffled rows, of the
                          window's first row, plus the rows of its batches, and shares of this
                          one, before it; of a share without rows that of the whole batch */
    uint32_t slot_no;  /* which slot this is, 0 .. slot count - 1: stable for the handle's life */
    bool pinned;       /* pin accepted the slot */
    void *base;
    size_t len_bytes; /* bytes from base that hold this batch */

    enum penstock_type type;
    const void *data;
    const float *weights;
    const uint64_t *groups;      /* libsvm's qid */
    const uint32_t *row_offsets; /* (rows + 1), from 0, at most 2^31 - 1 */
    const uint32_t *columns;     /* (row_offsets[rows]), from 0 */
    const float *values;
    uint32_t text_dim;
    const uint32_t *text_offsets; /* (rows * text_dim + 1), from 0 */
    const char *text;
    const struct penstock_run *runs; /* (run_count), 1 or 2; of a share without rows 0 */
    uint32_t run_count;
    enum penstock_type label_type;
    size_t stride_bytes;
    size_t features_offset;
    size_t labels_offset;
};

/* A run of an object's bytes on loan, of a channel of content type "application/octet-stream": in
 * place, where they were received. Objects come whole and one after another in stream order; a new
 * one begins where object_offset is 0, and is complete with the span that has ends_object, or, if
 * it is a FIFO, with its epoch. */
struct penstock_span {
    const void *data;
    size_t len_bytes;       /* 1 .. 1 MiB; 0 for an empty item of an augmented manifest, and of
                               empty_objects */
    const char *key;        /* S3 key, path of the file, or name of the attribute whose value it is;
                               valid until penstock_close */
    uint32_t uri_no;        /* index of the channel's URI that it was found under */
    uint32_t line_no;       /* element of a manifest (0 is the prefix), or line of an augmented one,
                               from 1; else 0 */
    uint32_t attribute_no;  /* index in attribute_names; else 0 */
    uint32_t epoch;         /* from 0 */
    uint64_t object_offset; /* of data[0] in the object */
    uint64_t object_bytes;  /* its size; 0, in all its spans: not known in advance */
    bool ends_object;       /* data[len_bytes - 1] is its last byte, and it was right */
    uint64_t position;      /* of data[0] in this stream's epoch, from 0 */
};

/* Counters of one channel since penstock_open. Times are from penstock_open, 0 = has not happened.
 */
struct penstock_counters {
    uint64_t bytes_received;     /* body bytes that entered the stream ring */
    uint64_t bytes_copied;       /* of those, copied there: what came with an answer's head; with
                                    curl all */
    uint64_t bytes_carried;      /* bytes copied because a record crossed the ring's end */
    uint64_t bytes_inflated;     /* bytes that compressed objects held */
    uint64_t records;            /* records decoded that are in batches, or will be; with shares of
                                    rows also those of others, as far as they are decoded */
    uint64_t batches;            /* batches delivered; for plain bytes: spans */
    uint64_t objects_listed;     /* objects with data, or items, all shards, once per handle */
    uint64_t objects_streamed;   /* objects received to their end, every epoch counted */
    uint64_t objects_verified;   /* those that had the checksum that S3 keeps */
    uint64_t objects_unverified; /* those of S3 not compared, though verify is not "off" */
    uint64_t bytes_verified;
    uint64_t list_requests;
    uint64_t get_requests;       /* GETs of objects sent, file reads issued, or FIFOs opened */
    uint64_t head_requests;      /* for checksums, and for sizes of what manifests name */
    uint64_t lines_skipped;      /* of augmented manifests, with bad_lines "skip" */
    uint64_t records_bad;        /* left out, with bad_records "skip" or "warn", in all epochs, */
    uint64_t bytes_bad;          /* how long they were, */
    uint64_t objects_bad;        /* and the objects they were in */
    uint64_t records_unsampled;  /* left out, as they are not in the sample */
    uint64_t retries;            /* requests sent again, the sum of the six causes: */
    uint64_t retries_connect;    /* no address, no connection, or no TLS */
    uint64_t retries_reset;      /* the connection ended early */
    uint64_t retries_stalled;    /* too little came for too long */
    uint64_t retries_throttled;  /* 503 and others that ask for fewer requests */
    uint64_t retries_server;     /* other 5xx */
    uint64_t retries_other;      /* a bad answer, keys, a place or time learnt, a wrong checksum */
    uint64_t connections;        /* connections opened */
    uint64_t connections_reused; /* requests sent over one that had carried another before */
    uint64_t tls_handshakes;     /* made (direct transport) */
    uint64_t tls_resumed;        /* of them, those that resumed an earlier session */
    uint64_t hedges;             /* second requests for parts that were slow (direct transport) */
    uint64_t hedge_wins;         /* of them, those that were answered before the part was whole */
    uint64_t refetched_bytes;    /* bytes received by both requests of a pair, and used once */

    /* Time from when a part had its place in the ring and among the requests under way, connecting,
     * failed attempts and waits between them included, to its first byte, and to its last: what 500
     * of 1000 parts stay below, 900, 990, 999; to within 1 %. See penstock_get_latencies. */
    uint64_t first_byte_p50_ns;
    uint64_t first_byte_p90_ns;
    uint64_t first_byte_p99_ns;
    uint64_t first_byte_p999_ns;
    uint64_t first_byte_max_ns;
    uint64_t part_p50_ns;
    uint64_t part_p90_ns;
    uint64_t part_p99_ns;
    uint64_t part_p999_ns;
    uint64_t part_max_ns;

    /* The start, in the order in which it happens. */
    uint64_t first_object_ns;     /* the listing named an object */
    uint64_t first_connection_ns; /* a connection was open, TLS included (direct transport) */
    uint64_t first_byte_ns;
    uint64_t first_record_ns;
    uint64_t first_batch_ns;
    uint64_t asked_all_ns; /* the last bytes of the last epoch were asked for */

    /* Who waited for whom. Times of one thread, but for the decoders', which are summed. */
    uint64_t bytes_consumed;     /* of bytes_received: framed, decoded, inflated or given back */
    uint64_t wait_ns;            /* time penstock_next spent blocked */
    uint64_t wait_room_ns;       /* a further request could have been made, but the ring was full */
    uint64_t wait_bytes_ns;      /* framer, or consumer of plain bytes: for bytes */
    uint64_t wait_decoders_ns;   /* framer: for decoders to take what is cut */
    uint64_t wait_slot_ns;       /* framer: for a free batch slot */
    uint64_t wait_chunks_ns;     /* decoders: for something to decode, or their turn */
    uint64_t wait_inflate_in_ns; /* inflater: for compressed bytes */
    uint64_t wait_inflate_out_ns; /* inflater: for room for what it makes */
    uint32_t decode_threads;      /* 0 for plain bytes */
    uint64_t ring_bytes;          /* size of the stream ring, and of the one inflated into */
    uint64_t slot_bytes;          /* bytes of all batch slots, 0 until the first record is seen */
    uint32_t slot_count;
    char io_backend[16]; /* "uring" or "epoll" */
    char io_reason[160]; /* why that one */
};

/* How long the parts of a channel took, counted in buckets a 64th of an octave wide; see
 * penstock_latency_bucket_ns. Those of several streams, runs or hosts can be added up. */
#define PENSTOCK_LATENCY_BUCKETS 2496
struct penstock_latencies {
    uint64_t count;
    uint64_t max_ns;
    uint64_t counts[PENSTOCK_LATENCY_BUCKETS];
};

enum penstock_latency { PENSTOCK_LATENCY_FIRST_BYTE = 0, PENSTOCK_LATENCY_PART = 1 };

struct penstock; /* one open stream of one or more channels */

/* Fills `config` with defaults. */
PENSTOCK_API void penstock_config_init(struct penstock_config *config);

/* Fills `channel` with defaults. */
PENSTOCK_API void penstock_channel_config_init(struct penstock_channel_config *channel);

/* Opens a stream and starts fetching. Returns as soon as the configuration is checked and the
 * threads run. Credentials that the environment or a file holds are read at once; those that a
 * service or a credential_process gives are asked for by a thread, and trouble with them, with the
 * network or with the data is reported by penstock_next.
 *   *out    receives the handle, NULL on failure
 *   error   filled on failure; may be NULL
 * Returns PENSTOCK_OK, or PENSTOCK_E_ARGUMENT, _MEMORY, _SYSTEM, _CREDENTIALS. */
PENSTOCK_API PENSTOCK_MUST_CHECK int penstock_open(const struct penstock_config *config,
                                                   struct penstock **out,
                                                   struct penstock_error *error);

/* Waits for the next batch of channel `channel_no` (index in config.channels).
 *   timeout_ms  how long to wait: 0 not at all, negative without limit
 *   *batch      receives a batch on PENSTOCK_OK, else NULL
 * Returns PENSTOCK_OK, PENSTOCK_AGAIN, PENSTOCK_EPOCH_END (once after the last batch of each
 * epoch), PENSTOCK_END (after the last epoch, and from then on), or an error, which is sticky for
 * the channel. Every batch before the error has been delivered; a batch that the error cut short
 * has not. Batches not yet released stay valid whatever is returned. With every slot on loan the
 * call waits for a release. */
PENSTOCK_API PENSTOCK_MUST_CHECK int penstock_next(struct penstock *stream, size_t channel_no,
                                                   int timeout_ms,
                                                   const struct penstock_batch **batch);

/* Gives a batch back. Its memory may be overwritten at once. NULL is ignored. */
PENSTOCK_API void penstock_release(struct penstock *stream, const struct penstock_batch *batch);

/* Writes where a channel of records is, as a text to go on from (penstock_channel_config.resume):
 * JSON of one line, the same size whatever the data.
 *   batch  on loan: behind it. NULL: behind what penstock_next last returned, batch or end of an
 *          epoch
 *   state  room for state_bytes; PENSTOCK_STATE_BYTES suffice
 * A stream that goes on lists the objects, of which the state holds a hash (of keys and ETags; of
 * files paths and sizes; of what a manifest names the names), and begins to fetch in the object
 * that the state lies in, a chunk of records before it at most; of CSV with a header, compressed
 * objects and with verify "always" at that object's beginning. What lies before the state is cut,
 * and not decoded. Windows of shuffle_rows are made again from their first row; with last_batch
 * "wrap" the whole epoch is. Counters and penstock_bad_records begin anew; limits of bad records go
 * on. Any thread. Returns PENSTOCK_OK, or PENSTOCK_E_ARGUMENT (plain bytes, FIFOs, or too little
 * room) or PENSTOCK_E_MEMORY, with *error, which may be NULL. */
PENSTOCK_API PENSTOCK_MUST_CHECK int penstock_get_state(struct penstock *stream, size_t channel_no,
                                                        const struct penstock_batch *batch,
                                                        char *state, size_t state_bytes,
                                                        struct penstock_error *error);

/* The same for a channel of plain bytes ("application/octet-stream", on which penstock_next is
 * PENSTOCK_E_ARGUMENT, as this is on all others): waits for the next span. Up to 64 spans may be on
 * loan; with all of them, or the whole stream ring, on loan the call waits for a release. */
PENSTOCK_API PENSTOCK_MUST_CHECK int penstock_next_span(struct penstock *stream, size_t channel_no,
                                                        int timeout_ms,
                                                        const struct penstock_span **span);

/* Gives a span back, in any order, from any thread. Its memory may be overwritten at once. NULL is
 * ignored. */
PENSTOCK_API void penstock_release_span(struct penstock *stream, const struct penstock_span *span);

/* Ends the current epoch of a channel of plain bytes here: what is left of it is not delivered, nor
 * asked for unless it has been already, and no PENSTOCK_EPOCH_END comes; the next span is the next
 * epoch's first. Spans on loan stay valid. By the thread that calls penstock_next_span. Returns
 * PENSTOCK_OK, or what ended the channel. */
PENSTOCK_API PENSTOCK_MUST_CHECK int penstock_skip_epoch(struct penstock *stream,
                                                         size_t channel_no);

/* A record's payload, on loan. */
struct penstock_item {
    const void *data;
    size_t len_bytes;
};

/* What belongs together: of an augmented manifest, one line's attributes in order. */
struct penstock_group {
    const struct penstock_item *items;
    uint32_t item_count;
    uint32_t epoch;    /* from 0 */
    uint32_t line_no;  /* of an augmented manifest, from 1; 0 of a group of records */
    uint64_t position; /* of the group in this stream's epoch, from 0 */
};

struct penstock_groups; /* reads one channel */

enum penstock_groups_flags {
    PENSTOCK_GROUPS_DMLC = 1, /* parts of a record have the magic number between them, which dmlc's
                                 writers take out and its readers put back; AWS's do not */
};

/* Begins to read a channel of plain bytes in groups of `item_count`; nothing of it has been read
 * yet, or all of an epoch. Bytes that are RecordIO, as they come through FIFOs: groups of so many
 * records, 1 .. 2^16. A channel of data_type "augmented-manifest": its lines, of attribute_count
 * items each. A group that is not in one piece
 * in the ring is put together in memory beside it, at most a fourth of the channel's. flags  of
 * enum penstock_groups_flags. *groups receives the handle, to be closed before the stream. Returns
 * PENSTOCK_OK, PENSTOCK_E_ARGUMENT or PENSTOCK_E_MEMORY, with *error, which may be NULL. */
PENSTOCK_API PENSTOCK_MUST_CHECK int
penstock_groups_open(struct penstock *stream, size_t channel_no, uint32_t item_count,
                     unsigned flags, struct penstock_groups **groups, struct penstock_error *error);

/* Waits for the next group, which is on loan until the next call. Returns as penstock_next_span,
 * which is not to be called beside it; PENSTOCK_E_FORMAT, for a record that is malformed, or an
 * epoch that ends inside a group, ends the channel. penstock_skip_epoch goes on with the first
 * group of the next epoch. */
PENSTOCK_API PENSTOCK_MUST_CHECK int penstock_next_group(struct penstock_groups *groups,
                                                         int timeout_ms,
                                                         const struct penstock_group **group);

/* Frees everything, sets *groups to NULL. Accepts a NULL handle. */
PENSTOCK_API void penstock_groups_close(struct penstock_groups **groups);

/* Copies the channel's counters. Values are current, not a consistent snapshot. */
PENSTOCK_API void penstock_get_counters(const struct penstock *stream, size_t channel_no,
                                        struct penstock_counters *counters);

/* Copies how long the channel's parts took, to their first byte or to their last. */
PENSTOCK_API void penstock_get_latencies(const struct penstock *stream, size_t channel_no,
                                         enum penstock_latency which,
                                         struct penstock_latencies *latencies);

/* Adds `from` to `into`. */
PENSTOCK_API void penstock_latencies_merge(struct penstock_latencies *into,
                                           const struct penstock_latencies *from);

/* What `per_mille` of 1000 stay below, to within 1 %; the largest for 1000; 0 when there are none.
 */
PENSTOCK_API uint64_t penstock_latencies_quantile_ns(const struct penstock_latencies *latencies,
                                                     unsigned per_mille);

/* The least time that is counted in bucket `bucket`, 0 .. PENSTOCK_LATENCY_BUCKETS - 1. */
PENSTOCK_API uint64_t penstock_latency_bucket_ns(unsigned bucket);

/* A record that was left out because it is bad. */
struct penstock_bad_record {
    const char *key;       /* of its object, or its path; valid until penstock_close */
    uint64_t offset_bytes; /* in the object, or in what that is inflated to */
    uint64_t len_bytes;    /* 0: not known, as no record was found after it */
    uint64_t position;     /* its index in the epoch, from 0 */
    uint32_t epoch;
    char cause[240];
};

/* Copies the first `max` of the channel's bad records, of which it keeps 64, to records[]. Returns
 * how many there are to copy; counters tell how many were bad in all. */
PENSTOCK_API size_t penstock_bad_records(const struct penstock *stream, size_t channel_no,
                                         struct penstock_bad_record *records, size_t max);

/* The error that ended channel `channel_no`; rc is PENSTOCK_OK while there is none. The pointer
 * stays valid until penstock_close. */
PENSTOCK_API const struct penstock_error *penstock_last_error(const struct penstock *stream,
                                                              size_t channel_no);

/* Makes every present and future penstock_next return PENSTOCK_E_STOPPED within 100 ms. Safe to
 * call from a signal handler. */
PENSTOCK_API void penstock_stop(struct penstock *stream);

/* Stops the threads, frees everything, sets *stream to NULL. Accepts a NULL handle. Batches still
 * on loan become invalid. Returns within about a second even when a server does not answer. */
PENSTOCK_API void penstock_close(struct penstock **stream);

/* The name of a result code, e.g. "PENSTOCK_E_CHANGED"; "unknown" for other values. */
PENSTOCK_API const char *penstock_rc_name(int rc);

/* The library's version, e.g. "0.1.0". */
PENSTOCK_API const char *penstock_version(void);

#ifdef __cplusplus
}
#endif
#endif
