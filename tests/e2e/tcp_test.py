"""The requirements 1 to 12 of tcp.md, truncation and EDNS, over real sockets: each test's
name has its requirement's number. 13 to 18 are in tcp_connections_test.py, the others in
tcp_exchange_test.py."""

import socket
import struct
import unittest
from collections import Counter

import scripted
import support
from support import names

BOTH = ["over-udp.test", "n1.test", "n2.test", "n3.test"]


class Truncation:
    """Run once on each backend, below."""

    # ---- 1

    def test_req_01_no_record_of_a_truncated_reply_is_an_answer(self):
        server = self.serve("nx.test. over udp tc rcode NXDOMAIN ; additional x.test. "
                            "A 192.0.2.66\n"
                            "* over udp tc answer A 192.0.2.66 ; additional x.test. A 192.0.2.66\n"
                            "* over tcp answer A 192.0.2.77\n")
        for form in ("S", "Snud", "F", "J", "L", "B"):
            with self.subTest(format=form):
                run = self.run_names(server, BOTH + ["nx.test"], "-o", form)
                self.assertNotIn(b"192.0.2.66", run.stdout)
                self.assertNotIn(socket.inet_aton("192.0.2.66"), run.stdout)
                self.assertEqual((run.stats["answered"], run.tcp["answers"]), (5, 5))
                shown = socket.inet_aton("192.0.2.77") if form == "B" else b"192.0.2.77"
                if form != "L":
                    self.assertEqual(run.stdout.count(shown), 5)
        run = self.run_names(server, BOTH + ["nx.test"], "-o", "Je", "--tcp-disabled")
        self.assertEqual(run.outcomes(), Counter(TRUNCATED=5))
        self.assertNotIn(b"192.0.2.66", run.stdout)

    def test_req_01_the_server_that_truncated_is_asked_over_tcp(self):
        server = self.serve("* truncate\n", listen=["127.0.0.1:0"] * 5)
        run = self.run_names(server.addresses, names(30), "-o", "S")
        self.assertEqual(run.stats["answered"], 30)
        for listener in server.report()["listeners"]:
            self.assertEqual(listener["tcp_queries"], listener["udp_queries"], listener["address"])

    # ---- 2

    def test_req_02_tc_over_tcp_costs_a_try_and_ends(self):
        server = self.serve("* tc answer A 192.0.2.66\n")
        run = self.run_names(server, ["a.test"], "-o", "Je", "-c", "3")
        self.assertEqual(run.outcomes(), Counter(TRUNCATED=1))
        totals = server.totals()
        self.assertEqual((totals["udp_queries"], totals["tcp_queries"]), (1, 3))
        self.assertEqual((run.tcp["truncated"], run.stats["failed_tries"]), (3, [0, 0, 0, 1]))

    def test_req_02_the_try_goes_to_another_server(self):
        server = self.serve("* truncate answer A 192.0.2.77\nserver 1\n* tc answer A 192.0.2.66\n",
                            listen=["127.0.0.1:0"] * 2)
        run = self.run_names(server.addresses, names(40), "-o", "S")
        self.assertEqual(set(run.answers().values()), {"192.0.2.77"})
        self.assertEqual(run.stats["answered"], 40)
        self.assertGreater(run.tcp["truncated"], 0)

    def test_req_02_where_tcp_fails_the_lookup_is_called_truncated(self):
        for fault in ("tcp refuse", "tcp close after 0", "tcp reset after 0"):
            with self.subTest(fault=fault):
                server = self.serve(f"{fault}\n* truncate full answer A 192.0.2.66\n")
                run = self.run_names(server, names(20), "-o", "Je", "-c", "2")
                self.assertEqual(run.outcomes(), Counter(TRUNCATED=20))
                self.assertEqual(run.stats["failed"]["TRUNCATED"], 20)

    # ---- 3

    def test_req_03_a_truncated_reply_cut_within_a_record(self):
        server = self.serve("* over udp truncate cut answer A 192.0.2.66 ; A 192.0.2.67\n"
                            "* answer A 192.0.2.77\n")
        run = self.run_names(server, names(20), "-o", "S")
        self.assertEqual(Counter(run.answers().values()), Counter({"192.0.2.77": 20}))

    def test_req_03_a_datagram_larger_than_the_receive_buffer(self):
        for size in (2000, 5000, 9000, 17000, 65000):
            with self.subTest(size=size):
                server = self.serve(f"* over udp oversize answer TXT size {size}\n"
                                    "* answer TXT seventy-seven\n")
                run = self.run_names(server, ["a.test"], "-o", "S", "-t", "TXT")
                # What the buffer holds is an answer; what was cut to it is none.
                if run.udp["truncated"]:
                    self.assertEqual(run.lines(), ['a.test. TXT "seventy-seven"'])
                else:
                    self.assertGreater(len(run.lines()[0]), size - 60)

    # ---- 4

    def test_req_04_late_udp_replies_are_ignored_after_the_switch(self):
        server = self.serve("* over udp late-full 20ms truncate empty answer A 192.0.2.66\n"
                            "* over tcp delay 1s answer A 192.0.2.77\n")
        run = self.run_names(server, names(5), "-o", "S")
        self.assertEqual(Counter(run.answers().values()), Counter({"192.0.2.77": 5}))
        self.assertEqual(run.udp["late"], 5)

    def test_req_04_a_lookup_on_tcp_stays_there(self):
        server = self.serve("* over udp truncate\n* over tcp tries 1 close\n"
                            "* over tcp tries 2 rcode SERVFAIL\n* over tcp tries 3 tc answer\n"
                            "* over tcp answer A 192.0.2.77\n")
        run = self.run_names(server, ["a.test"], "-o", "S")
        self.assertEqual(run.answers(), {"a.test.": "192.0.2.77"})
        self.assertEqual((run.udp["sent"], server.totals()["udp_queries"]), (1, 1))
        self.assertEqual(run.tcp["back_to_udp"], 0)

    # ---- 5

    def test_req_05_tcp_only_sends_no_udp_and_tcp_disabled_no_tcp(self):
        server = self.serve("*.big.test. truncate\n* answer A hash\n")
        run = self.run_names(server, names(50) + names(50, "big.test"), "-o", "S", "--tcp-only")
        totals = server.totals()
        self.assertEqual((run.stats["answered"], run.udp["sent"]), (100, 0))
        self.assertEqual(totals["udp_queries"], 0)
        self.assertEqual(totals["tcp_queries"], 100)
        server = self.serve("*.big.test. truncate\n* answer A hash\n")
        run = self.run_names(server, names(50) + names(50, "big.test"), "-o", "Je",
                             "--tcp-disabled")
        self.assertEqual(run.outcomes(), Counter(NOERROR=50, TRUNCATED=50))
        self.assertEqual((server.totals()["tcp_accepts"], run.connections["opened"]), (0, 0))

    def test_req_05_transfers_never_go_by_udp_nor_against_tcp_disabled(self):
        server = self.serve("test. AXFR,IXFR transfer 10\n* answer\n")
        for wanted in ("AXFR", "IXFR=5"):
            run = self.run_names(server, ["test"], "-t", wanted, "-o", "J")
            self.assertEqual(run.stats["answered"], 1)
        totals = server.totals()
        self.assertEqual((totals["udp_queries"], totals["tcp_queries"]), (0, 2))
        done = self.run_ringdns("--io", self.io, "-r", server.address, "-t", "AXFR", "-o", "Je",
                                "--tcp-disabled", stdin="test\n")
        self.assertIn(b"AXFR", done.stderr)
        self.assertEqual((done.returncode, server.totals()["tcp_queries"]), (1, 2))

    def test_req_05_a_transfer_on_a_line_fails_where_tcp_is_disabled(self):
        server = self.serve("* AXFR transfer 10\n* answer A 192.0.2.7\n")
        run = self.run_names(server, ["AXFR test", "a.test"], "-o", "Je", "--tcp-disabled")
        self.assertEqual(sum(run.outcomes().values()), 2)
        self.assertEqual(run.outcomes()["NOERROR"], 1)
        totals = server.totals()
        self.assertEqual((totals["udp_queries"], totals["tcp_accepts"]), (1, 0))

    # ---- 6

    def test_req_06_truncation_is_learned_by_server_and_type(self):
        server = self.serve("* A truncate\n* AAAA answer AAAA hash\n",
                            listen=["127.0.0.1:0"] * 2)
        healthy = self.serve("* answer A hash ; AAAA hash\n")
        count = 3000
        run = self.run_names([server.address, healthy.address], names(count), "-t", "A,AAAA",
                             "-o", "J", "-s", "50")
        self.assertEqual(run.stats["answered"], 2 * count)
        by_type = run.stats["types"]
        # Half of the A queries went to the server that truncates them; 1 in 32 still by UDP.
        self.assertLess(by_type["A"]["truncated"], count / 2 / 4)
        self.assertGreater(by_type["A"]["truncated"], 8)
        self.assertGreater(run.tcp["skipped_udp"], count / 2 / 2)
        self.assertEqual(by_type["AAAA"], {"udp_replies": count, "truncated": 0})
        self.assertEqual(healthy.totals()["tcp_queries"], 0)

    # ---- 7

    def test_req_07_replies_larger_than_advertised_are_taken_and_counted(self):
        server = self.serve("* over udp oversize answer TXT size 1800\n")
        run = self.run_names(server, names(10), "-t", "TXT", "-o", "J")
        self.assertEqual({reply["proto"] for reply in run.replies()}, {"UDP"})
        self.assertEqual((run.udp["oversize"], run.stats["answered"]), (10, 10))

    def test_req_07_a_message_over_tcp_may_have_65535_octets(self):
        server = self.serve("* over udp truncate\n* over tcp answer TXT size 65535\n")
        run = self.run_names(server, names(20), "-t", "TXT", "-o", "S")
        self.assertEqual(len(run.lines()), 20)
        self.assertEqual(run.stats["reply_size"]["max"] >= 65535, True)
        for line in run.lines():
            self.assertGreater(len(line), 65000)

    # ---- 8

    def test_req_08_what_is_advertised(self):
        for arguments, size in (([], "1232"), (["--edns-size", "512"], "512"),
                                (["--edns-size", "4096"], "4096"), (["--no-edns"], "none")):
            with self.subTest(arguments=arguments):
                server = self.serve("* answer A hash\n")
                self.run_names(server, names(10), "-o", "S", *arguments)
                self.assertEqual(server.totals()["edns_sizes"], {size: 10})
        for size in ("511", "4097"):
            done = self.run_ringdns("-r", "127.0.0.1:9", "--edns-size", size, stdin="a.test\n")
            self.assertEqual(done.returncode, 1)

    def test_req_08_dnssec_ok_nsid_and_client_subnet(self):
        server = scripted.Server(self, answer=lambda query: query.reply(options={}))
        for arguments, dnssec, options in [
                ([], False, {}),
                (["--dnssec-ok"], True, {}),
                (["--nsid"], False, {3: b""}),
                (["--ecs", "192.0.2.0/24"], False, {8: b"\0\1\x18\0\xc0\0\2"})]:
            with self.subTest(arguments=arguments):
                server.datagrams.clear()
                self.run_names(server, ["a.test"], "-o", "S", *arguments)
                (query,) = server.datagrams
                self.assertEqual((query.edns_size, query.dnssec_ok, query.options),
                                 (1232, dnssec, options))

    # ---- 9

    def test_req_09_losses_step_down_to_512_then_tcp_and_are_not_held_against_the_server(self):
        server = self.serve("* over udp drop\n* over tcp answer A 192.0.2.77\n")
        run = self.run_names(server, names(3), "-o", "J", "-i", "50", "-s", "1")
        self.assertEqual({reply["proto"] for reply in run.replies()}, {"TCP"})
        self.assertEqual(server.totals()["edns_sizes"], {"1232": 3, "512": 3, "65535": 3})

    # ---- 10

    def test_req_10_servers_without_edns_are_asked_plainly_once_and_remembered(self):
        for fault in ("no-opt rcode FORMERR", "header-only rcode FORMERR", "rcode NOTIMP",
                      "rcode BADVERS"):
            with self.subTest(fault=fault):
                server = self.serve(f"* with-edns {fault}\n* answer A 192.0.2.7\n")
                run = self.run_names(server, names(20), "-o", "S", "-s", "1")
                self.assertEqual((run.stats["answered"], run.udp["edns_fallbacks"]), (20, 1))
                self.assertEqual(server.totals()["edns_sizes"], {"1232": 1, "none": 20})
                self.assertEqual(run.stats["failed_tries"], [20])

    def test_req_10_an_edns_server_that_dislikes_options_is_asked_without_them(self):
        server = self.serve("* with-option 3 rcode FORMERR\n* with-edns answer A 192.0.2.7\n")
        run = self.run_names(server, ["a.test"], "-o", "S", "--nsid")
        self.assertEqual((run.stats["answered"], server.hits()), (1, [1, 1]))
        self.assertEqual(server.totals()["edns_sizes"], {"1232": 2})

    def test_req_10_formerr_with_nothing_left_to_leave_out_is_an_outcome(self):
        server = self.serve("* rcode FORMERR\n")
        run = self.run_names(server, ["a.test"], "-o", "Je", "-c", "3")
        self.assertEqual(run.outcomes(), Counter(MAXRETRIES=1))

    def test_req_10_the_last_try_of_an_unanswered_lookup_is_plain(self):
        server = self.serve("* with-edns drop\n* answer A 192.0.2.7\n")
        run = self.run_names(server, names(5), "-o", "S", "-c", "3", "-i", "50", "--tcp-disabled")
        self.assertEqual(run.stats["answered"], 5)
        self.assertEqual(server.totals()["edns_sizes"], {"1232": 5, "512": 5, "none": 5})

    # ---- 11

    def test_req_11_opt_of_65535_and_keepalive_in_a_connections_first_query_only(self):
        server = scripted.Server(self)
        run = self.run_names(server, names(200), "-o", "S", "-s", "20", "--nsid")
        self.assertEqual((run.stats["answered"], server.errors()), (200, []))
        for query in server.datagrams:
            self.assertEqual((query.edns_size, set(query.options)), (1232, {3}))
        self.assertEqual(len(server.connections), 1)
        queries = server.connections[0].queries
        self.assertEqual({query.edns_size for query in queries}, {65535})
        self.assertEqual(queries[0].options, {3: b"", scripted.KEEPALIVE: b""})
        self.assertEqual({tuple(query.options) for query in queries[1:]}, {(3,)})

    def test_req_11_each_connection_asks_anew(self):
        server = scripted.Server(self, lambda connection: scripted.serve_all(connection, most=5))
        run = self.run_names(server, names(50), "-o", "S")
        self.assertEqual((run.stats["answered"], server.errors()), (50, []))
        for connection in server.connections:
            asked = [scripted.KEEPALIVE in query.options for query in connection.queries]
            self.assertEqual(asked, [True] + [False] * (len(asked) - 1))

    def test_req_11_keepalive_0_means_no_more_queries(self):
        server = self.serve("tcp keepalive 0\n* truncate\n")
        run = self.run_names(server, names(200), "-o", "S", "-s", "50")
        totals = server.totals()
        self.assertEqual(run.stats["answered"], 200)
        self.assertEqual(totals["fin_by_client"] + totals["tcp_open_now"], totals["tcp_accepts"])
        # Asked in the first query, told in the first answer: a window, and what left before it.
        self.assertGreaterEqual(totals["tcp_accepts"], totals["tcp_queries"] / 64)
        self.assertEqual((totals["tcp_queries"], run.tcp["requeued"]), (run.tcp["entries"], 0))

    def test_req_11_keepalive_1_is_obeyed_before_it_expires(self):
        def converse(connection):
            for query in connection.collect(1):
                connection.send(query.reply(options={scripted.KEEPALIVE: b"\0\1"}))
            ended.append(connection.receive())
        ended = []
        server = scripted.Server(self, converse)
        live = self.live("-r", server.address, "--io", self.io, "--tcp-idle", "3600000")
        live.ask("a.test")
        # Without the server's word that would be in an hour.
        support.wait_until(lambda: ended, "the client's FIN")
        self.assertEqual(ended, [None])
        self.assertEqual(live.finish(), [])

    def test_req_11_a_keepalive_longer_than_tcp_idle_changes_nothing(self):
        server = self.serve("tcp keepalive 65535\n* truncate\n")
        live = self.live_at(server, "--tcp-idle", "50")
        live.ask("a.test")
        support.wait_until(lambda: server.totals()["fin_by_client"] == 1, "our FIN")
        live.finish()

    def test_req_11_keepalive_over_udp_is_ignored(self):
        zero = {scripted.KEEPALIVE: b"\0\0"}
        server = scripted.Server(
            self, answer=lambda query: query.reply(flags=scripted.TC, options=zero))
        run = self.run_names(server, names(100), "-o", "S")
        self.assertEqual((run.stats["answered"], len(server.connections)), (100, 1))

    # ---- 12

    def test_req_12_opt_is_never_printed_as_a_record(self):
        server = self.serve("* opt answer A 192.0.2.7 ; additional x.test. A 192.0.2.8\n")
        for form in ("Snud", "F", "J"):
            for way in ([], ["--tcp-only"]):
                with self.subTest(format=form, way=way):
                    run = self.run_names(server, ["a.test"], "-o", form, "--nsid", *way)
                    self.assertIn(b"192.0.2.8", run.stdout)
                    self.assertNotIn(b"OPT", run.stdout)
                    self.assertNotIn(b"TYPE41", run.stdout)
                    self.assertNotIn(b"CLASS1232", run.stdout)

    def test_req_12_binary_keeps_the_packet_as_received(self):
        server = self.serve("* truncate answer A 192.0.2.7\n")
        run = self.run_names(server, ["a.test"], "-o", "B", "--nsid")
        # The last field before the packet is its size; the packet ends with its OPT record.
        packet = run.stdout[run.stdout.index(b"\1a\4test\0") - 12:]
        size = struct.unpack("=H", run.stdout[-len(packet) - 2:-len(packet)])[0]
        self.assertEqual((size, struct.unpack(">H", packet[10:12])[0]), (len(packet), 1))
        self.assertEqual(packet[-24:-11], b"\0\0\x29\x04\xd0\0\0\0\0\0\x0d\0\x03")
        self.assertTrue(packet.endswith(b"\0\x09responder"), packet)

    def test_req_12_extended_rcodes_come_from_opt(self):
        server = self.serve("a.test. rcode 23\nb.test. rcode 3841\n* truncate rcode 23\n")
        run = self.run_names(server, ["a.test", "b.test", "c.test"], "-o", "J", "--retry", "never")
        self.assertEqual({reply["name"]: reply["status"] for reply in run.replies()},
                         {"a.test.": "BADCOOKIE", "b.test.": "RCODE3841", "c.test.": "BADCOOKIE"})


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Truncation, support.Case):
    io = "io_uring"


class OnEpoll(Truncation, support.Case):
    io = "epoll"


if __name__ == "__main__":
    support.main()
