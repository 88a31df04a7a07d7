"""The requirements 13 to 18 of tcp.md, the table of connections, over real sockets: each
test's name has its requirement's number."""

import ctypes
import os
import socket
import unittest
from collections import Counter

import scripted
import support
from support import FOREVER, names


def options_of(process, port, *wanted):
    """Options of another process's connection to that port, by a duplicate of its descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(process.pid)
    try:
        for entry in os.listdir(f"/proc/{process.pid}/fd"):
            fd = libc.syscall(438, pidfd, int(entry), 0)  # pidfd_getfd
            if fd < 0:
                raise unittest.SkipTest("descriptors of other processes are out of reach here")
            try:
                copy = socket.socket(fileno=fd)
            except OSError:  # no socket
                os.close(fd)
                continue
            with copy:
                try:
                    if copy.type == socket.SOCK_STREAM and copy.getpeername()[1] == port:
                        return [copy.getsockopt(*option) for option in wanted]
                except OSError:
                    pass
    finally:
        os.close(pidfd)
    raise AssertionError("no such connection")


class Connections:
    """Run once on each backend, below."""

    # ---- 13

    def test_req_13_a_connect_has_a_timeout_of_our_own(self):
        server = self.serve("tcp blackhole\n* truncate\n")
        run = self.run_names(server, names(20), "-o", "Je", "-c", "1",
                             "--tcp-connect-timeout", "200")
        self.assertEqual(run.outcomes(), Counter(TRUNCATED=20))
        self.assertEqual(run.connections["connect_failures"], run.connections["opened"])

    def test_req_13_a_refused_lookup_needs_no_timeout_to_end_or_move(self):
        patient = ["--tcp-connect-timeout", FOREVER, "--tcp-timeout", FOREVER]
        server = self.serve("* truncate\nserver 1\ntcp refuse\n", listen=["127.0.0.1:0"] * 2)
        run = self.run_names(server.addresses[0], names(20), "-o", "Je", *patient)
        self.assertEqual(run.outcomes(), Counter(TRUNCATED=20))
        run = self.run_names(server.addresses, names(100), "-o", "S", *patient)
        self.assertEqual(run.stats["answered"], 100)

    # ---- 14

    def test_req_14_500_truncated_names_during_a_slow_accept_make_one_syn(self):
        server = scripted.Server(self, converse=False, backlog=0)
        # A full accept queue drops SYNs; the kernel sends them again.
        filler = [socket.socket() for _ in range(2)]
        for client in filler:
            self.stack.enter_context(client)
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
        full = support.sockets_to(server.port)
        live = self.live_at(server, "--tcp-connect-timeout", FOREVER, "-i", FOREVER)
        live.send(*names(500))
        support.wait_until(lambda: len(server.datagrams) >= 500, "every name over UDP")
        support.wait_until(
            lambda: (support.sockets_to(server.port) - full)["SYN_SENT"] == 1, "a SYN")
        self.assertEqual(sum((support.sockets_to(server.port) - full).values()), 1)
        server.run(server.accept)
        live.process.stdin.close()
        self.assertEqual(len([live.line() for _ in range(500)]), 500)
        self.assertEqual(live.process.wait(support.PATIENCE), 0)
        for client in filler:
            client.close()
        used = [connection for connection in server.connections if connection.queries]
        self.assertEqual([len(connection.queries) for connection in used], [500])

    def test_req_14_the_table_is_bounded(self):
        server = self.serve("plain.test. answer\n* truncate\n", listen=["127.0.0.1:0"] * 30)
        bound = ["--tcp-connections", "4", "-o", "S"]
        live = self.live("-r", ",".join(server.addresses), "--io", self.io, *bound)
        live.ask("plain.test")
        # Besides connections; the run below has a file for its statistics as well.
        others = live.descriptors() + 1
        live.finish()
        for allowed, enough in ((others + 4, True), (others + 3, False)):
            run = self.run_names(server.addresses, names(3000), *bound,
                                 wrapper=["prlimit", f"--nofile={allowed}:{allowed}"])
            self.assertEqual(run.stats["answered"], 3000)
            # So many descriptors are enough, one less is not: never more than 4 were open.
            self.assertEqual(run.connections["local_errors"] == 0, enough)
            self.assertEqual(run.connections["most_at_once"], 4 if enough else 3)

    def test_req_14_a_server_has_one_connection(self):
        server = self.serve("* truncate\n", listen=["127.0.0.1:0"] * 30)
        run = self.run_names(server.addresses, names(3000), "-o", "S")
        accepts = [listener["tcp_accepts"] for listener in server.report()["listeners"]]
        self.assertEqual((run.stats["answered"], accepts), (3000, [1] * 30))

    def test_req_14_tcp_per_server_allows_more(self):
        server = self.serve("* over tcp delay 5ms answer\n* truncate\n")
        run = self.run_names(server, names(3000), "-o", "S", "--tcp-per-server", "3")
        self.assertEqual(run.stats["answered"], 3000)
        self.assertEqual(server.totals()["tcp_open_max"], 3)

    # ---- 15

    def test_req_15_a_server_that_refuses_is_left_alone_meanwhile(self):
        server = self.serve("tcp refuse\n* truncate\n")
        run = self.run_names(server, names(3000), "-o", "Je", "-s", "20")
        self.assertEqual(run.outcomes(), Counter(TRUNCATED=3000))
        # Two seconds less a quarter of jitter at least between two connects.
        self.assertLessEqual(run.connections["opened"], 1 + run.stats["seconds"] / 1.5)

    def test_req_15_others_are_asked_instead(self):
        server = self.serve("* truncate\nserver 1\ntcp refuse\n", listen=["127.0.0.1:0"] * 2)
        run = self.run_names(server.addresses, names(2000), "-o", "S")
        self.assertEqual(run.stats["answered"], 2000)
        self.assertLessEqual(run.connections["connect_failures"], 1 + run.stats["seconds"] / 1.5)

    # ---- 16

    def test_req_16_segments_of_1200_octets(self):
        for arguments, least, most in (([], 1100, 1200), (["--tcp-mss", "600"], 500, 600),
                                       (["--tcp-mss", "0"], 1201, 65535)):
            with self.subTest(arguments=arguments):
                server = scripted.Server(self)
                live = self.live_at(server, *arguments)
                live.ask("a.test")
                stream = server.connections[0].socket
                # What the client announced bounds what the server sends at once.
                segment = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
                self.assertTrue(least <= segment <= most, segment)
                live.finish()

    def test_req_16_no_delay_for_small_segments(self):
        server = scripted.Server(self)
        live = self.live_at(server, *(["--root"] if os.geteuid() == 0 else []))
        live.ask("a.test")
        (nodelay,) = options_of(live.process, server.port, (socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertNotEqual(nodelay, 0)
        live.finish()

    def test_req_16_fast_open_falls_back_in_silence(self):
        server = self.serve("tcp close after 10\n* truncate\n")
        run = self.run_names(server, names(100), "-o", "S", "--tcp-fastopen")
        self.assertEqual((run.stats["answered"], run.connections["connect_failures"]), (100, 0))

    # ---- 17

    def test_req_17_1000_truncated_names_of_one_server_make_one_accept(self):
        for order in ("", "tcp reversed 8\n", "tcp shuffled 16\n", "tcp coalesced 10\n"):
            with self.subTest(order=order):
                server = self.serve(order + "* truncate answer A hash\n")
                run = self.run_names(server, names(1000), "-o", "S")
                totals = server.totals()
                self.assertEqual((run.stats["answered"], totals["tcp_accepts"]), (1000, 1))
                self.assertEqual(set(run.answers()), {name + "." for name in names(1000)})
                self.assertGreater(totals["tcp_pipelined_max"], 2)
                self.assertEqual((run.tcp["strays"], run.tcp["requeued"]), (0, 0))

    # ---- 18

    def test_req_18_depth_starts_at_2_and_doubles_to_64(self):
        sizes = [2, 4, 8, 16, 32, 64, 64, 64]
        self.assertEqual(scripted.answer_windows(self, sizes), sizes)

    def test_req_18_tcp_pipeline_bounds_it(self):
        for bound, sizes in (("8", [2, 4, 8, 8, 8]), ("1", [1, 1, 1])):
            self.assertEqual(scripted.answer_windows(self, sizes, "--tcp-pipeline", bound), sizes)

    def test_req_18_depth_is_learned_by_server(self):
        def converse(connection):
            windows.append(0)
            for size in (2, 4, 8) if len(windows) == 1 else (16,):
                queries = connection.collect(size)
                windows[-1] = len(queries)
                connection.send(*[query.reply() for query in queries])
            connection.finish()
        windows = []
        server = scripted.Server(self, converse)
        live = self.live_at(server, "--tcp-only")
        live.send(*names(14))
        for _ in range(14):
            live.line()
        support.wait_until(lambda: not support.sockets_to(server.port)["ESTABLISHED"], "an end")
        live.send(*names(16, "more.test"))
        for _ in range(16):
            live.line()
        live.finish()
        self.assertEqual((windows, server.errors()), ([8, 16], []))


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Connections, support.Case):
    io = "io_uring"


class OnEpoll(Connections, support.Case):
    io = "epoll"


if __name__ == "__main__":
    support.main()
