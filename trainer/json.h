/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/json.h - writes JSON to a stream, commas and escapes included.
 *
 *     tr_json_open(&j, NULL, '{');
 *     tr_json_count(&j, "rows", 60000);
 *     tr_json_close(&j, '}');
 *
 * `key` is NULL for an element of an array and for the outermost value.
 *
 * Owner: the caller owns the stream. Threads: one per writer. Write errors are the stream's.
 */
#ifndef TRAINER_JSON_H
#define TRAINER_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct tr_json {
    FILE *out;
    bool follows; /* a value stands before: a comma is due */
};

void tr_json_open(struct tr_json *json, const char *key, char bracket);
void tr_json_close(struct tr_json *json, char bracket);
void tr_json_text(struct tr_json *json, const char *key, const char *text);
void tr_json_count(struct tr_json *json, const char *key, uint64_t value);
void tr_json_number(struct tr_json *json, const char *key, double value); /* null if not finite */
void tr_json_truth(struct tr_json *json, const char *key, bool value);

#endif
