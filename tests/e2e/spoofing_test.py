"""Forged replies change no answer: a million lookups, each with a forger who is quicker than the
server and has all but one thing right (RFC 5452): the id, or the place, or the question."""

import json
import os
import unittest
from functools import lru_cache

import support

SANITIZED = bool(os.environ.get("RINGDNS_SANITIZED"))
MANY = 30_000 if SANITIZED else 1_000_000
# Of the names "NUMBER.ZONE.", the zone by number modulo 100.
FLOOD, BY_ID, BY_PLACE, BY_QUESTION = "f", "i", "p", "q"
ZONES = FLOOD + BY_ID * 39 + BY_PLACE * 30 + BY_QUESTION * 30
PLAN = f"""
*.{FLOOD}.  spoof 50 by-id answer A hash
*.{BY_ID}.  spoof 1 by-id answer A hash
*.{BY_PLACE}.  every 2 spoof 1 by-port answer A hash
*.{BY_PLACE}.  spoof 1 by-address answer A hash
*.{BY_QUESTION}.  every 2 spoof 1 by-name answer A hash
*.{BY_QUESTION}.  spoof 1 by-type answer A hash
"""


def hash_on(value, text):
    for octet in text.encode():
        value = (value ^ octet) * 16777619 & 0xffffffff
    return value


@lru_cache(maxsize=4)
def hash_of_start(digits):
    return hash_on(2166136261, digits)


def answer_to(name):
    """The responder's `A hash`."""
    start = name.index(".") - 2  # the last two digits change from name to name
    value = hash_on(hash_of_start(name[:start]), name[start:])
    return f"10.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


class Spoofing(support.Case):
    def resolve(self, count, plan, *arguments):
        """The run, once it is seen that each name has one answer, and the true one."""
        first = 10 ** 7  # as many digits for all
        names = self.path("names")
        with open(names, "w") as file:
            file.writelines(f"{first + i}.{ZONES[i % 100]}\n" for i in range(count))
        server = self.serve(plan)
        out, stats = self.path("out"), self.path("stats")
        done = self.run_ringdns("-r", server.address, "-q", "-o", "S", "-w", out, "--stats", stats,
                                *arguments, names)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(stats) as file:
            run = support.Run(json.load(file))
        self.assertBalanced(run.stats)
        self.assertEqual(run.stats["answered"], count)
        seen = bytearray(count)
        with open(out) as file:
            for line in file:
                name, kind, data = line.rstrip("\n").split(" ")
                if data != answer_to(name):
                    self.fail(f"{line}: is {answer_to(name)}")
                seen[int(name[:name.index(".")]) - first] += 1
        self.assertEqual(seen.count(1), count)
        self.assertEqual(server.totals()["udp_send_errors"], 0)
        return run

    def test_a_million_lookups_over_udp(self):
        # As many at a time as the forgers' share of the receive buffers permits without losses.
        run = self.resolve(MANY, PLAN, "--tcp-disabled", "-s", "2000")
        # The forgers were there. What a full buffer drops is theirs as well as the server's.
        forged = {"mismatched_id": 0.39 + 0.01 * 50, "mismatched_source": 0.3,
                  "mismatched_name": 0.3}
        for counter, share in forged.items():
            self.assertGreater(run.udp[counter], MANY * share * 0.8, counter)

    def test_who_meets_forgers_only_asks_over_tcp(self):
        run = self.resolve(MANY // 20, "* over udp copies 2 wrong-address answer A 192.0.2.66\n"
                                       "* answer A hash\n")
        self.assertEqual(run.tcp["answers"], MANY // 20)


if __name__ == "__main__":
    support.main()
