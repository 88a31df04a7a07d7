"""TCP at size: what the issue "Truncated answers complete over TCP" says must hold."""

import json
import os
import unittest
from collections import Counter

import support

MANY = 100_000


def hash_of(name):
    """The responder's `A hash`."""
    value = 2166136261
    for octet in name.encode():
        value = (value ^ octet) * 16777619 % 2**32
    return "10." + ".".join(str(value >> shift & 255) for shift in (16, 8, 0))


class Scale:
    """Run once on each backend, below."""

    def names_file(self, count):
        path = self.path("names")
        with open(path, "w") as file:
            file.writelines(f"n{i}.test\n" for i in range(count))
        return path

    def run_measured(self, servers, count, *arguments):
        """(counters, peak memory in KiB, result file) of a run over n0.test to n<count-1>.test."""
        resolvers = self.write("resolvers", "\n".join(servers) + "\n")
        stats, out = self.path("stats"), self.path("out")
        process = self.start_ringdns("--io", self.io, "-q", "-r", resolvers, "-o", "S", "-w", out,
                                     "--stats", stats, *arguments, self.names_file(count))
        peak = support.peak_memory(process)
        self.assertEqual(process.returncode, 0)
        with open(stats) as file:
            run = support.Run(json.load(file))
        self.assertBalanced(run.stats)
        return run, peak, out

    def assertAllAnswered(self, out, count):
        seen = bytearray(count)
        with open(out) as file:
            for line in file:
                name, kind, data = line.rstrip("\n").split(" ")
                self.assertEqual((kind, data), ("A", hash_of(name)))
                seen[int(name[1:name.index(".")])] += 1
        self.assertEqual(Counter(seen), Counter({1: count}))

    def test_100000_truncated_names_of_one_server(self):
        server = self.serve("* over udp tc answer A 192.0.2.66\n* answer A hash\n")
        run, peak, out = self.run_measured([server.address], MANY)
        self.assertAllAnswered(out, MANY)
        self.assertLessEqual(run.connections["opened"], 4)
        self.assertLessEqual(server.totals()["tcp_accepts"], 4)
        if not os.environ.get("RINGDNS_SANITIZED"):  # whose allocator keeps what is freed
            self.assertLess(peak, 64 * 1024)

    def test_1000_servers_over_64_connections(self):
        server = self.serve("* over udp tc answer A 192.0.2.66\n* answer A hash\n",
                            "--servers", 1000)
        run, peak, out = self.run_measured(server.addresses, MANY, "--tcp-connections", "64")
        self.assertAllAnswered(out, MANY)
        totals = server.totals()
        self.assertEqual(run.connections["most_at_once"], 64)
        # A server may accept a connection before it looks at the end of the one it follows.
        self.assertLessEqual(totals["tcp_open_max"], 64 + 8)
        # A busy connection that was evicted would have taken queries with it.
        self.assertEqual((run.tcp["requeued"], run.tcp["charged"], run.connections["died"]),
                         (0, 0, 0))
        self.assertEqual((totals["tcp_queries"], run.tcp["replies"]), (MANY, MANY))
        if not os.environ.get("RINGDNS_SANITIZED"):
            self.assertLess(peak, 64 * 1024)

    def test_servers_that_close_after_1_2_and_8_among_healthy_ones(self):
        server = self.serve("* truncate answer A hash\n"
                            "server 1\ntcp close after 1\n"
                            "server 2\ntcp close after 2\n"
                            "server 3\ntcp close after 8\n", listen=["127.0.0.1:0"] * 6)
        run, _, out = self.run_measured(server.addresses, 12_000, "-s", "500")
        self.assertAllAnswered(out, 12_000)
        listeners = server.report()["listeners"]
        for listener, close_after in zip(listeners, (1, 2, 8)):
            least = -(-listener["tcp_replies"] // close_after)
            self.assertLessEqual(listener["tcp_accepts"], least * 1.1, listener)
        self.assertEqual([listener["tcp_accepts"] for listener in listeners[3:]], [1, 1, 1])

    def test_a_silent_a_deaf_and_a_blackholed_server_among_ten(self):
        server = self.serve("* truncate answer A hash\n"
                            "server 3\ntcp silent after 0\n"
                            "server 5\ntcp deaf after 0\n"
                            "server 8\ntcp blackhole\n", listen=["127.0.0.1:0"] * 10)
        # Each name at its own server, whatever happens: those of the healthy ones are known.
        lines = [f"n{i}.test" for i in range(2000)]
        run = self.count(server.addresses, lines, "--io", self.io, "-o", "Je", "--predictable",
                         "--sticky", "-c", "2", "--tcp-timeout", "1000",
                         "--tcp-connect-timeout", "1000")
        for reply in run.replies():
            healthy = int(reply["name"][1:reply["name"].index(".")]) % 10 not in (2, 4, 7)
            if healthy:
                self.assertEqual(reply["data"]["answers"][0]["data"], hash_of(reply["name"]))
            else:
                self.assertEqual(reply["error"], "TRUNCATED")
        self.assertEqual(run.outcomes(), Counter(NOERROR=1400, TRUNCATED=600))

    def test_10000_dead_connections_leave_no_descriptor_behind(self):
        server = self.serve("* truncate\n"
                            "server 2\ntcp close after 1\n"
                            "server 3\ntcp reset after 1\n"
                            "server 4\ntcp close at 2\n"
                            "server 5\ntcp keepalive 0\n", listen=["127.0.0.1:0"] * 5)
        # A window of one, so that each answer is a connection's last.
        live = self.live("-r", server.address, "--extended-input", "--io", self.io,
                         "--tcp-pipeline", "1", "--tcp-idle", "20", "-c", "255")
        live.ask(f"first.test {server.address}")

        def settled():
            return not any(listener["tcp_open_now"] for listener in server.report()["listeners"])
        support.wait_until(settled, "the first one's end")
        before, most = live.descriptors(), 0
        for lot in range(20):
            lines = [f"n{lot * 500 + i}.test {server.addresses[1 + i % 4]}" for i in range(500)]
            live.send(*lines)
            for _ in lines:
                live.line()
            most = max(most, live.descriptors())
        self.assertLessEqual(most, before + 20)
        support.wait_until(lambda: live.descriptors() == before, "the descriptors' end")
        self.assertGreater(support.sockets_to(*server.ports)["TIME_WAIT"], 0)
        self.assertEqual(support.sockets_to(*server.ports)["CLOSE_WAIT"], 0)
        live.finish()
        listeners = server.report()["listeners"]
        self.assertGreaterEqual(sum(listener["tcp_accepts"] for listener in listeners), 7500)
        # What we ended by our own FIN waits on our side.
        self.assertEqual(listeners[4]["fin_by_client"], listeners[4]["tcp_accepts"])
        self.assertEqual(sum(listener["rst_by_client"] for listener in listeners), 0)


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Scale, support.Case):
    io = "io_uring"


class OnEpoll(Scale, support.Case):
    io = "epoll"


if __name__ == "__main__":
    support.main()
