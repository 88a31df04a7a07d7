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

# What a scenario says nothing about must not have happened.
SILENT_RINGDNS = (
    "malformed", "udp.truncated", "udp.unreachable", "udp.oversize", "udp.late",
    "udp.mismatched_id", "udp.mismatched_name", "udp.mismatched_source", "udp.unusable",
    "udp.near_misses", "udp.edns_fallbacks", "udp.send_errors", "tcp.skipped_udp",
    "tcp.back_to_udp", "tcp.truncated", "tcp.strays", "tcp.late", "tcp.requeued", "tcp.charged",
    "tcp.timeouts", "tcp.connections.connect_failures", "tcp.connections.died",
    "tcp.connections.stalled", "tcp.connections.misbehaved", "tcp.connections.evicted",
    "tcp.connections.local_errors")
SILENT_RESPONDER = ("bad_queries", "no_rule", "udp_identical_outstanding")
# Without a word about it in the scenario, a loaded machine is no loss.
DEFAULTS = {"-i": "3000", "-c": "5", "--tcp-timeout": "8000"}
SPIN_ALLOWANCE = 1.5  # seconds of CPU, besides a third of the time that passed
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


class Judgement:
    """Holds a run against its scenario, and against what every run must keep."""

    def __init__(self, scenario, client, report):
        self.scenario, self.client, self.report = scenario, client, report
        self.stats = client.stats
        self.complaints = []
        self.check_process()
        self.check_outcomes()
        self.check_report()
        if self.stats is None:
            self.say("no statistics were written")
        else:
            self.check_balance()
            self.check_counters()

    def say(self, text):
        self.complaints.append(text)

    def expect(self, holds, text):
        if not holds:
            self.say(text)

    def check_process(self):
        client = self.client
        self.expect(client.code == 0, f"exit code {client.code}")
        self.expect(client.complaints == b"", f"on stderr: {client.complaints[:500]!r}")
        self.expect(not client.seen.get("close_wait"),
                    f"{client.seen.get('close_wait')} connections left in CLOSE_WAIT")
        self.expect(not client.seen.get("dead_sockets"),
                    f"{client.seen.get('dead_sockets')} sockets kept that are no connection")
        cpu = client.seen.get("cpu", 0)
        self.expect(cpu <= SPIN_ALLOWANCE + client.wall / 3 or sanitized(),
                    f"{cpu:.1f} s of CPU in {client.wall:.1f} s: it spins")

    # ---- Outcomes

    def check_outcomes(self):
        replies, lines = collections.defaultdict(list), self.client.lines
        for line in lines:
            try:
                reply = json.loads(line)
                replies[reply["name"].lower(), reply["type"]].append(reply)
            except (ValueError, KeyError):
                self.say(f"no JSON object with a name and a type: {line[:200]!r}")
        for group in self.scenario.groups():
            expected = self.scenario.outcomes[group.name]
            wrong = [wrong for name in group.names
                     for wrong in self.wrongs_of(expected, name,
                                                 replies.pop((name + ".", group.type), []))]
            for text, count in collections.Counter(wrong).items():
                self.say(f"{group.name}: {text} ({count} of {len(group.names)})")
        for key in replies:
            self.say(f"written, but never asked for: {key}")
        for group in self.scenario.groups():
            self.check_asked(group)

    def wrongs_of(self, expected, name, replies):
        if len(replies) != 1:
            return [f"{len(replies)} outcomes instead of 1"]
        (reply,) = replies
        if "error" in reply:
            got = f"failed {reply['error']}"
            return [] if not expected.answered and got == f"failed {expected.status}" else [got]
        got = f"answered {reply['status']} over {reply['proto']}"
        if got != f"answered {expected.status} over {expected.transport}" or not expected.answered:
            return [got]
        answers = reply["data"].get("answers", [])
        if matches(expected.data, name, answers):
            return []
        return ["answered with " + (" and ".join(map(text_of, answers))[:200] or "nothing")]

    def check_asked(self, group):
        expected = self.scenario.outcomes[group.name].asked
        if not expected:
            return
        hits = self.report["totals"]["rule_hits"]
        asked = sum(hits.get(str(number), 0) for number in self.scenario.own_rules(group))
        count = len(group.names)
        self.expect(expected.low * count <= asked <= expected.high * count,
                    f"{group.name}: asked {asked} times for {count} names, not {expected} each")

    # ---- Connections and counters

    def check_report(self):
        totals = self.report["totals"]
        self.expect(totals["tcp_open_now"] == 0,
                    f"{totals['tcp_open_now']} connections still open at the server")
        for expected in self.scenario.connections:
            where, got = "", totals
            if expected.servers:
                first, last = expected.servers
                where = f" to servers {first}-{last}"
                got = collections.Counter()
                for listener in self.report["listeners"][first - 1:last]:
                    got.update({key: listener[key] for key in
                                ("tcp_accepts", *scenarios.ENDS.values())})
            self.expect(got["tcp_accepts"] in expected.accepted,
                        f"{got['tcp_accepts']} connections{where}, not {expected.accepted}")
            for words, key in scenarios.ENDS.items():
                if expected.ended is not None:
                    self.expect(got[key] in expected.ended[key],
                                f"{got[key]} connections{where} ended by {words}, "
                                f"not {expected.ended[key]}")

    def check_balance(self):
        stats, tcp = self.stats, self.stats["tcp"]
        connections = tcp["connections"]
        asked = sum(len(group.names) for group in self.scenario.groups())
        failed = sum(stats["failed"].values())
        for what, value, other in (
                ("lines taken", stats["lines"], asked),
                ("names", stats["names"], asked),
                ("answered + failed", stats["answered"] + failed, asked),
                ("answers + failures + back_to_udp of TCP",
                 tcp["answers"] + tcp["failures"] + tcp["back_to_udp"], tcp["entries"]),
                ("connect failures + connections ended",
                 connections["connect_failures"] + connections["ended"], connections["opened"]),
                ("failed tries", sum(stats["failed_tries"]), asked)):
            self.expect(value == other, f"{what}: {value}, not {other}")
        accepts = self.report["totals"]["tcp_accepts"]
        self.expect(accepts <= connections["opened"],
                    f"{accepts} connections accepted, {connections['opened']} opened")
        limit = option(self.scenario.options, "--tcp-connections", 512)
        self.expect(connections["most_at_once"] <= limit,
                    f"{connections['most_at_once']} connections at once")

    def check_counters(self):
        spoken_of = set()
        for counter in self.scenario.counters:
            spoken_of.add((counter.whose, counter.key))
            value = self.value_of(counter)
            if value is None:
                self.say(f"there is no counter {counter.key} of {' '.join(map(str, counter.whose))}")
            else:
                self.expect(value in counter.range,
                            f"{' '.join(map(str, counter.whose))} {counter.key}: {value}, "
                            f"not {counter.range}")
        for whose, keys in ((("ringdns",), SILENT_RINGDNS), (("responder",), SILENT_RESPONDER)):
            for key in keys:
                if (whose, key) not in spoken_of:
                    value = self.value_of(scenarios.Counter(whose, key, None))
                    self.expect(value == 0, f"nothing was said of {whose[0]} {key}: {value}")

    def value_of(self, counter):
        whose, *number = counter.whose
        if whose == "memory":
            return 0 if sanitized() else self.client.seen.get("memory_kib", 0) / 1024
        if whose == "ringdns":
            return look_up(self.stats, counter.key)
        listeners = self.report["listeners"]
        return look_up(listeners[number[0] - 1] if number else self.report["totals"], counter.key)


def sanitized():
    return bool(os.environ.get("RINGDNS_SANITIZED"))


def look_up(tree, key):
    for word in key.split("."):
        if not isinstance(tree, dict) or word not in tree:
            return None
        tree = tree[word]
    return tree if isinstance(tree, (int, float)) else None


def option(options, name, default):
    return int(options[options.index(name) + 1]) if name in options else default


def text_of(record):
    return f"{record['ttl']} {record['type']} {record['data']}"


def fnv(name):
    value = 2166136261
    for octet in name.lower().encode():
        value = (value ^ octet) * 16777619 % 2**32
    return value


def matches(expected, name, answers):
    if expected == "nothing":
        return not answers
    if expected == "its own address":
        low = fnv(name + ".")
        own = {"A": f"10.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}",
               "AAAA": f"2001:db8::{low >> 16:x}:{low & 0xffff:x}"}
        return (len(answers) == 1 and answers[0]["name"].lower() == name + "."
                and own.get(answers[0]["type"]) == answers[0]["data"])
    sized = re.fullmatch(r"TXT of (\S+) octets", expected)
    if sized:
        return (len(answers) == 1 and answers[0]["type"] == "TXT"
                and len(answers[0]["data"]) in scenarios.Range.parse(sized[1]))
    raw = re.fullmatch(r"(\S+) of (\d+) raw octets", expected)
    if raw:
        return (len(answers) == 1 and answers[0]["type"] == raw[1]
                and answers[0]["data"].startswith(f"\\# {raw[2]} "))
    wanted = expected.split(" and ")
    return len(wanted) == len(answers) and all(
        want in (text_of(record), text_of(record).split(" ", 1)[1])
        for want, record in zip(wanted, answers))


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
