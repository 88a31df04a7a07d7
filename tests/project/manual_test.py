"""man/ringdns.1 and the binary tell of the same options."""

import os
import re
import subprocess
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("RINGDNS_BUILD") or os.path.join(ROOT, "build-test")
RINGDNS = os.path.join(BUILD, "ringdns")


def run(*arguments):
    return subprocess.run([RINGDNS, *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=240)


def options_of_help():
    """Every spelling in the help: {"-r", "--resolvers", ...}."""
    found = set()
    for line in run("--help").stdout.splitlines():
        entry = re.match(r"\s{1,8}((?:-\w|--[\w-]+)(?:, (?:-\w|--[\w-]+))*)(?: |$)", line)
        if entry:
            found.update(entry.group(1).split(", "))
    return found


def flags(line):
    """Of a line of mdoc: `.It Fl r , Fl Fl resolvers Ar list` has -r and --resolvers."""
    for double, name in re.findall(r"\bFl (Fl )?([a-z0-9][\w-]*)", line):
        yield ("--" if double else "-") + name


def manual():
    with open(os.path.join(ROOT, "man", "ringdns.1")) as page:
        return page.read()


def options_of_manual():
    return {flag for line in manual().splitlines() if line.startswith(".It Fl")
            for flag in flags(line)}


class Manual(unittest.TestCase):
    def test_the_parsers_find_options(self):
        for options in (options_of_help(), options_of_manual()):
            self.assertLessEqual({"-r", "--resolvers", "-c", "--resolve-count", "--flush"}, options)

    def test_every_option_of_the_help_is_in_the_manual(self):
        self.assertEqual(options_of_help() - options_of_manual(), set())

    def test_every_option_of_the_manual_is_in_the_help(self):
        known = options_of_help()  # which names no alias but the short one
        for line in manual().splitlines():
            if line.startswith(".It Fl"):
                self.assertTrue(known & set(flags(line)), line)

    def test_every_option_that_the_manual_mentions_exists(self):
        mentioned = {flag for line in manual().splitlines() if line.startswith(".")
                     for flag in flags(line)} - {"--opt"}
        self.assertIn("--rand-src-ipv6", mentioned)
        for flag in sorted(mentioned):
            with self.subTest(option=flag):
                self.assertNotIn("unknown option", run(flag).stderr)
        self.assertIn("unknown option", run("--no-such").stderr)

    def test_every_default_of_the_help_is_in_the_manual(self):
        text = " ".join(run("--help").stdout.split())
        words = set(manual().split())
        for number in set(re.findall(r"\(default: (\d+)\)", text)):
            with self.subTest(default=number):
                self.assertTrue({number, number + ".", number + ":", number + ","} & words)


if __name__ == "__main__":
    unittest.main(verbosity=2)
