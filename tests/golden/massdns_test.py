"""ringdns prints what massdns printed (massdns/recorded.txt), but for the differences of one table,
massdns/differences.py, which the manual has, too. With MASSDNS set to massdns's binary, that it
still prints what was recorded."""

import difflib
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "massdns"), os.path.join(HERE, "../e2e")]

import differences
import packet
import printed
import record
import recording
import scenario
import support
from cases import CASES

RECORDED = recording.read()
LINES, PLAN = scenario.the_list()
# Enough to see any change of a reply's fields.
TELLING = ("F", "J", "Ja", "L", "S", "Snudms")
MANUAL = os.path.join(HERE, "../../man/ringdns.1")


def reply_of(recorded):
    """The fields of a reply, or None for a line that got none."""
    if "B" not in recorded:
        return None
    octets = bytes.fromhex(recorded["B"].split()[2])
    return printed.Reply(packet.Message(b"\0\0" + octets), recorded)


def expected_of_list():
    """{format: what ringdns prints}, and the differences that had an effect."""
    expected, effective = {output: [] for output in scenario.FORMATS}, set()
    for line in LINES:
        recorded = RECORDED[scenario.shown(line)]
        reply = reply_of(recorded)
        if reply:
            effective |= apply_differences(reply)
        for output, texts in expected.items():
            as_is = reply is None or output == "B"
            texts.append(recorded.get(output, "") if as_is else reply.render(output))
    return {output: "".join(texts) for output, texts in expected.items()}, effective


def apply_differences(reply):
    effective = set()
    before = [reply.render(output) for output in TELLING]
    for difference in differences.TABLE:
        if difference.change:
            difference.change(reply)
            after = [reply.render(output) for output in TELLING]
            if after != before:
                effective.add(difference.name)
            before = after
    return effective


def of_cases():
    """{(case, format): what ringdns prints otherwise}"""
    texts = [((case, output), text) for entry in differences.TABLE
             for case, texts in entry.cases.items() for output, text in texts.items()]
    if len(dict(texts)) != len(texts):
        raise AssertionError("two differences explain the same")
    return dict(texts)


def entries_of_manual():
    """{name: text} of the section on massdns."""
    with open(MANUAL, encoding="ascii") as file:
        section = re.search(r"^\.Sh DIFFERENCES FROM MASSDNS\n(.*?)^\.Sh ", file.read(),
                            re.M | re.S)
    entries, name = {}, None
    for line in section[1].split("\n"):
        if line.startswith(".It Sy "):
            name = line[len(".It Sy "):]
            entries[name] = []
        elif name and line:
            entries[name].append(line.replace("\\e", "\\").replace("\\&", ""))
    return {name: " ".join(lines) for name, lines in entries.items()}


class Recording(unittest.TestCase):
    def test_has_the_scenario(self):
        self.assertEqual(list(RECORDED),
                         [scenario.shown(line) for line in LINES] +
                         [f"case {case.name}" for case in CASES],
                         "the scenario has changed: run massdns/record.py")
        self.assertGreaterEqual(len(LINES), 300)

    def test_all_formats_follow_from_the_fields(self):
        for line in LINES:
            recorded = RECORDED[scenario.shown(line)]
            reply = reply_of(recorded)
            for output in scenario.FORMATS:
                if reply and output != "B":
                    with self.subTest(line=line, format=output):
                        self.assertEqual(reply.render(output), recorded.get(output, ""))


class Table(unittest.TestCase):
    def test_every_entry_explains_something(self):
        _, effective = expected_of_list()
        self.assertEqual(effective, {entry.name for entry in differences.TABLE if entry.change})
        names = {(case.name, output) for case in CASES for output in case.formats}
        for (case, output), text in of_cases().items():
            with self.subTest(case=case, format=output):
                self.assertIn((case, output), names)
                self.assertNotEqual(text, RECORDED[f"case {case}"].get(output, ""))

    def test_every_entry_is_in_the_manual(self):
        manual = entries_of_manual()
        names = [entry.name for entry in differences.TABLE]
        self.assertEqual(len(set(names)), len(names))
        for entry in differences.TABLE:
            with self.subTest(entry=entry.name):
                self.assertEqual(manual.get(entry.name), entry.text)


class Printed:
    """Run once on each backend, below."""

    def check(self, expected, server, lines, output, *arguments):
        found = scenario.run(support.RINGDNS, server, lines, output, "--io", self.io, *arguments)
        if found != expected:
            lines = difflib.unified_diff(expected.split("\n"), found.split("\n"), "expected",
                                         "printed", lineterm="", n=1)
            self.fail("\n".join(lines)[:8000])

    def test_the_list(self):
        expected, _ = expected_of_list()
        server = self.serve(PLAN).address
        for output in self.formats:
            with self.subTest(format=output):
                self.check(expected[output], server, LINES, output, "--no-edns", *scenario.LISTED)

    def test_the_cases(self):
        otherwise = of_cases()
        for case in CASES:
            server = self.serve(case.rules, listen=(case.server,)).address
            edns = [] if case.name == "edns" else ["--no-edns"]
            for output in case.formats:
                with self.subTest(case=case.name, format=output):
                    recorded = RECORDED[f"case {case.name}"].get(output, "")
                    self.check(otherwise.get((case.name, output), recorded), server, case.lines,
                               output, *edns, *case.arguments)


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Printed, support.Case):
    io = "io_uring"
    formats = TELLING + ("B",)  # the formatters are the same on both


class OnEpoll(Printed, support.Case):
    io = "epoll"
    formats = scenario.FORMATS


@unittest.skipUnless(os.environ.get("MASSDNS"), "MASSDNS does not name massdns's binary")
class Massdns(support.Case):
    def test_it_still_prints_what_was_recorded(self):
        for title, texts in record.blocks(self, os.environ["MASSDNS"]).items():
            with self.subTest(title=title):
                self.assertEqual(texts, RECORDED.get(title))


if __name__ == "__main__":
    support.main()
