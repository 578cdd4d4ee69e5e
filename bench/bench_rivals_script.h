/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_rivals_script.h - the text of bench/rivals.py.
 *
 * Threads: constant data.
 */
#ifndef BENCH_BENCH_RIVALS_SCRIPT_H
#define BENCH_BENCH_RIVALS_SCRIPT_H

extern const char bench_rivals_script[];

#endif
