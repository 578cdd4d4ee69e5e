/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_jsonl_simdjson.cc - the loop that perf_jsonl measures itself with: simdjson's
 * on-demand parser, a line at a time, names asked for in the order of the first line. C++, as the
 * library is; built where it is installed.
 */
#include <cstdlib>
#include <cstring>
#include <simdjson.h>

using namespace simdjson;

struct perf_simdjson_sum {
    double numbers;
    size_t text_bytes;
};

extern "C" perf_simdjson_sum perf_simdjson(const char *in, size_t len, size_t room,
                                           const char *const *names);

static void add(ondemand::value value, perf_simdjson_sum *sum)
{
    ondemand::array items;
    std::string_view text;
    double number;
    if (value.get_double().get(number) == SUCCESS) {
        sum->numbers += static_cast<float>(number);
    } else if (value.get_array().get(items) == SUCCESS) {
        for (auto item : items)
            if (item.get_double().get(number) == SUCCESS)
                sum->numbers += static_cast<float>(number);
    } else if (value.get_string().get(text) == SUCCESS) {
        sum->text_bytes += text.size();
    }
}

/* names: members to read, NULL behind the last. [in, in + len) lies in `room` bytes, of which 64
 * more than len may be read. */
perf_simdjson_sum perf_simdjson(const char *in, size_t len, size_t room, const char *const *names)
{
    static ondemand::parser parser;
    perf_simdjson_sum sum = {0, 0};
    for (const char *p = in; p < in + len;) {
        const char *newline = static_cast<const char *>(memchr(p, '\n', in + len - p));
        ondemand::document line;
        ondemand::object object;
        size_t line_bytes = static_cast<size_t>(newline - p);
        padded_string_view view(p, line_bytes, room - static_cast<size_t>(p - in));
        if (parser.iterate(view).get(line) != SUCCESS || line.get_object().get(object) != SUCCESS)
            abort();
        for (const char *const *name = names; *name; name++) {
            ondemand::value value;
            if (object[*name].get(value) == SUCCESS)
                add(value, &sum);
        }
        p = newline + 1;
    }
    return sum;
}
