/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/permute.h - a permutation of 0 .. n-1 that needs no memory: index i goes to ps_permute(i, n,
 * key).
 *
 * Version 1, the order every host and every release must agree on: a balanced Feistel network of 8
 * rounds over the least even number of bits that holds n - 1, with cycle walking for values >= n
 * (the construction of google/grain's index_shuffle, own round function). Pure. The definition:
 *
 *   key(seed, epoch) = mix(mix(seed) + epoch)
 *
 *   bits = number of bits of n - 1, rounded up to an even number, at least 2; half = bits / 2
 *
 *   x = i, split in left (high half) and right (low half)
 *
 *   round r = 0..7: (left, right) = (right, left xor low half bits of mix(key + (r + 1) * G +
 * right))
 *
 *   repeat the 8 rounds on the result while it is >= n
 *
 *   mix(z) = splitmix64's finaliser (Steele, Lea, Flood 2014): z += G; z = (z ^ z >> 30) * A;
 *   z = (z ^ z >> 27) * B; z ^ z >> 31; with G = 0x9e3779b97f4a7c15, A = 0xbf58476d1ce4e5b9, B =
 *   0x94d049bb133111eb, all modulo 2^64
 */
#ifndef PIPE_PERMUTE_H
#define PIPE_PERMUTE_H

#include <stdint.h>

/* The key of one epoch's permutation. */
uint64_t ps_permute_key(uint64_t seed, uint64_t epoch);

/* Where index i (< n) goes; n >= 1. Costs about 2 x 8 rounds at most on average. */
uint64_t ps_permute(uint64_t i, uint64_t n, uint64_t key);

#endif
