"""What a run of a scenario must keep: what the scenario says, and what holds for every run."""

import collections
import json
import os
import re

import scenario as scenarios

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
SPIN_ALLOWANCE = 1.5  # seconds of CPU, besides a third of the time that passed


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
            value, whose = self.value_of(counter), " ".join(map(str, counter.whose))
            if value is None:
                self.say(f"there is no counter {counter.key} of {whose}")
            else:
                self.expect(value in counter.range,
                            f"{whose} {counter.key}: {value}, not {counter.range}")
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
