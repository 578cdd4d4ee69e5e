/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/proxy.h - whether the environment sends requests for a host through a proxy.
 *
 * The rules are libcurl's: it is libcurl that then speaks with the proxy.
 *
 * Threads: ps_proxy_excepts is pure; ps_proxy_is_set reads the environment.
 */
#ifndef PIPE_PROXY_H
#define PIPE_PROXY_H

#include <stdbool.h>

/* Whether a proxy is set for https or http, and not excepted for the host: a name, or an address
 * without brackets. */
bool ps_proxy_is_set(bool tls, const char *host);

/* Whether a list as NO_PROXY has it names the host: "*", or names, with all that ends in them, and
 * addresses, perhaps with /BITS, separated by commas or blanks. */
bool ps_proxy_excepts(const char *no_proxy, const char *host);

#endif
