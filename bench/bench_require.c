/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_require.c - see bench_require.h. */
#include "bench/bench_require.h"

#include "bench/bench_result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct condition {
    enum bench_figure figure;
    bool less, or_equal;
    double bound;
    const char *text; /* in the list */
    int text_len;
};

/* The unit's factor to the figure's own, by what follows the number; 0: it does not fit. */
static double factor_of(const char *unit, size_t len, enum bench_figure figure)
{
    static const struct {
        const char *figure_unit;
        const char *unit;
        double factor;
    } known[] = {{"s", "s", 1},
                 {"s", "ms", 1e-3},
                 {"s", "us", 1e-6},
                 {"s", "min", 60},
                 {"%", "%", 1},
                 {"bytes", "B", 1},
                 {"bytes", "KiB", 1024},
                 {"bytes", "MiB", 1 << 20},
                 {"bytes", "GiB", 1 << 30}};

    if (len == 0)
        return 1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].unit) == len && strncmp(known[i].unit, unit, len) == 0 &&
            strcmp(known[i].figure_unit, bench_figure_unit(figure)) == 0)
            return known[i].factor;
    return 0;
}

/* Cuts the next condition off the list. */
static bool take(const char **list, struct condition *c, char *why, size_t why_size)
{
    const char *text = *list + strspn(*list, " ");
    size_t len = strcspn(text, ",");
    size_t name_len = strcspn(text, "<>=, ");
    const char *at = text + name_len + strspn(text + name_len, " ");
    char *end;

    *c = (struct condition){.text = text, .text_len = (int)len};
    *list = text + len + (text[len] == ',');
    int figure = bench_figure_find(text, name_len);

    if (figure < 0) {
        snprintf(why, why_size,
                 "--require: there is no figure '%.*s': write e.g. 'first_batch<2s,gib_per_s>1'; "
                 "penstock-bench(1) lists them",
                 (int)name_len, text);
        return false;
    }
    c->figure = (enum bench_figure)figure;
    c->less = *at == '<';
    c->or_equal = (*at == '<' || *at == '>') && at[1] == '=';
    if (*at != '<' && *at != '>') {
        snprintf(why, why_size, "--require: '%.*s' has no < or >", (int)len, text);
        return false;
    }
    at += 1 + c->or_equal;
    c->bound = strtod(at, &end);
    size_t unit_len = (size_t)(text + len - end);

    while (end != at && end <= text + len && unit_len > 0 && end[unit_len - 1] == ' ')
        unit_len--;
    double factor = end == at || end > text + len ? 0 : factor_of(end, unit_len, c->figure);

    c->bound *= factor;
    if (factor > 0)
        return true;
    snprintf(why, why_size, "--require: '%.*s' needs a number behind its < or >, in %s", (int)len,
             text, *bench_figure_unit(c->figure) ? bench_figure_unit(c->figure) : "no unit");
    return false;
}

bool bench_require_check(const char *list, char *why, size_t why_size)
{
    struct condition condition;

    do
        if (!take(&list, &condition, why, why_size))
            return false;
    while (*list);
    return true;
}

static bool is_met(const struct condition *c, double value)
{
    if (!isfinite(value))
        return false;
    if (c->or_equal && !(value < c->bound) && !(value > c->bound))
        return true;
    return c->less ? value < c->bound : value > c->bound;
}

bool bench_require_judge(const char *list, const struct bench_variant *variant)
{
    struct condition c;
    char why[256];
    bool all = true;

    while (*list && take(&list, &c, why, sizeof why)) {
        double value = bench_variant_figure(variant, c.figure).median;

        if (is_met(&c, value))
            continue;
        all = false;
        if (isfinite(value))
            fprintf(stderr, "penstock bench: not met: %.*s: %s is %.6g%s\n", c.text_len, c.text,
                    bench_figures[c.figure].name, value, bench_figure_unit(c.figure));
        else
            fprintf(stderr, "penstock bench: not met: %.*s: %s was not measured\n", c.text_len,
                    c.text, bench_figures[c.figure].name);
    }
    return all;
}
