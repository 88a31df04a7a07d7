"""Zone transfers: from NSD, Knot and BIND record by record as dig has them, and from servers that
refuse, break off or never end."""

import os
import re
import socket
import struct
import subprocess
import time
import unittest
from collections import Counter

import peers
import scripted
import support


def normal(rdata):
    return re.sub(r"\s+", " ", rdata.strip())


def dig(server, wanted):
    """The records of a transfer: (owner, ttl, class, type, data)."""
    done = subprocess.run(["dig", "+noall", "+answer", "+nosplit", "+nocmd", "@127.0.0.1",
                           "-p", str(server.port), peers.ZONE, wanted],
                          capture_output=True, text=True, timeout=support.PATIENCE, check=True)
    return Counter(fields_of(line) for line in done.stdout.splitlines()
                   if line and not line.startswith(";"))


def fields_of(line):
    fields = line.split(None, 4)
    return tuple(fields[:4]) + (normal(fields[4]) if len(fields) == 5 else "",)


def fields_of_simple(line):
    owner, rr_class, ttl, kind, data = (line.split(" ", 4) + [""])[:5]
    return owner, ttl, rr_class, kind, normal(data)


def fields_of_json(record):
    data = record["data"]
    if "strings" in record:
        data = " ".join('"' + string.replace('"', '\\"') + '"' for string in record["strings"])
    return record["name"], str(record["ttl"]), record["class"], record["type"], normal(data)


def refusal(server, zone):
    """The response code that the server has for a transfer of this zone."""
    query = struct.pack(">6H", 1, 0, 1, 0, 0, 0)
    for label in zone.rstrip(".").split("."):
        query += bytes([len(label)]) + label.encode()
    query += b"\0" + struct.pack(">2H", 252, 1)
    with socket.create_connection(("127.0.0.1", server.port), support.PATIENCE) as stream:
        stream.sendall(struct.pack(">H", len(query)) + query)
        return stream.recv(6)[5] & 15


RCODES = {5: "REFUSED", 9: "NOTAUTH"}


class Transfers:
    """Run once on each backend, below."""

    def start(self, kind, zone=None, **settings):
        if not kind.available():
            self.skipTest(f"{kind.binary} is not installed")
        samples = [line for line in peers.SAMPLES
                   if line.split()[0] not in kind.unknown | peers.APEX]
        return kind(self, zone or peers.zone_text(samples), **{"transfers": True, **settings})

    def transfer(self, server, wanted, form, zones=(peers.ZONE,), *arguments):
        address = server if isinstance(server, (str, list)) else server.address
        run = self.count(address, zones, "--io", self.io, "-t", wanted, "-o", form, *arguments)
        self.assertEqual(run.udp["sent"], 0)
        return run

    def formatted(self, server, wanted):
        """The transfer's records as each format has them; the SOA that ends it included."""
        yield "Snt", Counter(fields_of_simple(line)
                             for line in self.transfer(server, wanted, "Snt").lines())
        full = self.transfer(server, wanted, "F").lines()
        self.assertGreater(full.count(";; QUESTION SECTION:"), 0)
        self.assertEqual(Counter(full)[f"{peers.ZONE} IN {wanted.split('=')[0]}"],
                         full.count(";; QUESTION SECTION:"))
        yield "F", Counter(fields_of(line) for line in full
                           if line and not line.startswith(";") and
                           line != f"{peers.ZONE} IN {wanted.split('=')[0]}")
        replies = self.transfer(server, wanted, "J").replies()
        for reply in replies:
            self.assertEqual((reply["name"], reply["type"], reply["status"], reply["proto"]),
                             (peers.ZONE, wanted.split("=")[0], "NOERROR", "TCP"))
        yield "J", Counter(fields_of_json(record) for reply in replies
                           for record in reply["data"]["answers"])

    def compare_with_dig(self, server, wanted):
        expected = dig(server, wanted)
        for form, records in self.formatted(server, wanted):
            with self.subTest(format=form, server=server.binary, wanted=wanted):
                self.assertEqual(list((expected - records).items())[:5], [])
                self.assertEqual(list((records - expected).items())[:5], [])
        return expected

    def check_axfr(self, kind):
        server = self.start(kind)
        expected = self.compare_with_dig(server, "AXFR")
        self.assertGreater(sum(expected.values()), peers.NAMES)
        # S by itself prints every record as well, and L the zone once.
        run = self.transfer(server, "AXFR", "S")
        self.assertEqual(len(run.lines()), sum(expected.values()))
        self.assertGreater(run.stats["reply_size"]["count"], 3)  # messages
        self.assertEqual((run.stats["names"], run.stats["answered"], run.tcp["answers"]), (1, 1, 1))
        self.assertEqual(self.transfer(server, "AXFR", "L").lines(), [peers.ZONE[:-1]])

    def test_axfr_of_nsd(self):
        self.check_axfr(peers.Nsd)

    def test_axfr_of_knot(self):
        self.check_axfr(peers.Knot)

    def test_axfr_of_bind(self):
        self.check_axfr(peers.Named)

    def test_later_messages_need_no_question(self):
        def message(query, questions, *records):
            return struct.pack(">6H", query.id, 0x8400, questions, len(records), 0, 0) + \
                questions * query.question + b"".join(records)

        def record(owner, kind, data):
            return owner + struct.pack(">2HIH", kind, 1, 300, len(data)) + data

        def converse(connection):
            (query,) = connection.collect(1)
            connection.send(message(query, 1, record(b"\xc0\x0c", 6, soa),
                                    record(b"\1a\xc0\x0c", 1, address)))
            # Where a question is not, the first record's owner stands at the same offset.
            connection.send(message(query, 0, record(b"\1b\1z\4test\0", 1, address),
                                    record(b"\1c\xc0\x0e", 1, address),
                                    record(b"\xc0\x0c", 1, address)))
            connection.send(message(query, 0, record(b"\1z\4test\0", 6, soa)))
            connection.receive()
        soa = b"\0\0" + struct.pack(">5I", 1, 2, 3, 4, 5)
        address = socket.inet_aton("192.0.2.7")
        server = scripted.Server(self, converse)
        owners = ["z.test.", "a.z.test.", "b.z.test.", "c.z.test.", "b.z.test.", "z.test."]
        for form in ("S", "Snt", "Snlq"):
            run = self.transfer(server, "AXFR", form, ["z.test"])
            found = [line.split(" ")[0] for line in run.lines() if line and "AXFR" not in line]
            self.assertEqual(found, owners)
        replies = self.transfer(server, "AXFR", "J", ["z.test"]).replies()
        self.assertEqual([(reply["name"], reply["type"], reply["class"]) for reply in replies],
                         [("z.test.", "AXFR", "IN")] * 3)
        self.assertEqual([record["name"] for reply in replies
                          for record in reply["data"]["answers"]], owners)
        full = self.transfer(server, "AXFR", "F", ["z.test"]).lines()
        self.assertEqual(full.count("z.test. IN AXFR"), 3)
        self.assertEqual(self.transfer(server, "AXFR", "L", ["z.test"]).lines(), ["z.test"])
        self.assertEqual(server.errors(), [])

    # ---- Refused

    def check_refusal(self, kind):
        server = self.start(kind, transfers=False)
        for zone in (peers.ZONE, "nowhere.test."):
            status = RCODES[refusal(server, zone)]
            run = self.transfer(server, "AXFR", "Je", [zone])
            with self.subTest(zone=zone):
                self.assertEqual([(reply["name"], reply["type"], reply["status"])
                                  for reply in run.replies()], [(zone, "AXFR", status)])
                self.assertEqual(run.stats["rcodes"], {status: 1})

    def test_refused_by_nsd(self):
        self.check_refusal(peers.Nsd)

    def test_refused_by_knot(self):
        self.check_refusal(peers.Knot)

    def test_refused_by_bind(self):
        self.check_refusal(peers.Named)

    def test_another_server_may_not_refuse(self):
        server = self.serve("* AXFR transfer 100\nserver 1\n* rcode REFUSED\n"
                            "server 2\n* header-only rcode NOTIMP\n",
                            listen=["127.0.0.1:0"] * 3)
        zones = [f"z{i}.test." for i in range(20)]
        run = self.transfer(server.addresses, "AXFR", "S", zones)
        self.assertEqual(len(run.lines()), 20 * 102)
        self.assertEqual(run.stats["rcodes"], {"NOERROR": 20})

    # ---- IXFR

    def test_ixfr_with_nothing_new_is_one_soa(self):
        for kind in (peers.Nsd, peers.Knot, peers.Named):
            if not kind.available():
                continue
            with self.subTest(server=kind.binary):
                server = self.start(kind)
                run = self.transfer(server, "IXFR=1", "S")
                self.assertEqual(len(run.lines()), 1)
                self.assertIn(" SOA ", run.lines()[0])
                self.assertEqual(run.stats["answered"], 1)

    def test_ixfr_that_falls_back_to_a_whole_zone(self):
        for kind in (peers.Nsd, peers.Knot, peers.Named):
            if not kind.available():
                continue
            with self.subTest(server=kind.binary):
                server = self.start(kind)
                # RFC 1995 4: a serial that the server has no differences to.
                self.compare_with_dig(server, "IXFR=0")
                run = self.transfer(server, "IXFR=0", "S")
                self.assertGreater(len(run.lines()), peers.NAMES)

    def check_ixfr(self, kind):
        zone = peers.zone_text([])
        server = self.start(kind, zone)
        changed = zone.replace(" 1 3600 600", " 2 3600 600")
        for i in range(0, 3000):
            changed = changed.replace(f"\nn{i} IN A {peers.address_of(i)}\n",
                                      f"\nn{i} IN A 192.0.2.{i % 250}\n", 1)
        serial = self.serial(server)
        server.replace_zone(changed + "added IN A 192.0.2.1\n")
        support.wait_until(lambda: self.serial(server) != serial, "the new serial")
        expected = self.compare_with_dig(server, f"IXFR={serial}")
        # Old SOA, deletions, new SOA, additions, between two SOAs.
        self.assertEqual(sum(expected.values()), 4 + 3000 + 3001)
        kinds = [line.split(" ", 2)[1] for line in
                 self.transfer(server, f"IXFR={serial}", "S").lines()]
        self.assertEqual([i for i, kind in enumerate(kinds) if kind == "SOA"],
                         [0, 1, 3002, 6004])

    def serial(self, server):
        run = self.count(server.address, [peers.ZONE], "--io", self.io, "-t", "SOA", "-o", "S")
        return int(run.lines()[0].split(" ")[4])

    def test_ixfr_of_knot(self):
        self.check_ixfr(peers.Knot)

    def test_ixfr_of_bind(self):
        self.check_ixfr(peers.Named)

    # ---- Faults

    def test_a_transfer_that_breaks_off_is_incomplete(self):
        for ending in ("close", "reset", "silent"):
            with self.subTest(ending=ending):
                server = self.serve(f"* AXFR stop 60000 then {ending} transfer 5000\n"
                                    "* answer A hash\n")
                run = self.transfer(server, "AXFR", "Je", ["z.test."], "--tcp-timeout", "2000")
                *records, end = run.replies()
                self.assertGreater(len(records), 1)
                self.assertEqual((end["name"], end["type"], end["error"]),
                                 ("z.test.", "AXFR", "INCOMPLETE"))
                self.assertEqual((run.stats["answered"], run.stats["failed"]["INCOMPLETE"]), (0, 1))
                self.assertEqual(server.totals()["tcp_queries"], 1)  # what was printed is not again

    def test_a_transfer_that_breaks_off_before_anything_was_written_is_tried_again(self):
        for ending in ("close", "reset", "silent"):
            with self.subTest(ending=ending):
                server = self.serve(f"* AXFR tries 1 stop 5000 then {ending} transfer 5000\n"
                                    "* AXFR transfer 5000\n")
                run = self.transfer(server, "AXFR", "S", ["z.test."], "--tcp-timeout", "2000")
                self.assertEqual(len(run.lines()), 5002)
                self.assertEqual(server.totals()["tcp_queries"], 2)

    def test_a_transfer_that_drips_is_waited_for(self):
        server = self.serve("* AXFR drip 4000 every 2ms transfer 5000\n")
        run = self.transfer(server, "AXFR", "S", ["z.test."])
        self.assertEqual(len(run.lines()), 5002)

    def test_what_is_no_transfer_is_none(self):
        for reply in ("answer A hash", "answer", "answer NS ns.test.", "tc answer"):
            with self.subTest(reply=reply):
                server = self.serve(f"* AXFR as-is {reply}\n* answer A hash\n")
                run = self.transfer(server, "AXFR", "Je", ["z.test."], "-c", "2")
                self.assertEqual(run.stats["answered"], 0)
                self.assertEqual(len(run.replies()), 1)
                self.assertIn("error", run.replies()[0])

    def test_transfers_and_other_lookups_at_once(self):
        server = self.serve("* AXFR transfer 3000\n* truncate answer A hash\n")
        zones = [f"AXFR z{i}.test." for i in range(10)]
        names = [f"n{i}.test." for i in range(1000)]
        lines = [line for i in range(10) for line in [zones[i]] + names[100 * i:100 * i + 100]]
        run = self.count(server.address, lines, "--io", self.io, "-o", "S")
        self.assertEqual(run.stats["answered"], 1010)
        owners = Counter(line.split(" ")[0] for line in run.lines())
        for i in range(10):
            self.assertEqual(owners[f"z{i}.test."], 2)
            self.assertEqual(owners[f"r2999.z{i}.test."], 1)
        self.assertEqual(len(owners), 1000 + 10 * 3001)
        self.assertEqual(run.tcp["requeued"], 0)

    @unittest.skipIf(os.environ.get("RINGDNS_SANITIZED"), "its allocator keeps what is freed")
    def test_a_reader_that_does_not_read_holds_up_a_transfer_not_memory(self):
        server = self.serve("* AXFR transfer 3000000\n* answer A 192.0.2.7\n")
        process = self.start_ringdns("-r", server.address, "--io", self.io, "-q", "-t", "AXFR",
                                     "-o", "S", self.write("zones", "z.test.\n"),
                                     stdout=subprocess.PIPE)
        process.stdout.readline()
        sizes = []
        while len(sizes) < 20 or sizes[-20:] != sizes[-1:] * 20:  # until it has been still for a second
            with open(f"/proc/{process.pid}/status") as status:
                sizes.append(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))
            time.sleep(0.05)
        self.assertLess(int(sizes[-1]), 64 * 1024)  # the zone is of 80 MB
        lines = 1 + sum(chunk.count(b"\n")
                        for chunk in iter(lambda: process.stdout.read(1 << 20), b""))
        self.assertEqual((lines, process.wait(support.PATIENCE)), (3000002, 0))

    def test_a_zone_far_larger_than_any_buffer(self):
        server = self.serve("* AXFR transfer 300000\n")
        run = self.transfer(server, "AXFR", "S", ["z.test."])
        self.assertEqual(len(run.lines()), 300002)


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Transfers, support.Case):
    io = "io_uring"


class OnEpoll(Transfers, support.Case):
    io = "epoll"


if __name__ == "__main__":
    support.main()
