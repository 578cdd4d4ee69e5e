/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/json.c - see trainer/json.h (RFC 8259). */
#include "trainer/json.h"

#include <inttypes.h>
#include <math.h>

static void put_string(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20)
            fprintf(out, "\\u%04x", byte);
        else
            putc(byte, out);
    }
    putc('"', out);
}

static void begin(struct tr_json *json, const char *key)
{
    if (json->follows)
        fputs(", ", json->out);
    json->follows = true;
    if (key) {
        put_string(json->out, key);
        fputs(": ", json->out);
    }
}

void tr_json_open(struct tr_json *json, const char *key, char bracket)
{
    begin(json, key);
    putc(bracket, json->out);
    json->follows = false;
}

void tr_json_close(struct tr_json *json, char bracket)
{
    putc(bracket, json->out);
    json->follows = true;
}

void tr_json_text(struct tr_json *json, const char *key, const char *text)
{
    begin(json, key);
    put_string(json->out, text);
}

void tr_json_count(struct tr_json *json, const char *key, uint64_t value)
{
    begin(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void tr_json_number(struct tr_json *json, const char *key, double value)
{
    begin(json, key);
    if (isfinite(value))
        fprintf(json->out, "%.15g", value);
    else
        fputs("null", json->out);
}

void tr_json_truth(struct tr_json *json, const char *key, bool value)
{
    begin(json, key);
    fputs(value ? "true" : "false", json->out);
}
