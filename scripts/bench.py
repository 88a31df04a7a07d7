#!/usr/bin/env python3
"""Rates and CPU times of ringdns against the responder. See scripts/bench.

Usage: bench.py BUILD NAMES ROUNDS"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

VARIANTS = [(io, window, form) for io in ("io_uring", "epoll") for window in (1000, 10000)
            for form in ("S", "J")]


def cores():
    """(the client's, the responder's): one each where there are two."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, set(mine[1:2] or mine[:1])


def start_responder(build, work, core):
    plan, ports = os.path.join(work, "plan"), os.path.join(work, "ports")
    with open(plan, "w") as file:
        file.write("*.test. answer A hash\n")
    command = [os.path.join(build, "tests/responder/responder"), "--plan", plan,
               "--ports-file", ports]
    for i in range(1, 11):
        command += ["--listen", f"127.0.0.{i}:0"]
    process = subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, core))
    for _ in range(300):
        if process.poll() is not None:
            break
        if os.path.exists(ports) and os.path.getsize(ports):
            return process, ports
        time.sleep(0.1)
    process.kill()
    sys.exit("bench: the responder did not start")


def run(build, work, ports, names, variant, core):
    """(names per second, CPU microseconds per name, names without an answer) of one run."""
    io, window, form = variant
    out = os.path.join(work, "out")
    command = [os.path.join(build, "ringdns"), "--root", "-q", "--io", io, "-s", str(window),
               "-r", ports, "-o", form, "-w", out, os.path.join(work, "names")]
    start = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE,
                               preexec_fn=lambda: os.sched_setaffinity(0, core))
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    if process.returncode != 0:
        return None, said.strip(), None
    with open(out, "rb") as file:
        answered = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    cpu = usage.ru_utime + usage.ru_stime
    return names / seconds, cpu / names * 1e6, names - answered


def main(build, names, rounds):
    client, server = cores()
    with tempfile.TemporaryDirectory(prefix="ringdns-bench-") as work:
        with open(os.path.join(work, "names"), "w") as file:
            file.writelines(f"n{i}.test\n" for i in range(names))
        responder, ports = start_responder(build, work, server)
        try:
            results = {variant: [] for variant in VARIANTS}
            missing = {}
            for round_number in range(rounds):
                for variant in VARIANTS:
                    if variant in missing:
                        continue
                    rate, cpu, lost = run(build, work, ports, names, variant, client)
                    if rate is None:
                        missing[variant] = cpu
                    else:
                        results[variant].append((rate, cpu, lost))
                print(f"round {round_number + 1} of {rounds} done", file=sys.stderr)
        finally:
            responder.send_signal(signal.SIGTERM)
            responder.wait()
    where = "a core each" if client != server else "sharing one core"
    print(f"{names} names a run, {rounds} rounds, 10 resolvers; client and responder {where}")
    print(f"{'loop':9} {'in flight':>9} {'output':>6} {'names/s':>9} {'(least-most)':>17} "
          f"{'us CPU/name':>11} {'lost':>5}")
    for variant, runs in results.items():
        io, window, form = variant
        if not runs:
            print(f"{io:9} {window:9} {form:>6} {missing[variant]}")
            continue
        rates = [rate for rate, _, _ in runs]
        print(f"{io:9} {window:9} {form:>6} {statistics.median(rates):9.0f} "
              f"{f'({min(rates):.0f}-{max(rates):.0f})':>17} "
              f"{statistics.median(cpu for _, cpu, _ in runs):11.2f} "
              f"{sum(lost for _, _, lost in runs):5}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: bench.py BUILD NAMES ROUNDS")
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
