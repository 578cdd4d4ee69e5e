#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/lint.py - the house rules that a program can check.

    tests/lint.py          print what is wrong, and a summary (what `make lint` does)
    tests/lint.py --tap    one TAP line a check, for tests/run

A rule over text is a function from {path: text} to findings, so that each is also run on a seeded
violation (SEEDED): a rule that finds nothing there is broken. Checks of built files use
build/release and build it first. Standard library only.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
RELEASE = REPO / "build/release"
ROOMS = ("formats", "pipe", "trainer", "bench")
LINES_MAX = 600
PUBLIC_HEADER = "pipe/penstock.h"  # one file, as a promise
PUBLIC_LINES_MAX = 800
FUNCTION_LINES_MAX = 70


def run(command):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=240,
    )
    return done.returncode, done.stdout


def tracked_files():
    """{path: text} of the tracked and new files that people write; data files apart."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        check=True,
        capture_output=True,
    )
    files = {}
    for path in sorted(filter(None, listed.stdout.decode().split("\0"))):
        full = REPO / path
        if re.match(r"tests/(fuzz/corpus|golden|data)/", path) or not full.is_file():
            continue
        data = full.read_bytes()
        if b"\0" not in data:
            files[path] = data.decode(errors="replace")
    return files


def is_c(path):
    return path.endswith((".c", ".h"))


def is_cuda(path):
    return path.endswith((".cu", ".cuh"))


def is_script(path, text):
    return path.endswith((".py", ".sh")) or text.startswith("#!")


def is_source(path, text):
    return is_c(path) or is_cuda(path) or is_script(path, text)


def room(path):
    return path.split("/", 1)[0]


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def code_only(text):
    """C text with comments and string contents blanked out; line numbers stay."""
    pattern = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(pattern, blank, text, flags=re.S)


def grep(pattern, text):
    """(line number, match) for each match of the pattern."""
    for match in re.finditer(pattern, text, re.M):
        yield text.count("\n", 0, match.start()) + 1, match


# --- rules over text ------------------------------------------------------------------------------

QUOTED_FROM = {  # which "..." includes each room may have, beside its own
    "formats": r"[\w-]+\.pb-c\.h$",
    "pipe": r"formats/",
    "trainer": r"formats/|pipe/(metrics|penstock|stop|stream_options)\.h$",
    "bench": r"formats/|trainer/|pipe/(metrics|penstock|stop|stream_options)\.h$|[\w-]+\.pb-c\.h$",  # the reference
}
PARTS_MEASURED = {  # benchmark programs of a part that is no program's whole
    "bench/bench_feed.c": r"delivery"
}
CUDA_HEADER = r"cuda|cublas|nv|driver_types"
SYSTEM_NOT_IN = {  # which <...> includes each room may not have
    "formats": CUDA_HEADER + r"|curl/|liburing|openssl/|expat|microhttpd|gnutls/|cblas|pthread"
    r"|threads\.h|sys/(socket|mman|epoll|uio|stat)|netinet/|fcntl|unistd",
    "pipe": CUDA_HEADER + r"|microhttpd|gnutls/|cblas",
    "trainer": r"curl/|liburing|microhttpd|gnutls/",
    "bench": CUDA_HEADER,
}


def rule_layers(files):
    """formats <- pipe <- trainer <- bench; CUDA in *.cu alone; commands are bench/main.c's."""
    for path, text in files.items():
        if room(path) not in ROOMS or not (is_c(path) or is_cuda(path)):
            continue
        own = room(path) + "/"
        for line, match in grep(r"^\s*#\s*include\s*([<\"])([^>\"]+)", text):
            quoted, name = match[1] == '"', match[2]
            command = re.fullmatch(r"\w+/cmd_\w+\.h", name)
            if command and not (path == "bench/main.c" or path == name[:-1] + "c"):
                yield path, line, f"includes {name}: only bench/main.c dispatches commands"
            elif quoted and not (
                name.startswith(own)
                or re.match(QUOTED_FROM[room(path)], name)
                or (command and path == "bench/main.c")
                or (path in PARTS_MEASURED and re.match(f"pipe/{PARTS_MEASURED[path]}", name))
            ):
                yield path, line, f'includes "{name}", against {" <- ".join(ROOMS)}'
            elif not quoted and not is_cuda(path):
                forbidden = SYSTEM_NOT_IN[room(path)] + ("|cuda|cublas" if own == "trainer/" else "")
                if re.match(forbidden, name):
                    yield path, line, f"includes <{name}>, which has no place in {own}"


BANNED = r"strcpy|strcat|v?sprintf|v?sscanf|atoi|atol|atoll|atof|strtok|alloca|gets"
BANNED_IN_LIBRARY = r"exit|_exit|abort|printf|vprintf|puts|putchar|perror|fprintf|vfprintf"


# A child between fork and exec has no other way to end.
FORKS = ("pipe/supervisor.c",)


def rule_banned_functions(files):
    for path, text in files.items():
        if not (is_c(path) or is_cuda(path)):
            continue
        library = room(path) in ("formats", "pipe") and "/cmd_" not in path
        pattern = BANNED + ("|" + BANNED_IN_LIBRARY if library else "")
        for line, match in grep(rf"(?<![\w.>])({pattern})\s*\(", code_only(text)):
            if match[1] == "_exit" and path in FORKS:
                continue
            where = "in a library" if re.fullmatch(BANNED_IN_LIBRARY, match[1]) else "at all"
            yield path, line, f"{match[1]} is not to be called {where}"


def rule_whitespace(files):
    for path, text in files.items():
        if text and not text.endswith("\n"):
            yield path, text.count("\n") + 1, "no newline at the end of the file"
        if text.endswith("\n\n"):
            yield path, text.count("\n"), "blank line at the end of the file"
        for line, _ in grep(r"[ \t\r]+$", text):
            yield path, line, "trailing blank"
        if not path.endswith("Makefile") and not path.endswith((".patch", ".mk")):
            for line, _ in grep(r"\t", text):
                yield path, line, "tab"


def rule_file_heads(files):
    """Licence first; then "path - purpose", so that a page in an editor says what it is."""
    for path, text in files.items():
        if not is_source(path, text):
            continue
        head = text[:600]
        if "SPDX-License-Identifier: Apache-2.0" not in head:
            yield path, 1, "no SPDX-License-Identifier in the first lines"
        elif not re.search(rf"{re.escape(path)} - \S", head):
            yield path, 1, f"the opening comment does not say '{path} - purpose'"


def rule_file_length(files):
    for path, text in files.items():
        lines = text.count("\n")
        most = PUBLIC_LINES_MAX if path == PUBLIC_HEADER else LINES_MAX
        if is_source(path, text) and lines > most:
            yield path, lines, f"{lines} lines, more than {most}: is it still one idea?"


def rule_function_length(files):
    """A function starts at a "{" and ends at a "}" in the first column (Linux braces). Tests may
    hold tables of cases."""
    for path, text in files.items():
        if not is_c(path) or room(path) not in ROOMS:
            continue
        start = None
        for number, line in enumerate(text.splitlines(), 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                if number - start - 1 > FUNCTION_LINES_MAX:
                    yield path, start, f"function of {number - start - 1} lines"
                start = None


def rule_left_behind(files):
    for path, text in files.items():
        if is_source(path, text) and path != "tests/lint.py":
            for line, match in grep(r"\b(TODO|FIXME|XXX|HACK)\b", text):
                yield path, line, f"{match[1]} left behind"


def rule_changelog(files):
    text = files.get("CHANGELOG.md", "")
    if not re.search(r"^## Unreleased$", text, re.M):
        yield "CHANGELOG.md", 1, "no '## Unreleased' section"


def rule_links(files):
    """Relative links in Markdown lead somewhere."""
    for path, text in files.items():
        if path.endswith(".md"):
            for line, match in grep(r"\]\((?!https?:|#)([^)#]+)", text):
                target = os.path.normpath(os.path.join(os.path.dirname(path), match[1]))
                if target not in files:
                    yield path, line, f"links to {match[1]}, which does not exist"


def public_names(files):
    """Functions and result codes that pipe/penstock.h declares."""
    header = code_only(files.get("pipe/penstock.h", ""))
    functions = re.findall(r"^PENSTOCK_API\b[^;(]*?(penstock_\w+)\(", header, re.M)
    codes = re.search(r"enum penstock_rc \{(.*?)\}", header, re.S)
    return functions, re.findall(r"\bPENSTOCK_\w+", codes[1]) if codes else []


def public_fields(files):
    """Names of the fields of the structures that pipe/penstock.h defines."""
    header = code_only(files.get("pipe/penstock.h", ""))
    for body in re.findall(r"^struct penstock_\w+ \{(.*?)^\}", header, re.M | re.S):
        yield from re.findall(r"(\w+)(?:\[\d+\])?;", body)


def rule_manual_is_complete(files):
    page = "pipe/penstock.3"
    text = files.get(page, "")
    functions, codes = public_names(files)
    if not functions or not codes:
        yield "pipe/penstock.h", 1, "no public function or result code found: mend this rule"
    for name in public_fields(files):
        if not re.search(rf"^\.It Va .*\b{name}\b", text, re.M):
            yield page, 1, f"field {name} is not described"
    for name in functions:
        if not re.search(rf"^\.F[no] .*\b{name}\b", text, re.M):
            yield page, 1, f"{name} is not described"
    for name in codes:
        if not re.search(rf"^\.It .*\b{name}\b", text, re.M):
            yield page, 1, f"result code {name} is not described"


def rule_environment_is_documented(files):
    """Each variable that the program names stands in a manual page (result codes apart)."""
    pages = "\n".join(text for path, text in files.items() if re.search(r"\.[135]$", path))
    documented = set(re.findall(r"[A-Z_0-9]+", "\n".join(re.findall(r"^\.(?:It |Pq (?:as |or of )?)?Ev (.*)", pages, re.M))))
    codes = set(public_names(files)[1])
    for path, text in files.items():
        if is_c(path) and room(path) in ROOMS:
            for line, match in grep(r'"((?:AWS|PENSTOCK)_[A-Z0-9_]+)"', text):
                if match[1] not in documented | codes:
                    yield path, line, f"{match[1]} is in no manual page"


def rule_metrics_are_documented(files):
    """Each metric stands in a manual page under the name and with the words that it is told with."""
    page = files.get("pipe/penstock-run.1", "")
    source = files.get("pipe/metrics.c", "")
    for line, match in grep(r'COUNTER\(\w+, "(\w+)", [^,]+,\s*"([^"]+)"\)', source):
        if f".It Va penstock_{match[1]}\n{match[2]}.\n" not in page:
            yield "pipe/metrics.c", line, f"{match[1]} is not described in pipe/penstock-run.1"


RULES = [
    rule_layers,
    rule_banned_functions,
    rule_whitespace,
    rule_file_heads,
    rule_file_length,
    rule_function_length,
    rule_left_behind,
    rule_changelog,
    rule_links,
    rule_manual_is_complete,
    rule_environment_is_documented,
    rule_metrics_are_documented,
]

SEEDED = {  # files in which each rule must find something
    rule_layers: [
        {"formats/a.c": '#include "pipe/ring.h"\n'},
        {"formats/a.c": "#include <curl/curl.h>\n"},
        {"pipe/a.c": '#include "trainer/device.h"\n'},
        {"pipe/a.c": "#include <cuda_runtime.h>\n"},
        {"trainer/a.c": '#include "pipe/ring.h"\n'},
        {"trainer/a.c": "#include <cublas_v2.h>\n"},
        {"bench/a.c": '#include "pipe/engine.h"\n'},
        {"bench/a.c": '#include "trainer/cmd_train.h"\n'},
        {"bench/a.c": '#include "../pipe/penstock.h"\n'},
    ],
    rule_banned_functions: [
        {"bench/a.c": "void f(char *a) { strcpy(a, b); }\n"},
        {"formats/a.c": "int f(void) { abort(); }\n"},
    ],
    rule_whitespace: [{"a.md": "x \n"}, {"a.c": "\tx\n"}, {"a.c": "x"}],
    rule_file_heads: [
        {"pipe/a.c": "int x;\n"},
        {"pipe/a.c": "/* SPDX-License-Identifier: Apache-2.0 */\nint x;\n"},
    ],
    rule_file_length: [{"pipe/a.c": "\n" * (LINES_MAX + 1)}],
    rule_function_length: [
        {"pipe/a.c": "void f(void)\n{\n" + "    x++;\n" * (FUNCTION_LINES_MAX + 1) + "}\n"}
    ],
    rule_left_behind: [{"pipe/a.c": "/* TODO: later */\n"}],
    rule_changelog: [{"CHANGELOG.md": "# Changelog\n\n## 0.1.0\n"}],
    rule_environment_is_documented: [
        {"pipe/a.c": 'getenv("PENSTOCK_SECRET_SWITCH");\n', "pipe/a.3": ".It Ev PENSTOCK_IO\n"}
    ],
    rule_metrics_are_documented: [
        {"pipe/metrics.c": 'COUNTER(a, "a_total", 1, "Count"),\n', "pipe/penstock-run.1": "\n"}
    ],
    rule_links: [{"docs/a.md": "see [b](b.md)\n", "b.md": ""}],
    rule_manual_is_complete: [
        {
            "pipe/penstock.h": "enum penstock_rc {\n    PENSTOCK_OK = 0\n};\n"
            "PENSTOCK_API int penstock_open(void);\n",
            "pipe/penstock.3": ".It Dv PENSTOCK_OK\n",
        },
        {
            "pipe/penstock.h": "enum penstock_rc {\n    PENSTOCK_OK = 0\n};\n"
            "PENSTOCK_API int penstock_open(void);\nstruct penstock_batch {\n    int rows;\n};\n",
            "pipe/penstock.3": ".It Dv PENSTOCK_OK\n.Fn penstock_open void\n",
        },
    ],
}


# --- checks of what is built ----------------------------------------------------------------------


def check_format(files):
    sources = [path for path in files if is_c(path)]
    rc, output = run(["clang-format-14", "--dry-run", "-Werror", *sources])
    if rc != 0:
        errors = [line for line in output.splitlines() if "error:" in line]
        for line in errors or [output]:
            yield line.split(":", 1)[0], 1, line + " (make format mends it)"


def check_header_compiles_alone(files):
    del files
    header = "pipe/penstock.h"
    strict = ["-Wall", "-Wextra", "-pedantic-errors", "-Werror", "-fsyntax-only"]
    for command in (
        ["gcc", "-std=c11", "-x", "c"],
        ["clang-14", "-std=c11", "-x", "c"],
        ["g++", "-std=c++11", "-x", "c++"],
    ):
        with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
            source.write('#include "pipe/penstock.h"\nint unused_but_present;\n')
            source.flush()
            rc, output = run([*command, *strict, "-I.", source.name])
        if rc != 0:
            yield header, 1, f"not clean with {' '.join(command)}:\n{output}"


def check_symbols(files):
    """The library exports penstock_ names alone; trainer and bench link to no other name of it."""
    del files
    rc, output = run(["nm", "-D", "--defined-only", "--format=posix", RELEASE / "libpenstock.so"])
    names = [line.split()[0] for line in output.splitlines()] if rc == 0 else []
    if not names:
        yield "libpenstock.so", 1, f"exports nothing: {output}"
    for name in names:
        if not name.startswith("penstock_"):
            yield "libpenstock.so", 1, f"exports {name}"
    for directory in ("trainer", "bench"):
        for item in sorted((RELEASE / directory).glob("*.o")):
            path = f"{directory}/{item.stem}.c"
            _, output = run(["nm", "--undefined-only", "--format=posix", item])
            for name in re.findall(r"^(ps_\w+) U", output, re.M):
                if re.match(r"ps_(metrics|stop|stream_options|option)_", name):
                    continue  # what the commands of every room share
                if path in PARTS_MEASURED and re.match(f"ps_{PARTS_MEASURED[path]}_", name):
                    continue
                yield path, 1, f"uses {name}, internal to pipe"


def check_manual_pages(files):
    pages = [path for path in files if re.search(r"/[\w-]+\.[135]$", path)]
    if not pages:
        yield ".", 1, "there is no manual page"
        return
    rc, output = run(["mandoc", "-T", "lint", "-W", "warning", *pages])
    if rc != 0:
        for line in output.splitlines():
            yield line.removeprefix("mandoc: ").split(":", 1)[0], 1, line


def check_shell_scripts(files):
    scripts = [p for p, text in files.items() if re.match(r"#!/bin/(ba)?sh|#!/usr/bin/env bash", text)]
    rc, output = run(["shellcheck", "--severity=warning", "--format=gcc", *scripts])
    if rc != 0:
        for line in output.splitlines():
            yield line.split(":", 1)[0], 1, line


def check_commands(files):
    """Each command answers --help, refuses nonsense with 2, and has a page that names its options."""
    names = [m[1] for m in (re.fullmatch(r"\w+/cmd_(\w+)\.c", path) for path in files) if m]
    program = RELEASE / "penstock"
    if not names or not program.exists():
        return
    for name in sorted(names):
        pages = [text for path, text in files.items() if path.endswith(f"/penstock-{name}.1")]
        if not pages:
            yield f"cmd_{name}.c", 1, f"there is no manual page penstock-{name}.1"
        rc, output = run([program, name, "--help"])
        if rc != 0 or "usage" not in output.lower():
            yield f"cmd_{name}.c", 1, f"penstock {name} --help: exit code {rc}, says:\n{output}"
        for option in sorted(set(re.findall(r"(?<![\w-])--([a-z][a-z0-9-]+)", output))):
            text = pages[0].replace(r"\-", "-") if pages else ""
            if pages and not re.search(rf"Fl (Fl |-){re.escape(option)}\b", text):
                yield f"penstock-{name}.1", 1, f"--{option} of --help is not described"
        rc, _ = run([program, name, "--no-such-option"])
        if rc != 2:
            yield f"cmd_{name}.c", 1, f"penstock {name} --no-such-option: exit code {rc}, not 2"


CHECKS = [
    check_format,
    check_header_compiles_alone,
    check_symbols,
    check_manual_pages,
    check_shell_scripts,
    check_commands,
]


def self_test(rule):
    """Findings about a rule that is blind to a seeded violation."""
    for number, seeded in enumerate(SEEDED[rule], 1):
        if not list(rule(seeded)):
            yield "tests/lint.py", 1, f"{rule.__name__} is blind to seeded violation {number}"


def build_release():
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", "--no-print-directory", "-s", "-j2", "all"]
    subprocess.run(command, cwd=REPO, env=env, check=True, stdout=subprocess.DEVNULL)


def all_checks(files):
    """(name, findings) of each check."""
    for rule in RULES:
        name = rule.__name__.removeprefix("rule_").replace("_", " ")
        yield name, list(rule(files))
        yield f"{name}: seeded violation is caught", list(self_test(rule))
    for check in CHECKS:
        yield check.__name__.removeprefix("check_").replace("_", " "), list(check(files))


def main():
    parser = argparse.ArgumentParser(description="check the house rules")
    parser.add_argument("--tap", action="store_true", help="one TAP line a check")
    tap = parser.parse_args().tap
    build_release()
    failed = count = 0
    for count, (name, findings) in enumerate(all_checks(tracked_files()), 1):
        failed += bool(findings)
        if tap:
            print(f"{'not ' if findings else ''}ok {count} - {name}")
        for path, line, text in findings:
            print(f"{'# ' if tap else ''}{path}:{line}: {text}")
    if tap:
        print(f"1..{count}")
    else:
        print(f"lint: {count} checks, {f'{failed} failed' if failed else 'all clean'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
