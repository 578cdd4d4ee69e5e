/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/config.h - check a configuration and put defaults in place of zeros. Pure. */
#ifndef PIPE_CONFIG_H
#define PIPE_CONFIG_H

#include "pipe/penstock.h"

enum { PS_CHANNELS_MAX = 20, PS_CONNECTIONS_MAX = 256 };

/* Copies `config` to *out with defaults resolved. Every message names the field. Returns
 * PENSTOCK_OK or PENSTOCK_E_ARGUMENT. */
int ps_config_resolve(const struct penstock_config *config, struct penstock_config *out,
                      struct penstock_error *error);

#endif
