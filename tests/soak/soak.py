#!/usr/bin/env python3
"""A long run under stress: full speed, one query in ten goes wrong, every process is stopped now
and then, there are few descriptors and little memory. Every name must have its one right outcome,
and memory must not grow.

Usage: soak.py --build DIR [--minutes N] [--seed N]      N minutes are shared by both backends"""

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

DESCRIPTORS = 64
MEMORY = 128 << 20  # octets of address space
GROWTH = 2048       # KiB that the second half may have on average above the first: noise, no more
SERVERS = 100       # more than there are descriptors for connections

# What comes to which name is known to judge.cpp as well.
PLAN = """
*.dead.test.  drop
*.gone.test.  chance 10% drop
*.gone.test.  rcode NXDOMAIN

*  chance 2%           drop
*  chance 1%           rcode SERVFAIL
*  chance 1%           rcode REFUSED
*  over udp chance 1%  runt 7 answer A hash
*  over udp chance 1%  wrong-id answer A hash
*  over udp chance 1%  spoof 3 by-id spoof 1 by-address spoof 1 by-name answer A hash
*  over udp chance 1%  header-only rcode FORMERR
*  over udp chance 1%  truncate answer A hash
*  over udp chance 1%  delay 100ms to 400ms copies 2 every 50ms answer A hash
*  over tcp chance 2%  delay 100ms to 400ms answer A hash
*  over tcp chance 2%  split 7 answer A hash
*  over tcp chance 1%  close
*  over tcp chance 1%  reset
*  over tcp chance 1%  length +5 answer A hash
*.big.test.            truncate answer A hash
*                      answer A hash

tcp chance 5%  close after 3
tcp chance 2%  silent after 5
tcp chance 5%  reversed 4
"""


class Soak:
    def __init__(self, build, backend, seconds, seed):
        self.build, self.backend, self.seconds = build, backend, seconds
        self.random = random.Random(seed)
        self.seed = seed
        self.complaints = []

    def start(self, stack, *command, **popen):
        process = subprocess.Popen(command, **popen)

        def end():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        stack.callback(end)
        return process

    def run(self):
        with contextlib.ExitStack() as stack:
            self.dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="ringdns-soak-"))
            os.chmod(self.dir, 0o755)
            self.start_all(stack)
            self.stress()
            return self.finish()

    def path(self, name):
        return os.path.join(self.dir, name)

    def start_all(self, stack):
        with open(self.path("plan"), "w") as file:
            file.write(PLAN)
        self.responder = self.start(
            stack, os.path.join(self.build, "tests/responder/responder"), "--plan",
            self.path("plan"), "--servers", str(SERVERS), "--ports-file", self.path("servers"),
            "--seed", str(self.seed))
        while not os.path.exists(self.path("servers")):
            if self.responder.poll() is not None:
                raise SystemExit("the responder did not start")
            time.sleep(0.05)
        judge = os.path.join(self.build, "tests/soak/judge")
        self.feeder = self.start(stack, judge, "names", stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        self.ringdns = self.start(
            stack, os.path.join(self.build, "ringdns"), "--io", self.backend, "-q", "-r",
            self.path("servers"), "-o", "Je", "-c", "20", "-i", "300", "--tcp-timeout", "1500",
            "--stats", "-", stdin=self.feeder.stdout, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=limit)
        self.feeder.stdout.close()
        self.judge = self.start(stack, judge, "verdict", stdin=self.ringdns.stdout,
                                stdout=subprocess.PIPE)
        self.ringdns.stdout.close()

    # ---- While it runs

    def measure(self):
        """(KiB resident, descriptors open)."""
        with open(f"/proc/{self.ringdns.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return int(fields["VmRSS"].split()[0]), len(os.listdir(f"/proc/{self.ringdns.pid}/fd"))

    def stress(self):
        """Measures, and now and then stops one for a while: ringdns, its servers, who feeds it, who
        reads from it."""
        self.samples, self.stops = [], 0
        until = time.monotonic() + self.seconds
        while time.monotonic() < until and self.ringdns.poll() is None:
            time.sleep(self.random.uniform(0.2, 2))
            with contextlib.suppress(OSError, KeyError):  # it may just have ended
                self.samples.append(self.measure())
            stopped = self.random.choice([self.ringdns, self.ringdns, self.responder, self.feeder,
                                          self.judge])
            stopped.send_signal(signal.SIGSTOP)
            time.sleep(self.random.uniform(0.01, 0.8))
            stopped.send_signal(signal.SIGCONT)
            self.stops += 1

    # ---- What came of it

    def expect(self, condition, complaint):
        if not condition:
            self.complaints.append(complaint)

    def finish(self):
        self.feeder.send_signal(signal.SIGTERM)
        given = int(self.feeder.communicate()[1] or 0)
        _, errors = self.ringdns.communicate()
        verdict = self.judge.communicate()[0].split()
        if self.ringdns.returncode != 0 or len(verdict) != 2:
            self.complaints.append(f"ringdns ended with {self.ringdns.returncode}: "
                                   f"{errors.decode(errors='replace')[-2000:]}")
            return self.report(given, 0)
        judged, wrong = map(int, verdict)
        stats = json.loads(errors)
        self.expect(given == judged, f"{given} names in, {judged} outcomes out")
        self.expect(wrong == 0, f"{wrong} outcomes are wrong")
        self.expect(stats["names"] == given, f"{given} names in, {stats['names']} counted")
        self.expect(stats["names"] == stats["answered"] + sum(stats["failed"].values()),
                    "the counters do not add up")
        tcp = stats["tcp"]
        self.expect(tcp["entries"] == tcp["answers"] + tcp["failures"] + tcp["back_to_udp"],
                    "TCP's counters do not add up")
        self.check_growth()
        return self.report(given, tcp["answers"])

    def check_growth(self):
        resident = [kib for kib, _ in self.samples[len(self.samples) // 10:]]  # less the start
        if len(resident) < 8:
            return self.complaints.append("too few samples: a longer soak tells more")
        half = len(resident) // 2
        growth = statistics.mean(resident[half:]) - statistics.mean(resident[:half])
        self.growth = growth
        self.expect(growth < GROWTH, f"memory grows: {growth:.0f} KiB from half to half")
        descriptors = max(count for _, count in self.samples)
        self.expect(descriptors <= DESCRIPTORS, f"{descriptors} descriptors")

    def report(self, given, over_tcp):
        resident = [kib for kib, _ in self.samples] or [0]
        print(f"{self.backend}: {given} names in {self.seconds:.0f} s, {over_tcp} over TCP; "
              f"{self.stops} stops; resident {min(resident)} to {max(resident)} KiB, "
              f"from half to half {getattr(self, 'growth', float('nan')):+.0f} KiB; "
              f"up to {max((count for _, count in self.samples), default=0)} descriptors",
              flush=True)
        for complaint in self.complaints:
            print(f"  WRONG: {complaint} (seed {self.seed})", flush=True)
        return not self.complaints


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10 ** 6))
    chosen = parser.parse_args()
    backends = ["io_uring", "epoll"]
    sound = [Soak(chosen.build, backend, chosen.minutes * 60 / len(backends), chosen.seed).run()
             for backend in backends]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
