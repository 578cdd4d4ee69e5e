/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/lister.h - the thread that lists a channel's sources into its plan, page after page, then
 * ends. Of manifests it goes on to find out the sizes of what they name. */
#ifndef PIPE_LISTER_H
#define PIPE_LISTER_H

#include "pipe/channel.h"

/* Thread main; `channel` is a struct ps_channel. */
void *ps_lister_main(void *channel);

/* The plan has grown, knows more sizes, or is complete: whoever waited for that looks again. */
void ps_lister_tell(struct ps_channel *channel);

#endif
