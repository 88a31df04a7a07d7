"""The requirements 13 to 25 of design/tcp.md, connections and integrity, over real sockets: each
test's name has its requirement's number. The first twelve are in tcp_test.py."""

import ctypes
import os
import socket
import struct
import unittest
from collections import Counter

import scripted
import support

FOREVER = "3600000"  # as a time in milliseconds: what it bounds ends the test otherwise, if at all


def names(count, zone="test"):
    return [f"n{i}.{zone}" for i in range(count)]


def tcp_info(stream, offset, form="I"):
    """A field of struct tcp_info (linux/tcp.h)."""
    octets = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=" + form, octets, offset)[0]


def data_segments_received(stream):
    return tcp_info(stream, 152)


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

    def run_names(self, server, lines, *arguments):
        address = server if isinstance(server, (str, list)) else server.address
        return self.count(address, lines, "--io", self.io, *arguments)

    def live_at(self, server, *arguments):
        return self.live("-r", server.address, "--io", self.io, *arguments)

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

    def test_req_14_the_table_is_bounded_and_a_server_has_one_connection(self):
        server = self.serve("* truncate\n", listen=["127.0.0.1:0"] * 30)
        run = self.run_names(server.addresses, names(3000), "-o", "S", "--tcp-connections", "4")
        report = server.report()
        self.assertEqual(run.stats["answered"], 3000)
        self.assertLessEqual(report["totals"]["tcp_open_max"], 4)
        self.assertLessEqual(run.connections["most_at_once"], 4)
        self.assertEqual({listener["tcp_open_max"] for listener in report["listeners"]}, {1})

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

    def rounds(self, arguments, sizes, ending=None):
        """A server that answers a window when it is full; watches that no more than that comes."""
        def converse(connection):
            for size in sizes:
                queries = connection.collect(size)
                if not connection.quiet(0.05 if size < 64 else 0.3):
                    queries += connection.receive() or []
                seen.append(len(queries))
                connection.send(*[query.reply() for query in queries])
            if ending:
                ending(connection)
            else:
                scripted.serve_all(connection)
        seen = []
        server = scripted.Server(self, converse)
        run = self.run_names(server, names(600), "-o", "S", "--tcp-timeout", FOREVER,
                             "--tcp-only", *arguments)
        self.assertEqual((run.stats["answered"], server.errors()), (600, []))
        return seen, server

    def test_req_18_depth_starts_at_2_and_doubles_to_64(self):
        sizes = [2, 4, 8, 16, 32, 64, 64, 64]
        self.assertEqual(self.rounds([], sizes)[0], sizes)

    def test_req_18_tcp_pipeline_bounds_it(self):
        self.assertEqual(self.rounds(["--tcp-pipeline", "8"], [2, 4, 8, 8, 8])[0], [2, 4, 8, 8, 8])
        self.assertEqual(self.rounds(["--tcp-pipeline", "1"], [1, 1, 1])[0], [1, 1, 1])

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

    # ---- 19

    def test_req_19_no_id_is_in_flight_twice_and_ids_are_random(self):
        # Connection.whole() looks at every query's id; here thousands go out by windows of 256.
        server = scripted.Server(self)
        run = self.run_names(server, names(5000), "-o", "S", "--tcp-only", "--tcp-pipeline", "256")
        self.assertEqual((run.stats["answered"], server.errors()), (5000, []))
        ids = [query.id for query in server.connections[0].queries]
        self.assertGreater(len(set(ids)), 4000)
        steps = Counter((b - a) % 65536 for a, b in zip(ids, ids[1:]))
        self.assertLess(max(steps.values()), 50)

    def test_req_19_id_and_question_must_match(self):
        def converse(connection):
            for _ in range(2):  # two wrong ones are borne with; three are not
                first, second = connection.collect(2)[:2]
                wrong = [first.reply("192.0.2.66", question=second.question)]
                connection.send(*wrong, first.reply(), second.reply())
            scripted.serve_all(connection)
        server = scripted.Server(self, converse)
        run = self.run_names(server, names(300), "-o", "S", "--tcp-only", "-s", "2")
        self.assertEqual(Counter(run.answers().values()), Counter({"192.0.2.7": 300}))

    def test_req_19_the_queries_of_a_window_leave_together(self):
        segments = []
        self.rounds([], [2, 4, 8, 16], lambda connection: (
            segments.append(data_segments_received(connection.socket)),
            scripted.serve_all(connection)))
        # Four would do for these 30 queries; the kernel may send one again to probe for a loss.
        self.assertLess(segments[0], 10)

    # ---- 20

    def test_req_20_partial_writes_are_resumed(self):
        def converse(connection):
            size = 2
            while size < 2048:
                connection.send(*[query.reply() for query in connection.collect(size)])
                size *= 2
            scripted.serve_all(connection)
        # A window of 2048 long names is far more than such a peer lets the client's socket take.
        server = scripted.Server(self, converse, receive_buffer=4096)
        long = ".".join(["x" * 60] * 3)
        run = self.run_names(server, [f"n{i}.{long}.test" for i in range(8000)], "-o", "S",
                             "--tcp-only", "--tcp-pipeline", "4096", "--tcp-timeout", FOREVER)
        self.assertEqual((run.stats["answered"], server.errors()), (8000, []))
        self.assertEqual(len(server.connections), 1)

    def test_req_20_any_segmentation_is_put_together(self):
        for cut, count in (("drip 1 every 50us", 5), ("drip 3 every 100us", 20), ("split 1", 60),
                           ("split 2", 60), ("split 13", 60), ("coalesced 64 5ms", 600)):
            with self.subTest(cut=cut):
                server = self.serve(f"tcp {cut}\n* truncate answer A hash\n")
                run = self.run_names(server, names(count), "-o", "S", "--tcp-timeout", FOREVER)
                self.assertEqual((run.stats["answered"], run.connections["opened"]), (count, 1))

    def test_req_20_a_message_shorter_than_a_header_ends_the_connection(self):
        for length in (0, 5, 11):
            with self.subTest(length=length):
                server = self.serve(f"bad.test. over tcp runt {length} answer\n* truncate\n")
                run = self.run_names(server, ["bad.test"] + names(50), "-o", "Je", "-c", "2")
                self.assertEqual(run.outcomes(), Counter(NOERROR=50, TRUNCATED=1))
                self.assertGreater(run.connections["misbehaved"], 0)
                self.assertGreater(server.totals()["rst_by_client"], 0)

    @unittest.skipIf(os.environ.get("RINGDNS_SANITIZED"), "its allocator keeps what is freed")
    def test_req_20_half_messages_of_many_servers_stay_within_bounds(self):
        server = self.serve("* over udp truncate\n"
                            "* length 65535 stop 60000 then silent answer TXT size 62000\n",
                            "--servers", 1000)
        resolvers = self.write("many", "\n".join(server.addresses))
        process = self.start_ringdns("-r", resolvers, "--io", self.io, "-c", "1", "-q", "-o", "S",
                                     "-t", "TXT", "--tcp-connections", "1000", "--tcp-timeout",
                                     "1000", self.write("names", "\n".join(names(3000))))
        peak = support.peak_memory(process)
        self.assertEqual(process.returncode, 0)
        self.assertLess(peak, 64 * 1024)  # 60 MB more without the cap of 32

    # ---- 21

    def test_req_21_octets_that_drip_in_do_not_put_off_a_deadline(self):
        server = self.serve("* truncate answer TXT fast\nserver 1\n"
                            "* over tcp drip 1 every 100ms answer TXT size 60000\n",
                            listen=["127.0.0.1:0"] * 3)
        dripping, *healthy = server.addresses
        # It would take 100 minutes otherwise.
        run = self.run_names(dripping, ["slow.test"], "-t", "TXT", "-o", "Je", "-c", "2",
                             "--tcp-timeout", "500")
        self.assertEqual((run.outcomes(), run.tcp["timeouts"]), (Counter(TRUNCATED=1), 2))
        run = self.run_names(healthy, [f"slow.test {dripping}"] + names(50), "-t", "TXT",
                             "-o", "Je", "--extended-input", "--tcp-timeout", "500")
        self.assertEqual((run.outcomes(), run.tcp["timeouts"]), (Counter(NOERROR=51), 1))

    def test_req_21_servers_that_stop_reading_or_answering_hold_up_no_other(self):
        faults = ["tcp deaf after 0", "tcp silent after 0", "tcp silent after 3", "tcp blackhole"]
        sections = "".join(f"server {i + 1}\n{fault}\n" for i, fault in enumerate(faults))
        server = self.serve("* truncate answer A hash\n" + sections, listen=["127.0.0.1:0"] * 6)
        run = self.run_names(server.addresses, names(600), "-o", "Je", "-c", "20",
                             "--tcp-timeout", "300", "--tcp-connect-timeout", "300")
        self.assertEqual(run.outcomes(), Counter(NOERROR=600))

    # ---- 22

    def test_req_22_servers_that_close_after_n_answers_cost_few_more_connects_than_they_must(self):
        for close_after in (1, 2, 8):
            with self.subTest(close_after=close_after):
                server = self.serve(f"* truncate\nserver 1\ntcp close after {close_after}\n",
                                    listen=["127.0.0.1:0"] * 3)
                run = self.run_names(server.addresses, names(2400), "-o", "S", "-s", "100")
                self.assertEqual(run.stats["answered"], 2400)
                closing, *healthy = server.report()["listeners"]
                least = -(-closing["tcp_replies"] // close_after)
                self.assertGreater(least, 60)
                self.assertLessEqual(closing["tcp_accepts"], least * 1.1, closing)
                self.assertEqual([listener["tcp_accepts"] for listener in healthy], [1, 1])

    def test_req_22_what_was_complete_is_delivered_first(self):
        for fault in ("tcp coalesced 3\ntcp close after 3", "tcp coalesced 3\ntcp reset after 3",
                      "tcp close at 4", "* over tcp then reset answer A hash",
                      "* over tcp then close answer A hash"):
            with self.subTest(fault=fault):
                server = self.serve(fault + "\n* truncate answer A hash\n")
                run = self.run_names(server, names(120), "-o", "S", "-c", "255")
                self.assertEqual(run.stats["answered"], 120)
                # Nothing that was answered was asked again.
                self.assertEqual((run.tcp["replies"], server.totals()["tcp_replies"]), (120, 120))

    # ---- 23

    def test_req_23_a_servers_fin_is_answered_at_once(self):
        server = self.serve("tcp idle 50ms\n* truncate\n")
        live = self.live_at(server, "--tcp-idle", FOREVER)
        for name in names(3):
            live.ask(name)
            support.wait_until(lambda: server.totals()["tcp_open_now"] == 0, "the client's FIN")
            support.wait_until(lambda: not support.sockets_to(*server.ports)["CLOSE_WAIT"], "its end")
        totals = server.totals()
        self.assertEqual((totals["fin_by_server"], totals["rst_by_client"]), (3, 0))
        live.finish()

    def test_req_23_idle_connections_are_closed_first_by_us(self):
        server = self.serve("* truncate\n")
        live = self.live_at(server, "--tcp-idle", "50")
        live.ask("a.test")
        support.wait_until(lambda: server.totals()["fin_by_client"] == 1, "our FIN")
        support.wait_until(lambda: support.sockets_to(*server.ports)["TIME_WAIT"] == 1, "TIME_WAIT")
        self.assertEqual(server.totals()["rst_by_client"], 0)
        live.finish()

    def test_req_23_the_longest_idle_gives_way(self):
        server = self.serve("* truncate\n", listen=["127.0.0.1:0"] * 3)
        live = self.live("-r", server.address, "--io", self.io, "--extended-input",
                         "--tcp-connections", "2", "--tcp-idle", FOREVER)

        def open_at():
            return [listener["tcp_open_now"] for listener in server.report()["listeners"]]
        for at, (asked, left) in enumerate([(0, [1, 0, 0]), (1, [1, 1, 0]), (0, [1, 1, 0]),
                                            (2, [1, 0, 1]), (1, [0, 1, 1])]):
            live.ask(f"n{at}.test {server.addresses[asked]}")
            support.wait_until(lambda: open_at() == left, f"{left} after {at}")
        live.finish()

    def test_req_23_a_busy_connection_never_gives_way(self):
        server = self.serve("* over tcp delay 30ms answer\n* truncate\n",
                            listen=["127.0.0.1:0"] * 10)
        run = self.run_names(server.addresses, names(500), "-o", "S", "--tcp-connections", "2")
        self.assertEqual(run.stats["answered"], 500)
        self.assertGreater(run.connections["evicted"], 0)
        totals = server.totals()
        # A query on a connection that was closed under it would have been asked again.
        self.assertEqual((totals["tcp_queries"], totals["tcp_replies"], run.tcp["requeued"]),
                         (run.tcp["replies"], run.tcp["replies"], 0))
        self.assertLessEqual(totals["tcp_open_max"], 2)

    def test_req_23_no_half_close(self):
        def converse(connection):
            (query,) = connection.collect(1)
            waited.append(connection.quiet())  # no FIN while an answer is due
            connection.send(query.reply())
            ended.append(connection.receive())
            with self.assertRaises(ConnectionError):  # closed both ways: what we send is refused
                while True:
                    connection.socket.sendall(b"\0" * 512)
            refused.append(True)
        waited, ended, refused = [], [], []
        server = scripted.Server(self, converse)
        live = self.live_at(server, "--tcp-idle", "50")
        live.ask("a.test")
        support.wait_until(lambda: refused or server.failures, "the end")
        self.assertEqual((waited, ended, refused, server.failures), ([True], [None], [True], []))
        live.finish()

    # ---- 24

    def test_req_24_replies_that_are_not_quite_ours_are_no_answers(self):
        near = ("wrong-name", "wrong-type", "wrong-class", "two-questions")
        for fault in near + ("wrong-id", "wrong-port", "wrong-address", "not-a-reply",
                             "wrong-opcode", "no-question", "runt 11"):
            with self.subTest(fault=fault):
                server = self.serve(f"* {fault} answer A 192.0.2.66\n")
                run = self.run_names(server, ["a.test"], "-o", "Je", "-c", "2", "-i", "100",
                                     "--tcp-disabled")
                self.assertEqual(run.outcomes(), Counter(TIMEOUT=1))
                server = self.serve(f"* over udp tries 1 {fault} copies 5 answer A 192.0.2.66\n"
                                    "* answer A 192.0.2.77\n")
                run = self.run_names(server, ["a.test"], "-o", "J", "-i", "300")
                self.assertNotIn(b"192.0.2.66", run.stdout)
                self.assertIn(b"192.0.2.77", run.stdout)
                if fault in near or fault in ("wrong-port", "wrong-address"):
                    # Two near misses on one lookup: it goes to TCP.
                    self.assertEqual((run.udp["near_misses"], run.replies()[0]["proto"]),
                                     (1, "TCP"))

    def test_req_24_ids_cannot_be_guessed_and_source_ports_are_several(self):
        server = scripted.Server(self, answer=lambda query: query.reply())
        self.run_names(server, names(3000), "-o", "S", "-s", "50")
        queries = server.datagrams
        self.assertGreaterEqual(len({query.sender[1] for query in queries}), 4)
        self.assertGreater(len({query.id for query in queries}), 2500)
        for shift in (0, 12):  # the high and the low bits are spread alike
            buckets = Counter(query.id >> shift & 15 for query in queries)
            self.assertEqual(len(buckets), 16)
            self.assertLess(max(buckets.values()), 3 * min(buckets.values()))
        steps = Counter((b.id - a.id) % 65536 for a, b in zip(queries, queries[1:]))
        self.assertLess(max(steps.values()), 30)

    # ---- 25

    def test_req_25_never_two_identical_questions_outstanding_over_udp(self):
        server = self.serve("* tries 1 delay 300ms answer A 192.0.2.7\n* answer A 192.0.2.7\n")
        lines = [name for name in names(200) for _ in range(5)]
        run = self.run_names(server, lines, "-o", "S", "-i", "100", "-s", "1000")
        totals = server.totals()
        self.assertEqual(len(run.lines()), 1000)
        # A retransmission keeps id and port, and gives a guesser nothing.
        self.assertEqual(totals["udp_identical_outstanding"], totals["udp_identical_resent"])
        self.assertGreater(run.stats["duplicates"], 0)


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Connections, support.Case):
    io = "io_uring"


class OnEpoll(Connections, support.Case):
    io = "epoll"


if __name__ == "__main__":
    support.main()
