"""ringdns against NSD, Knot and Unbound: all names, and every record type as dig prints it."""

import json
import re
import subprocess
import unittest
from collections import Counter

import peers
import support

DIG = ["dig", "+noall", "+answer", "+nosplit", "+tcp", "+nocrypto"]


def normal(rdata):
    return re.sub(r"\s+", " ", rdata.strip())


def dig(server, name, record_type, *flags):
    done = subprocess.run([*[word for word in DIG if word != "+nocrypto"], *flags,
                           "@127.0.0.1", "-p", str(server.port), name, record_type],
                          capture_output=True, text=True, timeout=support.PATIENCE, check=True)
    records = Counter()
    for line in done.stdout.splitlines():
        if line and not line.startswith(";"):
            owner, _ttl, _class, kind, rdata = line.split(None, 4) if len(line.split(None, 4)) == 5 \
                else [*line.split(None, 4), ""]
            records[(owner, kind, normal(rdata))] += 1
    return records


class Peers(support.Case):
    io = "auto"

    def server(self, kind, **settings):
        if not kind.available():
            self.skipTest(f"{kind.binary} is not installed")
        return kind(self, peers.zone_text(self.loadable(kind)), **settings)

    def loadable(self, kind):
        """Leaves out what this server's parser does not know, or has at the apex only."""
        return [line for line in peers.SAMPLES
                if line.split()[0] not in kind.unknown | peers.APEX]

    def resolve_all(self, server, io):
        names = "".join(f"n{i}.{peers.ZONE}\n" for i in range(peers.NAMES))
        done = self.run_ringdns("--io", io, "-r", server.address, "-o", "S", "-i", "200",
                                stdin=names)
        self.assertEqual(done.returncode, 0, done.stderr)
        expected = Counter(f"n{i}.{peers.ZONE} A {peers.address_of(i)}"
                           for i in range(peers.NAMES))
        self.assertEqual(Counter(done.stdout.decode().splitlines()), expected)

    def compare_types(self, server, types, name_of, *arguments, dig_flags=()):
        questions = "".join(f"{kind} {name_of(kind)}\n" for kind in types)
        done = self.run_ringdns("-r", server.address, "-o", "Sn", *arguments, stdin=questions)
        self.assertEqual(done.returncode, 0, done.stderr)
        ours = {}
        for line in done.stdout.decode().splitlines():
            owner, kind, rdata = line.split(" ", 2)
            ours.setdefault(owner, Counter())[(owner, kind, normal(rdata))] += 1
        for kind in types:
            with self.subTest(type=kind):
                expected = dig(server, name_of(kind), kind, *dig_flags)
                self.assertTrue(expected, f"{server.binary} has no {kind}")
                found = Counter(
                    {record: count for records in ours.values() for record, count in records.items()
                     if record in expected or (record[0] == name_of(kind) and record[1] == kind)})
                self.assertEqual(found, expected)

    def test_nsd(self):
        server = self.server(peers.Nsd)
        for io in ("auto", "epoll"):
            self.resolve_all(server, io)
        self.compare_types(server, peers.sample_types(self.loadable(peers.Nsd)),
                           lambda kind: f"{kind.lower()}.{peers.ZONE}")
        self.compare_types(server, ["SOA", "NS"], lambda kind: peers.ZONE)

    def test_knot(self):
        server = self.server(peers.Knot)
        for io in ("auto", "epoll"):
            self.resolve_all(server, io)
        self.compare_types(server, peers.sample_types(self.loadable(peers.Knot)),
                           lambda kind: f"{kind.lower()}.{peers.ZONE}")

    def test_unbound_in_front_of_nsd(self):
        if not peers.Unbound.available():
            self.skipTest("unbound is not installed")
        server = self.server(peers.Nsd)
        recursor = peers.Unbound(self, "", authority=server)
        for io in ("auto", "epoll"):
            self.resolve_all(recursor, io)
        self.compare_types(recursor, ["A", "MX", "TXT", "CNAME", "SRV", "CAA"],
                           lambda kind: f"{kind.lower()}.{peers.ZONE}")

    def test_dnssec_signed_by_knot(self):
        server = self.server(peers.Knot, signed=True)
        self.resolve_all(server, "auto")
        self.compare_types(server, ["DNSKEY", "SOA", "NS", "NSEC", "CDS", "CDNSKEY"],
                           lambda kind: peers.ZONE, "--dnssec-ok", dig_flags=["+dnssec"])
        self.compare_types(server, ["A", "MX", "TXT"], lambda kind: f"{kind.lower()}.{peers.ZONE}",
                           "--dnssec-ok", dig_flags=["+dnssec"])

    def test_an_answer_larger_than_1232_octets_comes_over_tcp_or_is_no_answer(self):
        server = self.server(peers.Nsd)
        done = self.run_ringdns("-r", server.address, "-o", "J", "-t", "TXT",
                                stdin=f"big.{peers.ZONE}\n")
        (reply,) = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(reply["proto"], "TCP")
        self.assertEqual(reply["data"]["answers"][0]["strings"], ["x" * 200] * 12)
        done = self.run_ringdns("-r", server.address, "-o", "Je", "-t", "TXT", "-c", "2",
                                "--tcp-disabled", stdin=f"big.{peers.ZONE}\n")
        self.assertIn(b'"error":"TRUNCATED"', done.stdout)
        done = self.run_ringdns("-r", server.address, "-o", "S", "-t", "TXT", "--edns-size", "4096",
                                stdin=f"big.{peers.ZONE}\n")
        self.assertEqual(done.stdout.count(b"x" * 200), 12)


if __name__ == "__main__":
    support.main()
