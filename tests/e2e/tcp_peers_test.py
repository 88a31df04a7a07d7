"""Truncated answers of real servers: 20,000 names each, none lost; how many connections it took."""

import sys
import unittest
from collections import Counter

import peers
import support

NAMES = 20_000


class TcpPeers:
    """Run once on each backend, below."""

    def start(self, kind, zone=None, **settings):
        if not kind.available():
            self.skipTest(f"{kind.binary} is not installed")
        return kind(self, peers.zone_text([], texts=NAMES) if zone is None else zone, **settings)

    def resolve_all(self, what, address, *arguments):
        """Every name has more than the 512 octets that are advertised."""
        run = self.count(address, (f"t{i}.{peers.ZONE}" for i in range(NAMES)), "--io", self.io,
                         "-t", "TXT", "-o", "S", "--edns-size", "512", *arguments)
        expected = Counter(f"t{i}.{peers.ZONE} TXT {peers.long_strings(i)}" for i in range(NAMES))
        found = Counter(run.lines())
        self.assertEqual(sum((expected - found).values()), 0, run.stderr)
        self.assertEqual(sum((found - expected).values()), 0, run.stderr)
        self.assertEqual(run.tcp["answers"], NAMES)
        print(f"{what}, {self.io}: {NAMES} truncated names over {run.connections['opened']} "
              f"connections ({run.connections['died']} died, {run.tcp['requeued']} queries moved)",
              file=sys.stderr)
        return run

    def test_nsd(self):
        server = self.start(peers.Nsd)
        self.assertLessEqual(self.resolve_all("NSD", server.address).connections["opened"], 4)

    def test_nsd_that_closes_after_10_queries(self):
        server = self.start(peers.Nsd, tcp_query_count=10)
        run = self.resolve_all("NSD, tcp-query-count 10", server.address)
        self.assertLessEqual(run.connections["opened"], NAMES / 10 * 1.1)

    def test_nsd_with_one_tcp_client(self):
        server = self.start(peers.Nsd, tcp_count=1)
        self.resolve_all("NSD, tcp-count 1", server.address, "--tcp-per-server", "4")

    def test_knot(self):
        server = self.start(peers.Knot)
        self.assertLessEqual(self.resolve_all("Knot", server.address).connections["opened"], 4)

    def test_bind(self):
        server = self.start(peers.Named)
        self.assertLessEqual(self.resolve_all("BIND", server.address).connections["opened"], 4)

    def test_bind_with_one_tcp_client(self):
        server = self.start(peers.Named, tcp_clients=1)
        self.resolve_all("BIND, tcp-clients 1", server.address, "--tcp-per-server", "4")

    def test_unbound(self):
        server = self.start(peers.Unbound, "", authority=self.start(peers.Nsd))
        self.assertLessEqual(self.resolve_all("Unbound", server.address).connections["opened"], 4)

    def test_unbound_with_one_tcp_client(self):
        server = self.start(peers.Unbound, "", authority=self.start(peers.Nsd), incoming_num_tcp=1)
        self.resolve_all("Unbound, incoming-num-tcp 1", server.address, "--tcp-per-server", "4")

    def test_dnsdist_in_front_of_nsd(self):
        server = self.start(peers.Dnsdist, "", authority=self.start(peers.Nsd))
        self.assertLessEqual(self.resolve_all("dnsdist", server.address).connections["opened"], 4)

    def test_dnsdist_that_closes_after_10_queries(self):
        server = self.start(peers.Dnsdist, "", authority=self.start(peers.Nsd), most_queries=10)
        run = self.resolve_all("dnsdist, 10 queries a connection", server.address)
        self.assertLessEqual(run.connections["opened"], NAMES / 10 * 1.1)

    def test_a_server_that_closes_after_128_queries(self):  # as CoreDNS does
        rules = "".join(f"t{i}.{peers.ZONE} over tcp answer TXT {peers.long_strings(i)}\n"
                        for i in range(NAMES))
        server = self.serve("tcp close after 128\n* over udp truncate\n" + rules)
        run = self.resolve_all("close after 128", server.address)
        self.assertLessEqual(run.connections["opened"], NAMES / 128 * 1.1)

    def test_all_of_them_together(self):
        kinds = [kind for kind in (peers.Nsd, peers.Knot, peers.Named) if kind.available()]
        if not kinds:
            self.skipTest("none of them is installed")
        zone = peers.zone_text([], texts=NAMES)
        servers = [self.start(kind, zone) for kind in kinds]
        servers.append(self.start(peers.Nsd, zone, tcp_query_count=10))
        self.resolve_all("all together", [server.address for server in servers])


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(TcpPeers, support.Case):
    io = "io_uring"


class OnEpoll(TcpPeers, support.Case):
    io = "epoll"


if __name__ == "__main__":
    support.main()
