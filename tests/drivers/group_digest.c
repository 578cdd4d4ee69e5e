/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/group_digest.c - read groups of RecordIO records and print what came, for
 * integration tests.
 *
 *     group_digest URI ITEMS EPOCHS PLAIN|DMLC|ATTRIBUTE,ATTRIBUTE...
 *
 * With attributes the URI is an augmented manifest. Prints for each group "EPOCH POSITION", with
 * attributes "EPOCH POSITION LINE", and for each of its items LENGTH:SHA256, in one line; then
 * "result=" and a name of enum penstock_rc, and the message of an error. Exit code 0 if the stream
 * ended with PENSTOCK_END, else 1; 2 for a bad argument.
 */
#include "pipe/penstock.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_item(const struct penstock_item *item)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;

    EVP_Digest(item->data, item->len_bytes, digest, &digest_bytes, EVP_sha256(), NULL);
    printf(" %zu:", item->len_bytes);
    for (unsigned i = 0; i < digest_bytes; i++)
        printf("%02x", digest[i]);
}

static int read_all(struct penstock_groups *groups)
{
    const struct penstock_group *group;
    int rc;

    while ((rc = penstock_next_group(groups, -1, &group)) == PENSTOCK_OK ||
           rc == PENSTOCK_EPOCH_END) {
        if (rc == PENSTOCK_EPOCH_END)
            continue;
        printf("%u %llu", group->epoch, (unsigned long long)group->position);
        if (group->line_no > 0)
            printf(" %u", group->line_no);
        for (uint32_t i = 0; i < group->item_count; i++)
            print_item(&group->items[i]);
        printf("\n");
    }
    return rc;
}

/* Makes the channel that of an augmented manifest if that is what is asked for. */
static void set_attributes(struct penstock_channel_config *channel, char *list)
{
    static const char *names[16];

    if (strcmp(list, "PLAIN") == 0 || strcmp(list, "DMLC") == 0)
        return;
    for (char *next = list; next && channel->attribute_count < 16;)
        names[channel->attribute_count++] = strsep(&next, ",");
    channel->data_type = "augmented-manifest";
    channel->attribute_names = names;
}

int main(int argc, char **argv)
{
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct penstock_groups *groups = NULL;
    struct penstock *stream = NULL;
    struct penstock_error error;

    if (argc != 5)
        return 2;
    const char *uri = argv[1];

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    channel.uris = &uri;
    channel.uri_count = 1;
    channel.content_type = "application/octet-stream";
    channel.epochs = (uint32_t)strtoul(argv[3], NULL, 10);
    set_attributes(&channel, argv[4]);
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = (size_t)16 << 20;
    int rc = penstock_open(&config, &stream, &error);

    if (rc == PENSTOCK_OK)
        rc = penstock_groups_open(stream, 0, (uint32_t)strtoul(argv[2], NULL, 10),
                                  strcmp(argv[4], "DMLC") == 0 ? PENSTOCK_GROUPS_DMLC : 0, &groups,
                                  &error);
    if (rc == PENSTOCK_OK) {
        rc = read_all(groups);
        error = *penstock_last_error(stream, 0);
    }
    printf("result=%s\nmessage=%s\n", penstock_rc_name(rc), rc < 0 ? error.message : "");
    penstock_groups_close(&groups);
    penstock_close(&stream);
    return rc == PENSTOCK_END ? 0 : 1;
}
