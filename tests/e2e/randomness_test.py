"""Ids and source ports as they are on the wire: what a forger saw tells nothing of what comes
(RFC 5452). The thresholds are ten standard deviations from what chance gives: chance never fails
them, and a counter, a small generator or a fixed seed always does."""

import math
import struct
import unittest
from collections import Counter

import scripted
import support

MANY = 8000
DEVIATIONS = 10


def chi_squared_deviation(values, bins):
    """By how many standard deviations the counts in these equally likely bins are uneven."""
    counts = Counter(values)
    expected = len(values) / bins
    chi_squared = sum((counts[i] - expected) ** 2 / expected for i in range(bins))
    return (chi_squared - (bins - 1)) / math.sqrt(2 * (bins - 1))


def correlation_deviation(pairs):
    """By how many standard deviations the two of each pair go together."""
    n = len(pairs)
    mean = [sum(side) / n for side in zip(*pairs)]
    covariance = sum((a - mean[0]) * (b - mean[1]) for a, b in pairs) / n
    spread = [math.sqrt(sum((value - m) ** 2 for value in side) / n)
              for side, m in zip(zip(*pairs), mean)]
    return abs(covariance / (spread[0] * spread[1])) * math.sqrt(n)


def port_range():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        return map(int, file.read().split())


class Randomness(support.Case):
    def queries(self, *arguments):
        """What a server got, in order: [(id, source port)]."""
        seen = []

        def converse(connection):
            while (queries := connection.receive()) is not None:
                seen.extend((query.id, None) for query in queries)
                connection.send(*[query.reply() for query in queries])

        def answer(query):
            seen.append((query.id, query.sender[1]))
            return query.reply()

        server = scripted.Server(self, converse, answer)
        run = self.run_names(server, support.names(MANY), "-o", "S", *arguments)
        self.assertEqual((run.stats["answered"], server.errors()), (MANY, []))
        return seen

    def assertUnpredictable(self, ids, bits=16):
        ids = [number >> (16 - bits) for number in ids]
        steps = [(b - a) % 2 ** bits for a, b in zip(ids, ids[1:])]
        for what, values in (("ids", ids), ("steps", steps)):
            for shift, kept in ((bits - 8, "high"), (0, "low")):
                some = [value >> shift & 255 for value in values]
                self.assertLess(chi_squared_deviation(some, 256), DEVIATIONS, (what, kept))
        self.assertLess(correlation_deviation(list(zip(ids, ids[1:]))), DEVIATIONS)

    def test_ids_over_udp(self):
        first = [number for number, _ in self.queries("-s", "200")]
        self.assertUnpredictable(first)
        # Another run is no repetition. The first ids of a run are all that a fixed seed needs.
        second = [number for number, _ in self.queries("-s", "200")]
        self.assertLess(sum(a == b for a, b in zip(first[:200], second[:200])), 20)
        self.assertLess(correlation_deviation(list(zip(first, second))), DEVIATIONS)

    def test_ids_over_tcp(self):
        # The low bits are the query's place in its window of 64; the others tell forgers nothing.
        ids = [number for number, _ in self.queries("--tcp-only", "-s", "200")]
        self.assertUnpredictable(ids, bits=10)

    def test_source_ports(self):
        sockets = 64
        # Few at a time, so that they leave in many turns: a turn's leave from one port.
        ports = [[port for _, port in self.queries("-s", "8", "--socket-count", sockets)]
                 for _ in range(2)]
        least, most = port_range()
        for seen in ports:
            used = set(seen)
            self.assertGreater(len(used), sockets / 2)
            self.assertLessEqual(len(used), sockets)
            self.assertTrue(all(least <= port <= most for port in used))
            bins = [(port - least) * 16 // (most - least + 1) for port in used]
            self.assertLess(chi_squared_deviation(bins, 16), DEVIATIONS)
            # From which port the next queries leave does not follow from where the last ones left.
            order = {port: number for number, port in enumerate(sorted(used))}
            changes = [(order[a], order[b]) for a, b in zip(seen, seen[1:]) if a != b]
            self.assertGreater(len(changes), sockets)
            self.assertLess(correlation_deviation(changes), DEVIATIONS)
            number = {port: i for i, port in enumerate(dict.fromkeys(seen))}  # as they came up
            steps = Counter((number[b] - number[a]) % len(used) for a, b in zip(seen, seen[1:])
                            if a != b)
            self.assertLess(steps.most_common(1)[0][1], len(changes) / 2)
        self.assertLess(len(set(ports[0]) & set(ports[1])), sockets / 2)

    def test_at_least_four_source_ports(self):
        self.assertGreaterEqual(len({port for _, port in self.queries("-s", "2")}), 4)

    def test_the_judgement_finds_what_can_be_predicted(self):
        counter = [i * 7 % 65536 for i in range(MANY)]
        small = [0]
        while len(small) < MANY:  # the generator of C's old rand(), whose low bits alternate
            small.append((small[-1] * 1103515245 + 12345) % 2 ** 31)
        small = [struct.unpack(">H", struct.pack(">I", value)[2:])[0] for value in small]
        for ids in (counter, small, sorted(counter)):
            with self.assertRaises(AssertionError):
                self.assertUnpredictable(ids)


if __name__ == "__main__":
    support.main()
