"""What the end-to-end tests share: the binaries, a responder, a run of ringdns.

Meson hands the build directory over in RINGDNS_BUILD. Every server listens on loopback, on a port
that the kernel gave, and is ended by pid when its test ends."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from collections import Counter

BUILD = (os.environ.get("RINGDNS_BUILD") or
         os.path.join(os.path.dirname(__file__), "../../build-test"))
RINGDNS = os.path.join(BUILD, "ringdns")
RESPONDER = os.path.join(BUILD, "tests", "responder", "responder")
DENY_IO_URING = os.path.join(BUILD, "tests", "deny_io_uring")
# How long a test waits for something that must come. Never a measure of speed.
PATIENCE = 240


FOREVER = "3600000"  # in milliseconds: what it bounds ends otherwise, or the test does not


def io_uring_works():
    """Whether this host permits io_uring at all; where not, its variants are skipped by name."""
    with tempfile.NamedTemporaryFile("w") as names:
        done = subprocess.run([RINGDNS, "--io", "io_uring", "-r", "127.0.0.1:9", "-q", names.name],
                              capture_output=True, timeout=PATIENCE)
    return done.returncode == 0


def names(count, zone="test"):
    return [f"n{i}.{zone}" for i in range(count)]


class Case(unittest.TestCase):
    """A test with a directory of its own and servers that end with it."""

    maxDiff = 4000
    io = "auto"  # the backend; tests that are run on each have it from their class

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.dir = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="ringdns-e2e-"))
        os.chmod(self.dir, 0o755)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.path(name), mode) as file:
            file.write(content)
        return self.path(name)

    def responder(self, rules, *arguments, listen=("127.0.0.1:0",)):
        """Starts a responder; returns its addresses."""
        return self.serve(rules, *arguments, listen=listen).addresses

    def serve(self, rules, *arguments, listen=("127.0.0.1:0",)):
        """Starts a responder that can be asked for its report."""
        count = len(os.listdir(self.dir))
        plan = self.write(f"plan{count}", rules)
        ports = self.path(f"ports{count}")
        report = self.path(f"report{count}")
        command = [RESPONDER, "--plan", plan, "--ports-file", ports, "--report", report]
        if "--servers" not in arguments:
            for address in listen:
                command += ["--listen", address]
        process = subprocess.Popen(command + list(map(str, arguments)), stdin=subprocess.DEVNULL)
        self.stack.callback(end, process)
        return Responder(process, wait_for_lines(ports, process), report)

    def run_ringdns(self, *arguments, stdin=b"", timeout=PATIENCE, wrapper=()):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        return subprocess.run([*wrapper, RINGDNS, *map(str, arguments)], input=stdin,
                              capture_output=True, timeout=timeout)

    def count(self, servers, names, *arguments, timeout=PATIENCE, wrapper=()):
        """Runs ringdns with --stats, checks that its counters balance, and returns the Run.
        servers: an address, a list of them, or a path; names: one string, or lines."""
        if not isinstance(servers, str):
            servers = self.write(f"resolvers{len(os.listdir(self.dir))}", "\n".join(servers))
        if not isinstance(names, (str, bytes)):
            names = "".join(name + "\n" for name in names)
        stats = self.path(f"stats{len(os.listdir(self.dir))}")
        done = self.run_ringdns("-r", servers, "--stats", stats, *arguments, stdin=names,
                                timeout=timeout, wrapper=wrapper)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(stats) as file:
            run = Run(json.load(file), done.stdout, done.stderr)
        self.assertBalanced(run.stats)
        return run

    def run_names(self, server, lines, *arguments, **how):
        """count() at a server, or at several addresses, on this test's backend."""
        address = server if isinstance(server, (str, list)) else server.address
        return self.count(address, lines, "--io", self.io, *arguments, **how)

    def live_at(self, server, *arguments):
        return self.live("-r", server.address, "--io", self.io, *arguments)

    def assertBalanced(self, stats):
        tcp = stats["tcp"]
        connections = tcp["connections"]
        self.assertEqual(stats["names"], stats["answered"] + sum(stats["failed"].values()))
        self.assertEqual(stats["due"], stats["names"] + stats["invalid"])
        self.assertEqual(stats["open"], 0)
        self.assertEqual(tcp["entries"], tcp["answers"] + tcp["failures"] + tcp["back_to_udp"])
        self.assertEqual(connections["opened"],
                         connections["connect_failures"] + connections["ended"])

    def live(self, *arguments):
        """ringdns, fed line by line."""
        return Live(self, arguments)

    def start_ringdns(self, *arguments, **popen):
        process = subprocess.Popen([RINGDNS, *map(str, arguments)], **popen)
        self.stack.callback(end, process)
        return process


class Responder:
    def __init__(self, process, addresses, report_path):
        self.process, self.addresses, self.report_path = process, addresses, report_path
        self.address = addresses[0]
        self.ports = [int(address.rsplit(":", 1)[1]) for address in addresses]

    def report(self):
        """Its counts so far."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.report_path)
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(self.report_path), "the responder's report")
        with open(self.report_path) as file:
            return json.load(file)

    def totals(self):
        return self.report()["totals"]

    def hits(self):
        """How often each rule was used, in the order of the plan."""
        return [rule["hits"] for rule in self.report()["rules"]]


class Run:
    """What a run of ringdns left behind."""

    def __init__(self, stats, stdout=b"", stderr=b""):
        self.stdout, self.stderr, self.stats = stdout, stderr, stats
        self.tcp, self.udp = stats["tcp"], stats["udp"]
        self.connections = self.tcp["connections"]

    def lines(self):
        return self.stdout.decode().splitlines()

    def replies(self):
        return [json.loads(line) for line in self.lines()]

    def outcomes(self):
        """Of -o Je: how often each status or error occurred."""
        return Counter(reply.get("status") or reply["error"] for reply in self.replies())

    def answers(self):
        """Of -o S: {owner: the data of its last record}."""
        return dict(line.split(" ", 2)[::2] for line in self.lines())


class Live:
    """ringdns at the other end of two pipes: a test asks, and goes on when the answer is there."""

    def __init__(self, case, arguments):
        self.process = case.start_ringdns("-q", "--flush", "-o", "S", *arguments,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.output = b""  # read, and not yet handed out

    def send(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines).encode())
        self.process.stdin.flush()

    def line(self):
        while b"\n" not in self.output:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            octets = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            if not octets:
                raise AssertionError("ringdns writes no answer")
            self.output += octets
        line, self.output = self.output.split(b"\n", 1)
        return line.decode()

    def ask(self, line):
        self.send(line)
        return self.line()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def finish(self):
        """What was still to come, once the input has ended."""
        rest, _ = self.process.communicate(timeout=PATIENCE)
        rest, self.output = self.output + rest, b""
        if self.process.returncode != 0:
            raise AssertionError(f"ringdns ended with {self.process.returncode}")
        return rest.decode().splitlines()


def peak_memory(process):
    """Waits for its end; returns its peak memory in KiB. Not from wait4(): the kernel lets that one
    begin at the size of the process that started it."""
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    peak = int(line.split()[1])
        time.sleep(0.005)
    return peak


TCP_STATES = {1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2",
              6: "TIME_WAIT", 7: "CLOSE", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN",
              11: "CLOSING"}


def sockets_to(*ports):
    """The states of this host's TCP sockets whose other end is such a port: the client's side."""
    states = Counter()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(table) as file:
            for line in file.readlines()[1:]:
                _, _, remote, state = line.split()[:4]
                if int(remote.rsplit(":", 1)[1], 16) in ports:
                    states[TCP_STATES.get(int(state, 16), state)] += 1
    return states


def wait_until(condition, what):
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come")
        time.sleep(0.01)


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def wait_for_lines(path, process):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"{process.args[0]} ended at once: {process.returncode}")
        with contextlib.suppress(FileNotFoundError):
            with open(path) as file:
                lines = file.read().split()
            if lines:
                return lines
        time.sleep(0.01)
    raise AssertionError(f"{process.args[0]} did not get ready")


def free_port(address="127.0.0.1"):
    """A port free for UDP and TCP alike. Somebody else may take it in between: retry then."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((address, 0))
            port = udp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
                with contextlib.suppress(OSError):
                    tcp.bind((address, port))
                    return port
    raise AssertionError("no free port")


def summary(stderr):
    """The closing summary as a dict of its first numbers: {'names': 3, 'answered': 2, ...}."""
    figures = {}
    for line in stderr.decode().splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            figures[words[0]] = int(words[1])
    return figures


def main():
    unittest.main(verbosity=2)
