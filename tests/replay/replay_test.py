"""Every scenario on both backends, each a test of its own; that each fault of the catalogue has
one; and that the runner notices what does not come as expected.

Scenarios mostly wait: several run at a time, in threads that live until the last has ended (a
responder ends with the thread that started it)."""

import concurrent.futures
import glob
import os
import re
import socket
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import replay  # noqa: E402
import scenario as scenarios  # noqa: E402
import support  # noqa: E402

AT_A_TIME = 6
BACKENDS = {"io_uring": "OnIoUring", "epoll": "OnEpoll"}
PATHS = sorted(glob.glob(os.path.join(HERE, "*", "*.replay")))

pool = concurrent.futures.ThreadPoolExecutor(AT_A_TIME)


def start(path, io):
    return pool.submit(lambda: replay.run(replay.load(path), io))


class Scenario(unittest.TestCase):
    """Made once for each backend, below, with a test for each scenario."""
    started = {}

    def play(self, path):
        if path not in self.started:  # named on the command line: the others are not run
            self.started[path] = start(path, self.io)
        self.assertEqual(self.started.pop(path).result(), [])


def test_of(path):
    def test(self):
        self.play(path)
    return test


def make_backend(io):
    tests = {"io": io, "started": {}}
    for path in PATHS:
        transport, name = os.path.relpath(path, HERE)[:-len(".replay")].split(os.sep)
        tests[f"test_{transport}_{name.replace('-', '_')}"] = test_of(path)
    made = type(BACKENDS[io], (Scenario,), tests)
    if io == "io_uring" and not support.io_uring_works():
        made = unittest.skip("io_uring is not permitted here")(made)
    return made


OnIoUring, OnEpoll = make_backend("io_uring"), make_backend("epoll")


class Catalogue(unittest.TestCase):
    def test_every_fault_has_a_scenario(self):
        with open(os.path.join(HERE, "catalogue.txt")) as file:
            wanted = {line.strip() for line in file}
        played = set()
        for path in PATHS:
            faults = replay.load(path).faults
            self.assertEqual(len(faults), 1, path)
            self.assertEqual(os.path.basename(os.path.dirname(path)), faults[0][:3].lower(), path)
            played.update(faults)
        self.assertEqual(played, wanted)


# A run in which much happens; the wrong expectations below are of it.
SOUND = """# Two names are truncated, one silent, one NXDOMAIN. REQ 1.
fault UDP: TC with empty body
servers 2 (only 1 listed)
ringdns -i 300 -c 2
plan
  *.cut.test.     truncate answer A 192.0.2.1
  *.silent.test.  drop
  *.none.test.    rcode NXDOMAIN
  *.well.test.    answer A hash
ask
  2 names below cut.test
  1 name below silent.test
  1 name below none.test
then 10 ms later
  4 names below well.test
expect
  cut.test     answered over TCP with 300 A 192.0.2.1, asked 2 times
  silent.test  failed TIMEOUT, asked 2 times
  none.test    answered NXDOMAIN over UDP with nothing, asked once
  well.test    answered over UDP with its own address, asked once
  connections  1, ended by our FIN 1
  connections  to server 2: none
  memory       at most 1000 MiB
  ringdns      udp.truncated 2, tcp.queries 1..2
  responder    udp_queries 9
  server 1     edns_sizes.1232 1..
"""

# What is changed in it, and the complaint that must come of it.
WRONG = [
    ("below cut.test\n", "below well2.test\n", None),  # not expected: refused by the parser
    ("answered over TCP with 300 A 192.0.2.1", "answered over UDP with 300 A 192.0.2.1",
     "cut.test: answered NOERROR over TCP (2 of 2)"),
    ("with 300 A 192.0.2.1", "with A 192.0.2.2",
     "cut.test: answered with 300 A 192.0.2.1 (2 of 2)"),
    ("with 300 A 192.0.2.1", "with nothing", "cut.test: answered with 300 A 192.0.2.1 (2 of 2)"),
    ("with 300 A 192.0.2.1", "with its own address",
     "cut.test: answered with 300 A 192.0.2.1 (2 of 2)"),
    ("with 300 A 192.0.2.1", "with TXT of 0.. octets",
     "cut.test: answered with 300 A 192.0.2.1 (2 of 2)"),
    ("with 300 A 192.0.2.1", "with A of 4 raw octets",
     "cut.test: answered with 300 A 192.0.2.1 (2 of 2)"),
    ("answered over TCP with 300 A 192.0.2.1", "failed TRUNCATED",
     "cut.test: answered NOERROR over TCP (2 of 2)"),
    ("failed TIMEOUT", "failed MAXRETRIES", "silent.test: failed TIMEOUT (1 of 1)"),
    ("failed TIMEOUT", "answered over UDP with nothing", "silent.test: failed TIMEOUT (1 of 1)"),
    ("answered NXDOMAIN", "answered", "none.test: answered NXDOMAIN over UDP (1 of 1)"),
    ("with nothing", "with A 192.0.2.1", "none.test: answered with nothing (1 of 1)"),
    ("TIMEOUT, asked 2 times", "TIMEOUT, asked once",
     "silent.test: asked 2 times for 1 names, not 1 each"),
    ("connections  1, ended by our FIN 1", "connections  none", "1 connections, not 0"),
    ("our FIN 1", "our RST 1", "0 connections ended by our RST, not 1"),
    ("our FIN 1", "our RST ..1", "1 connections ended by our FIN, not 0"),
    ("to server 2: none", "to server 2: 1", "0 connections to servers 2-2, not 1"),
    ("at most 1000 MiB", "at most 1 MiB", "memory "),
    ("udp.truncated 2, ", "udp.truncated 3, ", "ringdns udp.truncated: 2, not 3"),
    ("udp.truncated 2, ", "", "nothing was said of ringdns udp.truncated: 2"),
    ("udp.truncated", "udp.trumpeted", "there is no counter udp.trumpeted of ringdns"),
    ("udp_queries 9", "udp_queries 8", "responder udp_queries: 9, not 8"),
    ("server 1     edns_sizes.1232 1..", "server 2     udp_queries 1..",
     "server 2 udp_queries: 0, not 1.."),
    ("ringdns -i 300 -c 2", "ringdns -i 300 -c 2 --nonsense", "exit code 1"),
    ("ringdns -i 300 -c 2", "ringdns -i 300 -c 2 --tcp-mss 9x", "on stderr: "),
    ("*.none.test.    rcode NXDOMAIN", "*.no.test.    rcode NXDOMAIN", None),
    ("*.well.test.    answer A hash", "*.well.test.    copies 2 answer A hash",
     "nothing was said of ringdns udp.mismatched_id: "),
]

# What the parser must refuse, and why.
REFUSED = [
    ("REQ 1", "as ever", "the title names no RFC or REQ"),
    ("fault UDP: TC", "fault TC", "line 2: a fault is named"),
    ("fault UDP: TC with empty body\n", "", "a scenario without 'fault'"),
    ("servers 2 (only 1 listed)", "servers many", "line 3: expected 'servers 2'"),
    ("plan\n", "plans\n", "line 5: expected one of fault"),
    ("plan\n", "plan B\n", "line 5: 'B' after 'plan'"),
    ("ask\n", "then\n", "'then' follows an 'ask'"),
    ("then 10 ms later", "then later", "'then' follows an 'ask'"),
    ("then 10 ms later", "ask", "a second 'ask'"),
    ("  2 names below", "  two names below", "line 11: expected '5 names below"),
    ("cut.test\n", "cut.test at server 3\n", "cut.test is asked at a server that does not exist"),
    ("  1 name below silent.test", "  1 name below cut.test", "two groups of one name"),
    ("  4 names below well.test\n", "", "or expected but not asked: well.test"),
    ("  none.test    ans", "  none.tst     ans", "or expected but not asked: none.test, none.tst"),
    ("failed TIMEOUT", "failed OFTEN", "line 18: no reason of a failure: OFTEN"),
    ("failed TIMEOUT, asked 2 times", "failed TIMEOUT at once", "line 18: expected 'answered"),
    ("with nothing", "", "line 19: expected 'answered"),
    ("asked 2 times\n  silent", "asked 2..x times\n  silent", "line 17: expected a number or a"),
    ("  *.well.test.    answer A hash", "  *.test. answer A hash",
     "how often well.test was asked takes a rule of its own"),
    ("our FIN 1", "their FIN 1", "line 21: expected 'our|its FIN|RST N', not 'their FIN 1'"),
    ("  connections  1, ended by our FIN 1\n  connections  to server 2: none\n", "",
     "no expectation of connections"),
    ("memory       at most 1000 MiB", "memory       little", "line 23: expected 'memory at most"),
    ("udp.truncated 2,", "udp.truncated,", "line 24: expected 'KEY RANGE"),
    ("  well.test    answered", "  cut.test    answered", "line 20: a second expectation of cut"),
    ("server 1     edns", "server one     edns", "line 26: "),
]


class Runner(unittest.TestCase):
    """The runner against itself: a test that cannot fail is worth nothing."""
    maxDiff = None

    def test_the_sound_scenario_comes_as_expected(self):
        self.assertEqual(replay.run(scenarios.parse(SOUND), "epoll"), [])

    def test_what_is_wrong_is_noticed(self):
        def complaints(old, new):
            self.assertIn(old, SOUND)
            return replay.run(scenarios.parse(SOUND.replace(old, new)), "epoll")

        # Sanitizers' memory says nothing, and is not looked at.
        blind = "memory " if os.environ.get("RINGDNS_SANITIZED") else None
        runs = [(new, wanted, pool.submit(complaints, old, new))
                for old, new, wanted in WRONG if wanted and wanted != blind]
        for new, wanted, run in runs:
            with self.subTest(new):
                self.assertTrue(any(text.startswith(wanted) for text in run.result()), run.result())

    def test_a_rule_that_is_missing_is_noticed(self):
        plan = SOUND.replace("  *.none.test.    rcode NXDOMAIN\n", "").replace(", asked once", "")
        found = replay.run(scenarios.parse(plan), "epoll")
        self.assertIn("none.test: failed MAXRETRIES (1 of 1)", found)
        self.assertIn("nothing was said of responder no_rule: 2", found)

    def test_a_server_that_does_not_let_go_is_noticed(self):
        # It reads no more, so it never sees our FIN: as a leak of ours would look from there.
        deaf = SOUND.replace("plan\n", "plan\n  tcp deaf after 2\n")
        found = replay.run(scenarios.parse(deaf), "epoll")
        self.assertIn("1 connections still open at the server", found)

    def test_the_parser_is_strict(self):
        scenarios.parse(SOUND)
        for old, new, wanted in REFUSED:
            with self.subTest(new):
                self.assertIn(old, SOUND)
                with self.assertRaises(scenarios.Bad) as caught:
                    scenarios.parse(SOUND.replace(old, new, 1))
                self.assertIn(wanted, str(caught.exception))

    def test_close_wait_and_dead_sockets_are_seen(self):
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        peer, _ = server.accept()
        self.assertEqual(self.look(port), (0, 0))
        peer.close()
        for _ in range(1000):
            if self.look(port)[0]:
                break
        self.assertEqual(self.look(port), (1, 0))
        client.close()
        # Kept, but of no connection any more.
        self.assertEqual(self.look(port)[0], 0)
        with socket.socket():
            self.assertEqual(self.look(port), (0, 1))
        server.close()

    @staticmethod
    def look(port):
        seen = replay.look_at(os.getpid(), port, set())
        return seen["close_wait"], seen["dead_sockets"]


class InParallel(unittest.TestSuite):
    """Starts all its scenarios before the first is waited for."""

    def run(self, result, debug=False):
        for test in self.scenarios(self):
            if not getattr(type(test), "__unittest_skip__", False):
                name = test.id().rsplit("test_", 1)[1]
                path = next(p for p in PATHS if self.name_of(p) == name)
                test.started[path] = start(path, test.io)
        return super().run(result, debug)

    @staticmethod
    def name_of(path):
        return re.sub(r"[/-]", "_", os.path.relpath(path, HERE)[:-len(".replay")])

    def scenarios(self, suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                yield from self.scenarios(test)
            elif isinstance(test, Scenario):
                yield test


def load_tests(loader, tests, pattern):
    return InParallel(tests)


def tearDownModule():
    pool.shutdown()


if __name__ == "__main__":
    support.main()
