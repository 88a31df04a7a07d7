"""Runs scenarios (README.md) against the responder, and says what did not come as expected.

    replay.py [--io io_uring|epoll] FILE...      by hand; RINGDNS_BUILD is the build directory"""

import collections
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import scenario as scenarios  # noqa: E402
import support  # noqa: E402
from judgement import Judgement  # noqa: E402

# Without a word about it in the scenario, a loaded machine is no loss.
DEFAULTS = {"-i": "3000", "-c": "5", "--tcp-timeout": "8000"}
CLOSE_WAIT = "08"


def load(path):
    with open(path) as file:
        return scenarios.parse(file.read())


def run(scenario, io):
    """All that did not come as expected, a line each; empty: all is well."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ringdns-replay-"))
        os.chmod(directory, 0o755)
        responder = Responder(scenario, directory, stack)
        client = Client(scenario, io, responder.addresses, directory, stack)
        client.ask(scenario)
        client.inspect(responder.port)
        client.finish()
        report = responder.finish()
    return Judgement(scenario, client, report).complaints


class Responder:
    def __init__(self, scenario, directory, stack):
        self.report = os.path.join(directory, "report")
        plan, ports = os.path.join(directory, "plan"), os.path.join(directory, "ports")
        with open(plan, "w") as file:
            file.write("\n".join(scenario.plan) + "\n")
        self.process = subprocess.Popen(
            [support.RESPONDER, "--plan", plan, "--servers", str(scenario.servers),
             "--ports-file", ports, "--report", self.report], stdin=subprocess.DEVNULL)
        stack.callback(support.end, self.process)
        self.addresses = support.wait_for_lines(ports, self.process)
        self.port = int(self.addresses[0].rsplit(":", 1)[1])

    def finish(self):
        """The report, once no connection is open, or none closes any more."""
        until = time.monotonic() + 10
        while True:
            report = self._ask_for_report()
            if report["totals"]["tcp_open_now"] == 0 or time.monotonic() > until:
                support.end(self.process)
                return report
            time.sleep(0.02)

    def _ask_for_report(self):
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.report)
        self.process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + support.PATIENCE
        while not os.path.exists(self.report) and time.monotonic() < until:
            time.sleep(0.005)
        with open(self.report) as file:
            return json.load(file)


class Client:
    """One run of ringdns, asked batch by batch."""

    def __init__(self, scenario, io, addresses, directory, stack):
        self.addresses = addresses
        self.stats_file = os.path.join(directory, "stats")
        resolvers = os.path.join(directory, "resolvers")
        with open(resolvers, "w") as file:
            file.writelines(address + "\n" for number, address in enumerate(addresses, 1)
                            if number in scenario.listed)
        command = [support.RINGDNS, "--io", io, "-r", resolvers, "-o", "Je", "-q", "--flush",
                   "--stats", self.stats_file, *scenario.options]
        for option, value in DEFAULTS.items():
            if option not in scenario.options:
                command += [option, value]
        if any(group.servers for group in scenario.groups()):
            command.append("--extended-input")
        if os.geteuid() == 0:
            command.append("--root")  # else what it has open is not ours to see
        self.stderr = open(os.path.join(directory, "stderr"), "w+b")
        stack.callback(self.stderr.close)
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.stderr)
        stack.callback(support.end, self.process)
        self.lines, self.arrived = [], threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.seen = {}

    def _read(self):
        for line in self.process.stdout:
            with self.arrived:
                self.lines.append(line)
                self.arrived.notify()
        with self.arrived:
            self.reader = None
            self.arrived.notify()

    def ask(self, scenario):
        """A batch is asked when all names of the one before have come back."""
        due = 0
        for pause, groups in scenario.batches:
            time.sleep(pause)
            queues = [collections.deque(group.names) for group in groups]
            lines = []
            while any(queues):  # in turn, so that all are in flight together
                for group, queue in zip(groups, queues):
                    if queue:
                        lines.append(self._line(group, queue.popleft()))
            due += len(lines)
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write("".join(lines).encode())
                self.process.stdin.flush()
            with self.arrived:
                self.arrived.wait_for(lambda: self.reader is None or len(self.lines) >= due,
                                      support.PATIENCE)

    def _line(self, group, name):
        if not group.servers:
            return f"{group.type} {name}\n"
        first, last = group.servers
        server = first - 1 + group.names.index(name) % (last - first + 1)
        return f"{group.type} {name} {self.addresses[server]}\n"

    def inspect(self, port):
        """While it lives: what it holds on to, now that it has nothing to do."""
        known, until = set(), time.monotonic() + 5
        for look in itertools.count(1):
            self.seen = look_at(self.process.pid, port, known)
            clean = not self.seen.get("close_wait") and not self.seen.get("dead_sockets")
            if clean or self.process.poll() is not None:
                return
            if look > 50 and time.monotonic() > until:
                return
            time.sleep(0.02)

    def finish(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.code = self.process.wait(support.PATIENCE)
        except subprocess.TimeoutExpired:
            self.code = "none: it did not end"
            self.process.kill()
        with self.arrived:
            self.arrived.wait_for(lambda: self.reader is None, support.PATIENCE)
        self.wall = time.monotonic() - self.started
        self.stats = None
        with contextlib.suppress(OSError, ValueError), open(self.stats_file) as file:
            self.stats = json.load(file)
        self.stderr.seek(0)
        self.complaints = self.stderr.read()


def look_at(pid, port, known):
    """known: inodes of sockets that were listed once. The kernel's lists are not read in one
    piece, so that a look may miss some of them; a socket that is dead is in none of them."""
    seen = {}
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status") as file:
            peak = re.search(r"VmHWM:\s+(\d+)", file.read())
        if not peak:
            return seen  # it has ended
        seen["memory_kib"] = int(peak[1])
        with open(f"/proc/{pid}/stat") as file:
            ticks = file.read().rsplit(")", 1)[1].split()[11:13]
        seen["cpu"] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        ours, seen["close_wait"] = socket_inodes(pid), 0
        for table in ("tcp", "tcp6", "udp", "udp6", "unix"):
            for words in rows(f"/proc/net/{table}"):
                known.add(words[6 if table == "unix" else 9])
                if table == "tcp" and words[3] == CLOSE_WAIT:
                    seen["close_wait"] += int(words[2].split(":")[1], 16) == port
        seen["dead_sockets"] = len((ours & socket_inodes(pid)) - known)
    return seen


def socket_inodes(pid):
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
            if match:
                inodes.add(match[1])
    return inodes


def rows(path):
    with contextlib.suppress(OSError), open(path) as file:
        return [line.split() for line in file][1:]
    return []


def main():
    arguments = sys.argv[1:]
    backends = ["io_uring", "epoll"]
    if arguments[:1] == ["--io"]:
        backends, arguments = [arguments[1]], arguments[2:]
    failures = 0
    for path in arguments:
        for io in backends:
            complaints = run(load(path), io)
            failures += bool(complaints)
            print(f"{path} on {io}: " + ("as expected" if not complaints else
                                         "".join("\n    " + text for text in complaints)))
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
