/* SPDX-License-Identifier: Apache-2.0 */
/* formats/rows.c - the parts of struct fmt_rows that grow. */
#include <stdlib.h>

#include "formats/fmt.h"

#define COUNT_MAX ((size_t)INT32_MAX) /* ends fit in int32, as cuSPARSE and scipy want them */
#define ROOM_LEAST 1024

/* Room for `more` beyond count, at least twice what there was; 0: too much. */
static size_t grown(size_t count, size_t room, size_t more)
{
    if (more > COUNT_MAX - count)
        return 0;
    size_t wanted = count + more;
    size_t doubled = room < ROOM_LEAST ? ROOM_LEAST : room * 2;
    if (doubled > COUNT_MAX)
        doubled = COUNT_MAX;
    return wanted > doubled ? wanted : doubled;
}

bool fmt_entries_reserve(struct fmt_entries *entries, size_t more)
{
    if (entries->room > 0 && more <= entries->room - entries->count)
        return true;
    size_t room = grown(entries->count, entries->room, more);
    if (room == 0)
        return false;
    uint32_t *columns = realloc(entries->columns, room * sizeof(*columns));
    if (columns == NULL)
        return false;
    entries->columns = columns;
    float *values = realloc(entries->values, room * sizeof(*values));
    if (values == NULL)
        return false;
    entries->values = values;
    entries->room = room;
    return true;
}

bool fmt_texts_reserve(struct fmt_texts *texts, size_t more)
{
    if (texts->room > 0 && more <= texts->room - texts->count)
        return true;
    size_t room = grown(texts->count, texts->room, more);
    uint8_t *bytes = room == 0 ? NULL : realloc(texts->bytes, room);
    if (bytes == NULL)
        return false;
    texts->bytes = bytes;
    texts->room = room;
    return true;
}
