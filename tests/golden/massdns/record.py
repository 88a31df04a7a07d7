#!/usr/bin/env python3
"""Writes recorded.txt: what massdns prints for the scenario.

Usage: RINGDNS_BUILD=build record.py MASSDNS COMMIT

MASSDNS is its binary, built of that commit; the responder of RINGDNS_BUILD serves it. Only data
comes from massdns. Run it again after list.txt, types.txt or the cases have changed."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../e2e"))

import recording
import scenario
from cases import CASES
import support


def blocks(case, massdns):
    """What it prints: {title: {format: text}}. The responders end with the test case."""
    lines, plan = scenario.the_list()
    server = case.serve(plan).address
    printed = {scenario.shown(line): {} for line in lines}
    if len(printed) != len(lines):
        raise AssertionError("a line stands in the list twice")
    for output in scenario.FORMATS:
        for line, text in zip(lines, scenario.run_list(massdns, server, lines, output)):
            printed[scenario.shown(line)][output] = text
    for small in CASES:
        server = case.serve(small.rules, listen=(small.server,)).address
        printed[f"case {small.name}"] = {
            output: scenario.run(massdns, server, small.lines, output, *small.arguments)
            for output in small.formats}
    return {title: {output: text for output, text in texts.items() if text}
            for title, texts in printed.items()}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    massdns, commit = sys.argv[1:]
    case = support.Case()
    case.setUp()
    try:
        recording.write(commit, blocks(case, massdns))
    finally:
        case.doCleanups()


if __name__ == "__main__":
    main()
