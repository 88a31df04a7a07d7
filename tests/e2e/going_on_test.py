"""--unresolved, --checkpoint and --resume: no line is lost, whenever the run ends."""

import contextlib
import itertools
import json
import os
import random
import signal
import struct
import subprocess
import time
import unittest
from collections import Counter

import support

RULES = """
*.fail.test.    rcode SERVFAIL
*.nx.test.      rcode NXDOMAIN
*.silent.test.  drop
*.test.         delay 0ms to 5ms answer A hash
"""
COUNT = 2000
# How long a life may be: about as long as the whole list takes.
LONGEST_LIFE = 0.4 if os.environ.get("RINGDNS_SANITIZED") else 0.13


def lines_of(path):
    with open(path) as file:
        return file.read().splitlines()


def answered(lines):
    """Of -o S: the owners, with how often each occurs."""
    return Counter(line.split(" ")[0][:-1] for line in lines)


def input_lines():
    """A list with all that a list may have; what of it is answered, and what is not."""
    lines, good, bad = [], Counter(), Counter()
    for i in range(COUNT):
        name = f"n{i}.test"
        if i % 50 == 7:
            lines += ["", "  ", "# a comment of mine"]
        elif i % 50 == 13:
            name = f"n{i}.fail.test"
            lines.append(f" {name}  # TIMEOUT after 50 tries")
            bad[f"{name}  # MAXRETRIES after 2 tries"] += 1
            continue
        elif i % 50 == 23:
            lines.append(f"n..{i}")
            bad[f'# INVALID line {len(lines)}: empty label: "n..{i}"'] += 1
            continue
        elif i % 50 == 33:  # the same once more, at once
            lines.append(name)
            good[name] += 1
        lines.append(name)
        good[name] += 1
    return lines, good, bad


class Chain:
    """One list, resolved in as many lives as it takes, each ended at a moment drawn at random."""

    def __init__(self, case, label, *arguments, pipe=False, server=None):
        self.case, self.pipe, self.lives = case, pipe, 0
        self.random = random.Random(f"{label} {os.environ.get('SEED', '')}")
        self.directory = os.path.join(case.dir, label)
        os.mkdir(self.directory)
        self.out, self.unresolved = self.path("out"), self.path("unresolved")
        self.checkpoint = self.path("checkpoint")
        lines, self.good, self.bad = input_lines()
        self.names = self.path("names")
        with open(self.names, "w") as file:
            file.write("\n".join(lines))
        self.arguments = ["-r", server or case.server, "--io", case.io, "-o", "S", "-c", "2", "-q",
                          "-s", "60", "--checkpoint", self.checkpoint, "--checkpoint-interval", "10",
                          "--unresolved", self.unresolved, "-l", self.path("log"), *arguments]

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, *arguments, **popen):
        """The first life, or one more."""
        resume = ["--resume"] if self.lives else []
        self.lives += 1
        command = [support.RINGDNS, *map(str, self.arguments), *resume, *arguments]
        source = None
        if self.pipe:
            source = subprocess.Popen(["cat", self.names], stdout=subprocess.PIPE)
        else:
            command.append(self.names)
        process = subprocess.Popen(command, stdin=source.stdout if source else subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, **popen)
        self.case.stack.callback(support.end, process)
        if source:
            source.stdout.close()
            self.case.stack.callback(support.end, source)
        return process

    def live(self, *signals, **popen):
        """Lives for a while, and gets the signals. True: it had come to its end before."""
        process = self.start(**popen)
        time.sleep(self.random.uniform(0, LONGEST_LIFE))
        for number in signals:
            process.send_signal(number)
        _, error = process.communicate(timeout=support.PATIENCE)
        self.case.assertIn(process.returncode,
                           (0, -signals[0], 128 + signals[0]), error)
        return process.returncode == 0

    def finish(self):
        process = self.start()
        _, error = process.communicate(timeout=support.PATIENCE)
        self.case.assertEqual(process.returncode, 0, error)

    def kept_output(self):
        """How many octets of output the newest checkpoint counts."""
        kept = 0
        for path in (self.checkpoint, self.checkpoint + ".tmp"):
            with contextlib.suppress(FileNotFoundError), open(path) as file:
                text = file.read()
                if "\nsum " in text:
                    kept = max(kept, int(text.split("\noutput ")[1].split("\n")[0]))
        return kept

    def check(self, parts=("",), logged=True):
        got = [line for part in parts for line in lines_of(self.out + part)]
        unresolved = [line for part in parts for line in lines_of(self.unresolved + part)]
        self.case.assertEqual(answered(got), self.good)
        self.case.assertEqual(Counter(unresolved), self.bad)
        if not logged:
            return
        said = {line.replace("ringdns:", "# INVALID", 1) for line in lines_of(self.path("log"))}
        self.case.assertFalse({line for line in self.bad if line[0] == "#"} - said)


class GoingOn:
    """Run once on each backend, below."""

    def setUp(self):
        super().setUp()
        (self.server,) = self.responder(RULES)

    def chain(self, label, *arguments, to_file=True, **how):
        chain = Chain(self, label, *arguments, **how)
        if to_file:
            chain.arguments += ["-w", chain.out]
        return chain

    def test_killed_at_any_moment_it_loses_nothing_and_repeats_nothing_in_files(self):
        for pipe, round_ in itertools.product((False, True), range(3)):
            chain = self.chain(f"killed-{pipe}-{round_}", pipe=pipe)
            for _ in range(7):
                chain.live(signal.SIGKILL)
            chain.finish()
            with self.subTest(pipe=pipe, round=round_):
                chain.check()

    def test_killed_into_a_pipe_it_repeats_only_what_is_behind_the_checkpoint(self):
        chain = self.chain("stream", to_file=False)
        once = {name for name, count in chain.good.items() if count == 1}
        got, settled, kept = Counter(), set(), 0
        for life in range(8):
            process = chain.start(stdout=subprocess.PIPE)
            if life < 7:
                time.sleep(chain.random.uniform(0, LONGEST_LIFE))
                process.kill()
            out, _ = process.communicate(timeout=support.PATIENCE)
            whole = answered(out[:out.rfind(b"\n") + 1].decode().splitlines())
            got += whole
            self.assertFalse(settled & whole.keys() & once)
            # What the checkpoint counts was written, and never comes again.
            before, kept = kept, chain.kept_output()
            self.assertGreaterEqual(len(out), kept - before)
            settled |= answered(out[:kept - before].decode().splitlines()).keys()
        self.assertEqual(process.returncode, 0)
        self.assertFalse(chain.good - got)
        self.assertFalse(got.keys() - chain.good.keys())

    def test_after_a_signal_it_goes_on_exactly(self):
        for pipe in (False, True):
            for signals in ([signal.SIGINT], [signal.SIGTERM] * 2):
                chain = self.chain(f"signal-{pipe}-{len(signals)}", pipe=pipe, to_file=False)
                with open(chain.out, "ab") as out:
                    for _ in range(5):
                        chain.live(*signals, stdout=out)
                    process = chain.start(stdout=out)
                    process.communicate(timeout=support.PATIENCE)
                with self.subTest(pipe=pipe, signals=signals):
                    self.assertEqual(process.returncode, 0)
                    chain.check()

    def test_what_a_signal_interrupted_is_neither_unresolved_nor_written(self):
        silent = Chain(self, "silent", "-i", "3600000")
        silent.arguments[silent.arguments.index("-o") + 1] = "Je"
        with open(silent.names, "w") as file:
            file.write("a.silent.test\nb.test\nc.silent.test\n")
        process = silent.start(stdout=subprocess.PIPE)
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 130)
        self.assertEqual((json.loads(first)["name"], rest), ("b.test.", b""))
        self.assertEqual(lines_of(silent.unresolved), [])
        silent.arguments[silent.arguments.index("-i") + 1] = "10"
        done = silent.start(stdout=subprocess.PIPE)
        out, _ = done.communicate(timeout=support.PATIENCE)
        self.assertEqual(Counter(json.loads(line)["name"] for line in out.splitlines()),
                         Counter(["a.silent.test.", "c.silent.test."]))
        self.assertEqual(len(lines_of(silent.unresolved)), 2)

    def test_each_type_of_a_line_goes_on_for_itself(self):
        types = ("A", "TXT", "TYPE65280")
        chain = self.chain("types", "-t", ",".join(types))
        chain.arguments[chain.arguments.index("-o") + 1] = "J"
        for _ in range(5):
            chain.live(signal.SIGKILL)
        chain.finish()
        replies = map(json.loads, lines_of(chain.out))
        self.assertEqual(Counter((reply["type"], reply["name"][:-1]) for reply in replies),
                         Counter({(each, name): count for each in types
                                  for name, count in chain.good.items()}))
        expected = {f"{each} {line}" if line[0] != "#" else line: count
                    for each in types for line, count in chain.bad.items()}
        self.assertEqual(Counter(lines_of(chain.unresolved)), Counter(expected))

    def test_processes_go_on_each_for_itself(self):
        chain = self.chain("processes", "--processes", "2")
        for life in range(8):
            process = chain.start()
            time.sleep(chain.random.uniform(0, LONGEST_LIFE))
            workers = children(process.pid)
            if life % 4 == 3:
                process.send_signal(signal.SIGINT)
            elif life % 4 == 2 and workers:  # one only: the others stop as well
                os.kill(chain.random.choice(workers), signal.SIGKILL)
            else:
                process.kill()
            process.communicate(timeout=support.PATIENCE)
            support.wait_until(lambda: not any(map(alive, workers)), "the end of the workers")
        chain.finish()
        # What a worker says goes through the process that was killed.
        chain.check(parts=("0", "1"), logged=False)

    def test_a_binary_file_has_one_header_and_whole_records(self):
        chain = self.chain("binary")
        chain.arguments[chain.arguments.index("-o") + 1] = "B"
        for _ in range(5):
            chain.live(signal.SIGKILL)
        chain.finish()
        with open(chain.out, "rb") as file:
            content = file.read()
        header = 8 + 4 + 4 + 1 + 5 * 8 + 2 + 2 * 8 + 2 + 2 * 8
        self.assertEqual(content.count(b"massdns\0"), 1)
        names, at = Counter(), header
        while at < len(content):
            (length,) = struct.unpack_from("=H", content, at + 8 + 128)
            at += 8 + 128 + 2
            names[name_of(content[at + 12:at + length])] += 1
            at += length
        self.assertEqual(names, chain.good)

    @unittest.skipIf(os.geteuid() != 0, "only root has privileges to drop")
    def test_as_root_keeping_its_privileges_it_goes_on(self):
        chain = self.chain("root", "--root")
        for _ in range(4):
            chain.live(signal.SIGKILL)
        chain.finish()
        chain.check()
        self.assertFalse(os.path.exists(chain.checkpoint + ".tmp"))


def name_of(octets):
    labels = []
    while octets[0]:
        labels.append(octets[1:1 + octets[0]].decode())
        octets = octets[1 + octets[0]:]
    return ".".join(labels)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return list(map(int, file.read().split()))
    except FileNotFoundError:
        return []


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(GoingOn, support.Case):
    io = "io_uring"


class OnEpoll(GoingOn, support.Case):
    io = "epoll"


if __name__ == "__main__":
    support.main()
