#!/usr/bin/env python3
"""Counts the test cases of a `meson test` run; shows the output of what failed.

Usage: count_results.py TESTLOG.JSON

A program is one test to Meson. Doctest's and unittest's closing lines say how many cases each was;
a program that prints neither is one case. The last line is `N passed, N failed`, with
`, N skipped` when there are any. The exit code is 1 when something failed or nothing ran."""

import json
import re
import sys

DOCTEST = re.compile(r"\[doctest\] test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed"
                     r"(?: \|\s*(\d+) skipped)?")
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$", re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SHOWN_LINES = 200  # of a failed program's output, its last


def cases_of(output):
    """(passed, failed, skipped) as the program's own closing lines have it; None without any."""
    output = COLOUR.sub("", output)
    found = False
    passed = failed = skipped = 0
    for run in DOCTEST.finditer(output):
        found = True
        # Doctest's own "skipped" are those that a filter left out: they are no part of this run.
        passed += int(run.group(2))
        failed += int(run.group(3))
    for run in UNITTEST.finditer(output):
        found = True
        words = dict(re.findall(r"([a-z ]+?)=(\d+)", run.group(2) or ""))
        words = {word.strip(): int(number) for word, number in words.items()}
        bad = words.get("failures", 0) + words.get("errors", 0) + words.get("unexpected successes", 0)
        skips = words.get("skipped", 0)
        failed += bad
        skipped += skips
        passed += max(0, int(run.group(1)) - bad - skips)
    return (passed, failed, skipped) if found else None


def judge(test):
    """(passed, failed, skipped) of one line of Meson's log."""
    result = test["result"]
    counts = cases_of(test.get("stdout", "") + "\n" + test.get("stderr", ""))
    if counts is None:
        counts = {"OK": (1, 0, 0), "SKIP": (0, 0, 1)}.get(result, (0, 1, 0))
    passed, failed, skipped = counts
    if result not in ("OK", "SKIP") and failed == 0:
        failed = 1  # it crashed, hung, or failed after its last case
    return passed, failed, skipped


def show(test):
    print(f"\n--- {test['name']}: {test['result']} (exit code {test.get('returncode')})")
    for stream in ("stdout", "stderr"):
        lines = test.get(stream, "").rstrip().splitlines()
        if not lines:
            continue
        print(f"--- its {stream}:")
        if len(lines) > SHOWN_LINES:
            print(f"[{len(lines) - SHOWN_LINES} lines before these]")
        print("\n".join(lines[-SHOWN_LINES:]))


def main(path):
    total = [0, 0, 0]
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in log:
            test = json.loads(line)
            counts = judge(test)
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                show(test)
    passed, failed, skipped = total
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: count_results.py TESTLOG.JSON")
    sys.exit(main(sys.argv[1]))
