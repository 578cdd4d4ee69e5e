#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/checks/runner.py - tests/run itself: it must not call a crash, a hang or a silent skip a pass."""

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
RUN = Path(__file__).resolve().parents[1] / "run"
loader = importlib.machinery.SourceFileLoader("run", str(RUN))
spec = importlib.util.spec_from_loader("run", loader)
runner = importlib.util.module_from_spec(spec)
sys.modules["run"] = runner
loader.exec_module(runner)


def states(output, exit_text=""):
    return [(case.name, case.state) for case in runner.parse_tap("p", output, exit_text)]


def test_tap():
    good = "1..2\nok 1 - a\nok 2 - b\n"
    assert states(good) == [("p/a", "passed"), ("p/b", "passed")]
    assert states(good, "exit code 1")[-1] == ("p/(whole program)", "failed")
    assert states("1..3\nok 1 - a\n", "ended by SIGSEGV")[-1] == ("p/(whole program)", "failed")
    assert states("1..2\nok 1 - a\n")[-1] == ("p/(whole program)", "failed")
    assert states("") == [("p/(whole program)", "failed")]
    assert states("1..1\nnot ok 1 - a\n# 1 != 2\n", "exit code 1") == [("p/a", "failed")]
    two_groups = "1..1\nok 1 - a\n# ok - g\n1..1\nok 1 - b\n"
    assert states(two_groups) == [("p/a", "passed"), ("p/b", "passed")]
    skip = runner.parse_tap("p", "1..2\nok 1 - a\nno GPU here\nnot ok 2 # SKIP b\n", "")[1]
    assert (skip.name, skip.state, skip.detail) == ("p/b", "skipped", "no GPU here")


def test_programs():
    shell = ["sh", "-c"]
    hang = runner.run_whole("p", [*shell, "sleep 60 & sleep 60"], 0.5)
    assert hang.cases[0].state == "failed" and "still running" in hang.cases[0].detail
    assert hang.seconds < 30
    assert runner.run_whole("p", [*shell, "exit 3"], 9).cases[0].state == "failed"
    assert runner.run_whole("p", [*shell, "kill -9 $$"], 9).cases[0].detail == "ended by SIGKILL"
    skip = runner.run_tap("p", [*shell, "echo no kernel; exit 77"], 9).cases
    assert [(case.state, case.detail) for case in skip] == [("skipped", "no kernel")]
    assert runner.run_tap("p", [*shell, "echo ok 1 - a; exit 77"], 9).count("failed") == 1


def test_skips():
    rules = [("unit/*uring*", "no-io_uring")]
    for name, holds, wanted in (
        ("unit/test_uring/a", True, "skipped"),
        ("unit/test_uring/a", False, "failed"),
        ("unit/test_other/a", True, "failed"),
    ):
        outcome = runner.Outcome("p", [runner.Case(name, "skipped", "why")])
        runner.judge_skips([outcome], rules, lambda _, h=holds: h)
        assert outcome.cases[0].state == wanted, (name, holds)


def test_totals():
    def finish(*found):
        report = runner.Report([])
        report.outcomes = [runner.Outcome("p", [runner.Case("c", state) for state in found])]
        with open(os.devnull, "w") as nowhere:
            stdout, sys.stdout = sys.stdout, nowhere
            try:
                return report.finish(0)
            finally:
                sys.stdout = stdout

    assert finish("passed", "skipped") == 0
    assert finish("passed", "failed") == 1
    assert finish() == 1
    assert finish("skipped") == 1


def test_junit():
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as report:
        report.write(
            '<testsuites><testsuite><testcase classname="tests.test_x" name="a"/>'
            '<testcase classname="tests.test_x" name="b"><failure message="m">trace</failure></testcase>'
            '<testcase classname="tests.test_x" name="c"><skipped message="why"/></testcase>'
            '<testcase classname="tests.test_x" name="d"><error message="m">e</error></testcase>'
            "</testsuite></testsuites>"
        )
        report.flush()
        cases = runner.parse_junit("integration", report.name)
    assert [case.state for case in cases] == ["passed", "failed", "skipped", "failed"]
    assert cases[0].name == "integration/test_x/a" and cases[2].detail == "why"


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    print("tests/run reports crashes, hangs and unexpected skips as failures")
