/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_csv_fast_float.cc - the loop that perf_csv measures itself with: fast_float's
 * from_chars, one field after the other. C++, as the library is; built where it is installed.
 */
#include <fast_float/fast_float.h>

extern "C" float perf_fast_float(const char *p, const char *end, char delimiter);

/* Fields end at `delimiter` or LF. Returns their sum. */
float perf_fast_float(const char *p, const char *end, char delimiter)
{
    float sum = 0;
    while (p < end) {
        float value = 0;
        p = fast_float::from_chars(p, end, value).ptr;
        sum += value;
        while (p < end && (*p == delimiter || *p == '\n' || *p == '\r'))
            p++;
    }
    return sum;
}
