/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_checkpoint.c - any bytes as a checkpoint: one that is passed over with a reason,
 * one of another run, which is refused, or one whose items are all inside it.
 *
 * The first byte: 1, the checksum is made to fit; 2, marks are compared. The rest is the file.
 */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/crc.h"
#include "trainer/checkpoint.h"
#include "trainer/checkpoint_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIT_CHECKSUM = 1, COMPARE = 2, HEAD_BYTES = 8, DIGITS = 16 };

static const char checksum_key[] = "\"checksum\":\"";
static char directory[] = "/tmp/penstock-fuzz-checkpoint-XXXXXX";
static char path[PATH_MAX];
static unsigned warnings;

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void clean_up(void)
{
    unlink(path);
    rmdir(directory);
}

static void prepare(void)
{
    char name[TR_CHECKPOINT_NAME_BYTES];
    tr_checkpoint_name(name, 0, 1);
    require(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    atexit(clean_up);
}

static size_t header_bytes(const uint8_t *file, size_t len)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < HEAD_BYTES && len >= HEAD_BYTES; i++)
        bytes |= (uint64_t)file[i] << (8 * i);
    return len >= HEAD_BYTES && bytes <= len - HEAD_BYTES ? (size_t)bytes : 0;
}

static void fit_checksum(uint8_t *file, size_t len)
{
    const size_t key = sizeof checksum_key - 1;
    size_t header = header_bytes(file, len);
    uint8_t *at = header > 0 ? memmem(file + HEAD_BYTES, header, checksum_key, key) : NULL;
    char digits[DIGITS + 1];
    if (!at || (size_t)(file + HEAD_BYTES + header - at) < key + DIGITS)
        return;
    memset(at + key, '0', DIGITS);
    snprintf(digits, sizeof digits, "%016" PRIx64, fmt_crc(FMT_CRC64NVME, 0, file, len));
    memcpy(at + key, digits, DIGITS);
}

static void write_file(const uint8_t *file, size_t len)
{
    FILE *out = fopen(path, "wb");
    require(out && fwrite(file, 1, len, out) == len && fclose(out) == 0);
}

static void warn(void *cookie, const char *line)
{
    (void)cookie;
    require(strstr(line, directory) != NULL && strlen(line) > sizeof directory);
    warnings++;
}

/* Reads an item whole; it is of a size that lies in the file. */
static void read_item(const struct tr_loaded *loaded, const char *name, size_t file_bytes)
{
    volatile uint8_t sum = 0;
    size_t len = 0;
    const uint8_t *bytes = tr_loaded_item(loaded, name, &len);
    for (size_t i = 0; bytes && i < len; i++)
        sum = (uint8_t)(sum + bytes[i]);
    require(!bytes || len <= file_bytes);
}

static void restore_item(const struct tr_loaded *loaded, const char *name)
{
    uint8_t memory[16];
    struct tr_error error = {.text = ""};
    struct tr_state_item item = {.memory = memory, .len_bytes = sizeof memory};
    size_t len = 0;
    if (strlen(name) >= sizeof item.name)
        return;
    memcpy(item.name, name, strlen(name) + 1);
    const void *bytes = tr_loaded_item(loaded, name, &len);
    bool fits = bytes && len == sizeof memory;
    require((tr_loaded_restore(loaded, NULL, &item, 1, &error) == 0) == fits);
    require(fits ? memcmp(memory, bytes, len) == 0 : *error.text != '\0');
}

static void check_loaded(const struct tr_loaded *loaded, const uint8_t *file, size_t len)
{
    const char *name;
    json_t *value;
    json_t *header = json_loadb((const char *)file + HEAD_BYTES, header_bytes(file, len), 0, NULL);
    require(header != NULL && strcmp(tr_loaded_path(loaded), path) == 0);
    json_object_foreach(header, name, value)
    {
        read_item(loaded, name, len);
        restore_item(loaded, name);
    }
    json_object_foreach(json_object_get(header, "__metadata__"), name, value)
    {
        require(tr_loaded_text(loaded, name) != NULL);
    }
    json_decref(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tr_mark marks[] = {{"algorithm", "mlp"}, {"feature_dim", "6"}};
    struct tr_error error = {.text = ""};
    struct tr_loaded *loaded;
    if (!*path)
        prepare();
    if (size == 0)
        return 0;
    size_t len = size - 1;
    uint8_t *file = malloc(len + 1);
    require(file != NULL);
    memcpy(file, data + 1, len);
    if (data[0] & FIT_CHECKSUM)
        fit_checksum(file, len);
    write_file(file, len);
    warnings = 0;
    int rc = tr_checkpoint_load(directory, marks, data[0] & COMPARE ? 2 : 0, warn, NULL, &loaded,
                                &error);
    require(rc == 0 || (rc == -1 && !loaded && *error.text));
    require(warnings == (rc == 0 && !loaded));
    if (loaded)
        check_loaded(loaded, file, len);
    tr_loaded_free(&loaded);
    free(file);
    return 0;
}
