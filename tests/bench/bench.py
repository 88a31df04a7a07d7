#!/usr/bin/env python3
"""Measures ringdns from end to end against tests/responder, the floor and massdns.

See README.md beside this file, and scripts/bench, which builds what is measured and calls this."""

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

PLAIN = "*.test. answer A hash\n"
TRUNCATED = "*.test. truncate answer A hash\n"
FEW_TRUNCATED = "*.test. share 2% truncate answer A hash\n" + PLAIN
THREE_BAD = TRUNCATED + ("server 1\ntcp silent after 0\n"
                         "server 2\ntcp deaf after 0\n"
                         "server 3\ntcp blackhole\n")
BOTH = ("io_uring", "epoll")
LIMIT = 600  # seconds; a run that takes longer has hung

# servers: how many listen. gro: whether the responder merges datagrams. form: -o. window: -s.
# options: of ringdns alone. peer: massdns's share of the names, 0 where it cannot do that at all.
# bad: the plan that is held against `plan`, by when the answers came.
Scenario = namedtuple("Scenario", "name plan servers gro form window options loops peer bad share",
                      defaults=["S", 10000, (), ("io_uring",), 1, None, 1])

SCENARIOS = [
    Scenario("udp plain, 1 resolver", PLAIN, 1, False, loops=BOTH),
    Scenario("udp plain, 10 resolvers", PLAIN, 10, False, loops=BOTH),
    Scenario("udp plain, 100 resolvers", PLAIN, 100, False, loops=BOTH),
    Scenario("udp plain, 1000 resolvers", PLAIN, 1000, False, loops=BOTH),
    Scenario("udp plain, 10 resolvers, JSON", PLAIN, 10, False, form="J"),
    Scenario("udp coalescing, 1 resolver", PLAIN, 1, True),
    Scenario("udp coalescing, 10 resolvers", PLAIN, 10, True),
    Scenario("udp coalescing, 10 resolvers, JSON", PLAIN, 10, True, form="J"),
    # massdns opens a connection a name: it gets fewer names, and the window that suits it better.
    Scenario("tcp, all truncated, plain", TRUNCATED, 1, False, window=1000, loops=BOTH, peer=0.04),
    Scenario("tcp, all truncated, coalescing", TRUNCATED, 1, True, window=1000, loops=BOTH,
             peer=0.04),
    Scenario("tcp only", PLAIN, 1, True, options=("--tcp-only",), peer=0),
    Scenario("2 % truncated", FEW_TRUNCATED, 10, False),
    # The smaller window is well below 1 % of the names: what meets the bad ones unawares does not
    # show before 99 %, only what becomes of the others.
    Scenario("bad neighbours, small window", TRUNCATED, 10, False, form="J", window=500, peer=0,
             bad=THREE_BAD, share=0.2),
    Scenario("bad neighbours", TRUNCATED, 10, False, form="J", peer=0, bad=THREE_BAD, share=0.2),
]

# What one run came to. again: queries that had to be repeated; None where that is not told.
Run = namedtuple("Run", "rate cpu memory busy lost again")
Arrivals = namedtuple("Arrivals", "most nearly_all all lost")  # seconds until 97, 99, 100 %


class Failed(Exception):
    """A run that came to nothing; why, in a line."""


# The machine

def cores():
    """(the client's, the responder's): one each where there are two."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, set(mine[1:2] or mine[:1])


def cpu_model():
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
        if found:
            return found.group(1)
    return platform.machine()


def describe_machine(client, server):
    load = os.getloadavg()[0]
    where = "a core each" if client != server else "SHARING ONE CORE: rates mean little"
    print(f"Linux {platform.release()}, {cpu_model()}, {os.cpu_count()} cores; "
          f"client and responder {where}; load before the start {load:.2f}")
    if load > 0.5:
        print("WARNING: the machine is not idle (load above 0.5): the figures mean little")


# Processes

def pinned(core):
    """For preexec_fn."""
    return lambda: os.sched_setaffinity(0, core)


@contextlib.contextmanager
def responder(bench, scenario, plan):
    """Serves the plan; the path of the resolver list."""
    with tempfile.TemporaryDirectory(dir=bench.work) as work:
        ports, rules = os.path.join(work, "ports"), os.path.join(work, "plan")
        with open(rules, "w") as file:
            file.write(plan)
        command = [os.path.join(bench.build, "tests/responder/responder"), "--plan", rules,
                   "--ports-file", ports, "--servers", str(scenario.servers)]
        process = subprocess.Popen(command + ([] if scenario.gro else ["--no-gro"]),
                                   preexec_fn=pinned(bench.server))
        try:
            wait_for(ports, process)
            yield ports
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def wait_for(path, process):
    for _ in range(300):
        if os.path.exists(path):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise Failed("the responder did not start")


def measure(bench, command):
    """Runs the client: (what it said, what it used)."""
    try:
        done = subprocess.run([os.path.join(bench.build, "tests/bench/measure"), *command],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT,
                              preexec_fn=pinned(bench.client))
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {LIMIT} s") from None
    text, _, last = done.stdout.decode(errors="replace").strip().rpartition("\n")
    if done.returncode != 0:
        raise Failed(last)
    usage = json.loads(last)
    if usage["code"] != 0:
        said = text.strip().splitlines() or ["no message"]
        raise Failed(f"exit code {usage['code']}: {said[-1]}")
    return text, usage


def names_file(bench, count):
    path = os.path.join(bench.work, f"names{count}")
    if not os.path.exists(path):
        with open(path, "w") as file:
            file.writelines(f"n{i}.test\n" for i in range(count))
    return path


def count_lines(path):
    with open(path, "rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def as_run(names, usage, lost, again):
    cpu, seconds = usage["cpu"], usage["seconds"]
    return Run(names / seconds, cpu / names * 1e6, usage["kilobytes"] / 1024, cpu / seconds, lost,
               again)


# The contenders: each takes (bench, scenario, resolver list) and gives a Run

def run_floor(bench, scenario, ports):
    names = names_of(bench, scenario)
    said, usage = measure(bench, [os.path.join(bench.build, "tests/bench/floor"), str(names),
                                  str(scenario.window), ports])
    return as_run(names, usage, 0, int(re.search(r"(\d+) asked again", said).group(1)))


def ringdns_command(bench, scenario, ports, loop, names):
    return [os.path.join(bench.build, "ringdns"), "--root", "-q", "--io", loop,
            "-s", str(scenario.window), "-r", ports, "-t", "A", "-o", scenario.form,
            "-w", bench.out, "--stats", bench.stats, *scenario.options, names_file(bench, names)]


def run_ringdns(loop):
    def run(bench, scenario, ports):
        names = names_of(bench, scenario)
        _, usage = measure(bench, ringdns_command(bench, scenario, ports, loop, names))
        with open(bench.stats) as file:
            stats = json.load(file)
        again = stats["udp"]["timeouts"] + stats["tcp"]["requeued"]
        return as_run(names, usage, names - count_lines(bench.out), again)
    return run


def run_massdns(bench, scenario, ports):
    names = max(1, int(names_of(bench, scenario) * scenario.peer))
    _, usage = measure(bench, [
        bench.massdns, "-q", "--root", "-r", ports, "-o", scenario.form, "-w", bench.out, "-t", "A",
        "-s", str(scenario.window), *shlex.split(os.environ.get("MASSDNS_OPTIONS", "")),
        names_file(bench, names)])
    return as_run(names, usage, names - count_lines(bench.out), None)


def names_of(bench, scenario):
    return max(1, int(bench.names * scenario.share))


def contenders(bench, scenario):
    chosen = {"floor": run_floor}
    chosen.update({f"ringdns, {loop}": run_ringdns(loop) for loop in scenario.loops})
    if bench.massdns and scenario.peer:
        chosen["massdns"] = run_massdns
    return chosen


def alternate(bench, chosen):
    """{who: [result of each round]}, {who: why not}. Every second round runs backwards."""
    results, failures = {who: [] for who in chosen}, {}
    for number in range(bench.rounds):
        for who in list(chosen)[::-1 if number % 2 else 1]:
            if who in failures:
                continue
            try:
                results[who].append(chosen[who]())
            except Failed as failure:
                failures[who] = str(failure)
    return results, failures


# Tables

def median(runs, field):
    values = [getattr(run, field) for run in runs]
    return None if None in values else statistics.median(values)


def total(runs, field):
    values = [getattr(run, field) for run in runs]
    return "-" if None in values else str(sum(values))


def ratio(a, b, digits=2):
    return f"{a / b:.{digits}f}" if a is not None and b else "-"


HEAD = (f"  {'':18}{'names/s':>9} {'(least-most)':>19} {'us/name':>8} {'busy':>5} {'MB':>6} "
        f"{'CPU/floor':>9} {'faster':>7} {'cheaper':>7} {'lost':>6} {'again':>7}")


def row(who, runs, floor, peer):
    rates = [run.rate for run in runs]
    cpu, rate = median(runs, "cpu"), median(runs, "rate")
    floor_cpu = median(floor, "cpu") if floor else None
    peer_rate, peer_cpu = (median(peer, "rate"), median(peer, "cpu")) if peer else (None, None)
    return (f"  {who:18}{rate:9.0f} {f'({min(rates):.0f}-{max(rates):.0f})':>19} {cpu:8.2f} "
            f"{median(runs, 'busy'):5.0%} {median(runs, 'memory'):6.1f} {ratio(cpu, floor_cpu):>9} "
            f"{ratio(rate, peer_rate, 1):>7} {ratio(peer_cpu, cpu, 1):>7} "
            f"{total(runs, 'lost'):>6} {total(runs, 'again'):>7}")


def compare_contenders(bench, scenario):
    with responder(bench, scenario, scenario.plan) as ports:
        chosen = {who: lambda run=run: run(bench, scenario, ports)
                  for who, run in contenders(bench, scenario).items()}
        results, failures = alternate(bench, chosen)
    print(f"\n{scenario.name} (-s {scenario.window} -o {scenario.form})\n{HEAD}")
    for who, runs in results.items():
        if who in failures:
            print(f"  {who:18}failed: {failures[who]}")
        else:
            print(row(who, runs, results["floor"], results.get("massdns")))


# Bad neighbours

def received(path):
    """The rx_ts of the JSON lines, in order."""
    with open(path, "rb") as file:
        return sorted(int(re.search(rb'"rx_ts":(\d+)', line).group(1)) for line in file)


def arrivals(bench, scenario, ports):
    """When, since the start, 97 %, 99 % and all of the names had their answers."""
    names = names_of(bench, scenario)
    start = time.time_ns()
    measure(bench, ringdns_command(bench, scenario, ports, scenario.loops[0], names))
    came = received(bench.out)

    def when(percent):
        needed = -(-names * percent // 100)
        return (came[needed - 1] - start) / 1e9 if len(came) >= needed else None
    return Arrivals(when(97), when(99), when(100), names - len(came))


def compare_plans(bench, scenario):
    with responder(bench, scenario, scenario.plan) as healthy, \
            responder(bench, scenario, scenario.bad) as bad:
        results, failures = alternate(bench, {
            "ten healthy": lambda: arrivals(bench, scenario, healthy),
            "three of ten bad": lambda: arrivals(bench, scenario, bad)})
    print(f"\n{scenario.name} (-s {scenario.window} -o {scenario.form}, {scenario.loops[0]}): "
          f"seconds until answered\n  {'':18}{'97 %':>8} {'99 %':>8} {'all':>8} {'lost':>6}")
    for who, why in failures.items():
        print(f"  {who:18}failed: {why}")
    if failures:
        return
    times = {who: [median(runs, field) for field in Arrivals._fields[:3]]
             for who, runs in results.items()}
    for who, runs in results.items():
        shown = " ".join("   never" if t is None else f"{t:8.3f}" for t in times[who])
        print(f"  {who:18}{shown} {total(runs, 'lost'):>6}")
    bad_ones, healthy_ones = times["three of ten bad"], times["ten healthy"]
    print(f"  {'ratio':18}" + " ".join(f"{ratio(b, h):>8}" for b, h in zip(bad_ones, healthy_ones)))


# All of it

Bench = namedtuple("Bench", "build massdns names rounds client server work out stats")


def positive(text):
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return int(text)


def pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text} is no regular expression: {error}")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench", description="Measures ringdns; see "
                                     "tests/bench/README.md. MASSDNS may name a massdns binary, "
                                     "MASSDNS_OPTIONS further options for it.")
    parser.add_argument("names", nargs="?", type=positive, default=500000, metavar="NAMES",
                        help="a run (500000)")
    parser.add_argument("rounds", nargs="?", type=positive, default=5, metavar="ROUNDS",
                        help="of alternated runs (5)")
    parser.add_argument("--only", type=pattern, default=pattern(""), metavar="PATTERN",
                        help="scenarios whose name contains this regular expression")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    chosen.scenarios = [s for s in SCENARIOS if chosen.only.search(s.name)]
    chosen.massdns = os.environ.get("MASSDNS")
    if not chosen.scenarios:
        parser.error("no scenario has such a name; --list shows them")
    if chosen.massdns and not os.access(chosen.massdns, os.X_OK):
        parser.error(f"MASSDNS={chosen.massdns} is no program")
    return chosen


def main(arguments):
    chosen = parse(arguments)
    if chosen.list:
        print("\n".join(scenario.name for scenario in chosen.scenarios))
        return 0
    client, server = cores()
    describe_machine(client, server)
    print(f"{chosen.names} names a run, medians of {chosen.rounds} alternated rounds")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ringdns-bench-") as work:
        bench = Bench(os.path.abspath(chosen.build), chosen.massdns, chosen.names, chosen.rounds,
                      client, server, work, os.path.join(work, "out"), os.path.join(work, "stats"))
        for scenario in chosen.scenarios:
            try:
                (compare_plans if scenario.bad else compare_contenders)(bench, scenario)
            except Failed as failure:
                print(f"\n{scenario.name}: {failure}")
                failed = 1
            sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
