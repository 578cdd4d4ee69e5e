/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/ini.c - scan the INI dialect of ~/.aws/config and ~/.aws/credentials. */
#include "pipe/ini.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

struct scan {
    ps_ini_fn each;
    void *cookie;
    const char *section;
    char *name;  /* the option at hand, NULL if none; told to `each` when it is complete */
    char *value; /* of `name` */
    bool nested; /* nested options were found under `name`, which itself is then not told */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static char *trim(char *text)
{
    while (is_blank(*text))
        text++;
    size_t len = strlen(text);
    while (len && is_blank(text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

/* Cuts "name = value" in two. Returns false if there is no delimiter or no name. */
static bool split(char *line, char **name, char **value)
{
    char *delimiter = line + strcspn(line, "=:");
    if (!*delimiter)
        return false;
    *delimiter = '\0';
    *name = trim(line);
    *value = trim(delimiter + 1);
    for (char *c = *name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return **name != '\0';
}

static void tell_option(struct scan *scan)
{
    if (scan->name && !scan->nested)
        scan->each(scan->cookie, scan->section, NULL, scan->name, scan->value);
    scan->name = NULL;
}

static bool indented_line(struct scan *scan, char *line)
{
    char *name, *value;
    if (!scan->name)
        return false;
    if (!*scan->value && split(line, &name, &value)) {
        scan->nested = true;
        scan->each(scan->cookie, scan->section, scan->name, name, value);
        return true;
    }
    /* The value and this line lie in one buffer, the value first: the line moves down to it. */
    size_t value_len = strlen(scan->value);
    scan->value[value_len] = '\n';
    memmove(scan->value + value_len + 1, line, strlen(line) + 1);
    return true;
}

static bool section_line(struct scan *scan, char *line)
{
    char *end = strchr(line, ']');
    if (!end)
        return false;
    *end = '\0';
    scan->section = trim(line + 1);
    return true;
}

static bool option_line(struct scan *scan, char *line)
{
    if (!scan->section || !split(line, &scan->name, &scan->value))
        return false;
    scan->nested = false;
    return true;
}

size_t ps_ini_scan(char *text, size_t len, ps_ini_fn each, void *cookie)
{
    struct scan scan = {.each = each, .cookie = cookie};
    char *end = text + len;
    size_t line_no = 0;

    text[len] = '\0';
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        text += 3;
    while (text < end) {
        char *next = memchr(text, '\n', (size_t)(end - text));
        bool indented = is_blank(*text);
        bool good = true;
        line_no++;
        if (!next)
            next = end;
        *next = '\0';
        char *line = trim(text);
        if (*line && *line != '#' && *line != ';') {
            if (!indented || !scan.name) {
                tell_option(&scan);
                good = *line == '[' ? section_line(&scan, line) : option_line(&scan, line);
            } else {
                good = indented_line(&scan, line);
            }
        }
        if (!good)
            return line_no;
        text = next + 1;
    }
    tell_option(&scan);
    return 0;
}
