/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/config.h - check a configuration and put defaults in place of zeros. Pure. */
#ifndef PIPE_CONFIG_H
#define PIPE_CONFIG_H

#include "formats/inflate.h"
#include "pipe/penstock.h"

enum ps_verify_mode { PS_VERIFY_AUTO, PS_VERIFY_ALWAYS, PS_VERIFY_OFF };

/* What a channel's URIs name: prefixes of keys, or manifests. */
enum ps_data_type { PS_DATA_PREFIX, PS_DATA_MANIFEST, PS_DATA_AUGMENTED };

enum { PS_CHANNELS_MAX = 20, PS_CONNECTIONS_MAX = 256, PS_ATTRIBUTES_MAX = 16 };

/* Copies `config` to *out with defaults resolved; max_connections and part_bytes stay 0 when it is
 * the I/O threads that choose (pace.h). Every message names the field. Returns
 * PENSTOCK_OK or PENSTOCK_E_ARGUMENT. */
int ps_config_resolve(const struct penstock_config *config, struct penstock_config *out,
                      struct penstock_error *error);

/* What channel.compression says. Returns as above. */
int ps_config_compression(const struct penstock_channel_config *channel, enum fmt_codec *out,
                          struct penstock_error *error);
/* What a channel's data_type says, and whether its other fields go with it. Returns as above. */
int ps_config_data_type(const struct penstock_channel_config *channel, const char *name,
                        enum ps_data_type *out, struct penstock_error *error);

/* What a shard is made of. */
enum ps_split { PS_SPLIT_OFF, PS_SPLIT_BYTES, PS_SPLIT_INDEX };

/* What channel.split_objects says; off for one shard. Returns as above. */
int ps_config_split(const struct penstock_channel_config *channel, const char *name,
                    enum ps_split *out, struct penstock_error *error);

/* What config.verify says. Returns as above. */
int ps_config_verify(const struct penstock_config *config, enum ps_verify_mode *out,
                     struct penstock_error *error);

#endif
