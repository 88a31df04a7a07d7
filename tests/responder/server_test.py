"""The responder over real sockets: what a plan says is what a client sees on the wire."""

import errno
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

RESPONDER = os.environ["RESPONDER"]
PATIENCE = 60  # how long to wait for what must come; never a measure of speed
QUIET = 0.3    # how long to watch that nothing comes


def query(name="www.test.", kind=1, number=7, edns=None):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name[:-1].split("."))
    message = struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, edns is not None)
    message += labels + b"\0" + struct.pack(">HH", kind, 1)
    if edns is not None:
        message += struct.pack(">BHHIH", 0, 41, edns, 0, 0)
    return message


def framed(*messages):
    return b"".join(struct.pack(">H", len(message)) + message for message in messages)


def number_of(message):
    return struct.unpack(">H", message[:2])[0]


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError(data)
        data += more
    return data


def read_message(stream):
    return read_exactly(stream, struct.unpack(">H", read_exactly(stream, 2))[0])


class Server(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="responder-")
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        self.started = 0

    def start(self, plan, *arguments, listen=("127.0.0.1:0",)):
        """Returns the process and its addresses as (host, port)."""
        self.started += 1
        path = os.path.join(self.dir, f"plan{self.started}")
        ports = os.path.join(self.dir, f"ports{self.started}")
        with open(path, "w") as file:
            file.write(plan)
        self.report_path = os.path.join(self.dir, f"report{self.started}")
        command = [RESPONDER, "--plan", path, "--ports-file", ports, "--report", self.report_path]
        for address in listen:
            command += ["--listen", address]
        process = subprocess.Popen(command + list(arguments))
        self.addCleanup(self.stop, process)
        until = time.monotonic() + PATIENCE
        while not os.path.exists(ports):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), until)
            time.sleep(0.01)
        with open(ports) as file:
            addresses = [line.rsplit(":", 1) for line in file.read().split()]
        return process, [(host.strip("[]"), int(port)) for host, port in addresses]

    def serve(self, plan, *arguments, **kwargs):
        self.process, addresses = self.start(plan, *arguments, **kwargs)
        return addresses[0]

    def stop(self, process):
        process.send_signal(signal.SIGTERM)  # nothing happens to one that has ended
        self.assertEqual(process.wait(PATIENCE), 0)

    def report(self):
        self.stop(self.process)
        with open(self.report_path) as file:
            return json.load(file)

    def udp(self):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.bind(("127.0.0.1", 0))
        client.settimeout(PATIENCE)
        return client

    def tcp(self, address, timeout=PATIENCE):
        client = socket.create_connection(address, timeout)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(client.close)
        return client

    def assertQuiet(self, *clients):
        self.assertEqual(select.select(clients, [], [], QUIET)[0], [])

    def assertReset(self, client):
        with self.assertRaises(ConnectionResetError):
            while client.recv(65536):
                pass


class Udp(Server):
    def test_answers_on_ipv4_and_ipv6(self):
        _, addresses = self.start("* answer A hash\n", listen=("127.0.0.1:0", "[::1]:0"))
        for address, family in zip(addresses, (socket.AF_INET, socket.AF_INET6)):
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.settimeout(PATIENCE)
                client.sendto(query(edns=1232), address)
                reply, sender = client.recvfrom(65536)
                self.assertEqual(sender[:2], address)
                self.assertEqual((number_of(reply), reply[3] & 15), (7, 0))

    def test_a_burst_is_answered_whole_merged_or_plain(self):
        for arguments in ([], ["--no-gro"]):
            address = self.serve("* answer A hash\n", *arguments)
            client = self.udp()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            # Names of different lengths, so that trains begin and end.
            for number in range(100):
                client.sendto(query("x" * (1 + number % 7) + ".test.", number=number), address)
            replies = [client.recv(65536) for _ in range(100)]
            self.assertEqual(sorted(map(number_of, replies)), list(range(100)))
            for reply in replies:
                sent = query("x" * (1 + number_of(reply) % 7) + ".test.", number=number_of(reply))
                self.assertEqual(reply[12:len(sent)], sent[12:])
                self.assertEqual(len(reply), len(sent) + 16)

    def test_segments_of_one_send_are_datagrams(self):
        address = self.serve("* answer A hash\n")
        client = self.udp()
        client.setsockopt(socket.IPPROTO_UDP, 103, len(query()))  # UDP_SEGMENT
        client.sendto(b"".join(query(number=number) for number in range(50)), address)
        replies = [client.recv(65536) for _ in range(50)]
        self.assertEqual(sorted(map(number_of, replies)), list(range(50)))

    def test_a_late_answer_comes_late_and_holds_up_nobody(self):
        address = self.serve("slow.test. delay 400ms answer A hash\n* answer A hash\n")
        client = self.udp()
        started = time.monotonic()
        client.sendto(query("slow.test.", number=1), address)
        client.sendto(query(number=2), address)
        self.assertEqual([number_of(client.recv(999)) for _ in range(2)], [2, 1])
        self.assertGreaterEqual(time.monotonic() - started, 0.4)

    def test_identical_questions_outstanding_are_counted(self):
        address = self.serve("* delay 300ms answer A hash\n")
        first, second = self.udp(), self.udp()
        for client, number in ((first, 1), (first, 1), (first, 2), (second, 3)):
            client.sendto(query(number=number), address)
        first.sendto(query("other.test."), address)
        for client, count in ((first, 4), (second, 1)):
            for _ in range(count):
                client.recv(999)
        first.sendto(query(number=4), address)
        first.recv(999)
        totals = self.report()["totals"]
        self.assertEqual((totals["udp_identical_outstanding"], totals["udp_identical_same_port"],
                          totals["udp_identical_resent"]), (3, 2, 1))

    def test_another_port_and_another_address(self):
        address = self.serve("port. wrong-port answer\naddress. wrong-address answer\n* answer\n")
        client = self.udp()
        senders = {}
        for name in ("port.", "address.", "own."):
            client.sendto(query(name), address)
            senders[name] = client.recvfrom(999)[1]
        self.assertEqual(senders["own."], address)
        self.assertEqual(senders["port."][0], address[0])
        self.assertNotEqual(senders["port."][1], address[1])
        self.assertNotEqual(senders["address."][0], address[0])

    def test_a_closed_port_is_unreachable(self):
        address = self.serve("udp refuse\n")
        client = self.udp()
        client.connect(address)
        client.send(query())
        with self.assertRaises(ConnectionRefusedError):
            client.recv(999)

    def test_an_empty_datagram_comes_through(self):
        address = self.serve("* runt 0 answer\n")
        client = self.udp()
        client.sendto(query(), address)
        self.assertEqual(client.recv(999), b"")


class Tcp(Server):
    def test_pipelined_queries(self):
        address = self.serve("* answer A hash\n")
        client = self.tcp(address)
        client.sendall(framed(*(query(number=number) for number in range(500))))
        self.assertEqual([number_of(read_message(client)) for _ in range(500)], list(range(500)))
        client.close()
        totals = self.report()["totals"]
        self.assertEqual((totals["tcp_accepts"], totals["tcp_queries"], totals["tcp_replies"]),
                         (1, 500, 500))
        self.assertGreater(totals["tcp_pipelined_max"], 1)
        self.assertEqual(totals["queries_per_connection"], {"min": 500, "max": 500, "mean": 500})
        self.assertEqual(totals["fin_by_client"] + totals["tcp_open_now"], 1)

    def test_a_query_in_pieces(self):
        address = self.serve("* answer A hash\n")
        client = self.tcp(address)
        for octet in framed(query(number=1), query(number=2)):
            client.send(bytes([octet]))
        self.assertEqual([number_of(read_message(client)) for _ in range(2)], [1, 2])

    def test_a_client_that_half_closes_gets_its_answers(self):
        address = self.serve("* delay 200ms answer A hash\n")
        client = self.tcp(address)
        client.sendall(framed(query()))
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(number_of(read_message(client)), 7)
        self.assertEqual(client.recv(1), b"")

    def test_refused(self):
        address = self.serve("tcp refuse\n")
        with self.assertRaises(ConnectionRefusedError):
            self.tcp(address)

    def test_a_black_hole_swallows_syns(self):
        address = self.serve("tcp blackhole\n* answer\n")
        client = socket.socket()
        self.addCleanup(client.close)
        client.setblocking(False)
        self.assertEqual(client.connect_ex(address), errno.EINPROGRESS)
        self.assertEqual(select.select([], [client], [], QUIET)[1], [])
        udp = self.udp()  # and UDP goes on
        udp.sendto(query(), address)
        udp.recv(999)

    def test_close_after_answers_delivers_them_and_then_a_fin(self):
        address = self.serve("tcp close after 8\n* answer A hash\n")
        client = self.tcp(address)
        client.sendall(framed(*(query(number=number) for number in range(64))))
        self.assertEqual([number_of(read_message(client)) for _ in range(8)], list(range(8)))
        self.assertEqual(client.recv(1), b"")
        client.close()
        open_now = 1
        while open_now:  # the server sees our FIN soon after
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(0.02)
            if os.path.exists(self.report_path):
                with open(self.report_path) as file:
                    open_now = json.load(file)["totals"]["tcp_open_now"]
        totals = self.report()["totals"]
        self.assertEqual((totals["fin_by_server"], totals["tcp_open_now"]), (1, 0))

    def test_close_on_accept_and_reset_on_accept(self):
        self.assertEqual(self.tcp(self.serve("tcp close after 0\n")).recv(1), b"")
        address = self.serve("tcp reset after 0\n")
        try:
            self.assertReset(self.tcp(address))
        except ConnectionResetError:
            pass  # before connect() even returned

    def test_reset_in_a_message_and_behind_one(self):
        address = self.serve("mid. stop 20 then reset answer\n* then reset answer\n")
        client = self.tcp(address)
        client.sendall(framed(query("mid.")))
        self.assertReset(client)
        client = self.tcp(address)
        client.sendall(framed(query()))
        self.assertEqual(number_of(read_message(client)), 7)
        self.assertReset(client)

    def test_half_close_silence_and_deafness(self):
        address = self.serve("tcp half-close after 1\n* answer\n")
        client = self.tcp(address)
        client.sendall(framed(query()))
        read_message(client)
        self.assertEqual(client.recv(1), b"")
        client.sendall(framed(query()))  # still taken, without an answer and without a reset
        time.sleep(0.05)
        self.assertEqual(client.recv(1), b"")

        address = self.serve("tcp silent after 1\n* answer\n")
        client = self.tcp(address)
        client.sendall(framed(query(), query()))
        read_message(client)
        self.assertQuiet(client)

        address = self.serve("tcp deaf after 0\n* answer\n")
        client = self.tcp(address)
        client.setblocking(False)
        sent = 0
        with self.assertRaises(BlockingIOError):  # nobody reads, so it fills up
            while sent < 1 << 28:
                sent += client.send(b"\0" * 65536)

    def test_a_dripped_answer_comes_octet_by_octet(self):
        address = self.serve("* drip 1 every 3ms answer A hash\n")
        client = self.tcp(address)
        started = time.monotonic()
        client.sendall(framed(query(number=1), query(number=2)))
        whole = read_exactly(client, 2 * (len(framed(query())) + 16))
        # Never early, however late this test gets to read.
        self.assertGreaterEqual(time.monotonic() - started, 0.003 * (len(whole) - 1))
        half = len(whole) // 2
        self.assertEqual((number_of(whole[2:]), number_of(whole[half + 2:])), (1, 2))

    def test_a_split_prefix(self):
        address = self.serve("* split 1 100ms answer A hash\n")
        client = self.tcp(address)
        started = time.monotonic()
        client.sendall(framed(query()))
        self.assertEqual(number_of(read_message(client)), 7)
        self.assertGreaterEqual(time.monotonic() - started, 0.1)

    def test_a_transfer_of_many_messages_to_a_slow_reader(self):
        address = self.serve("test. AXFR transfer 300000\n")
        client = self.tcp(address)
        client.sendall(framed(query("test.", 252)))
        records = 0
        time.sleep(0.2)
        while records < 300002:
            records += struct.unpack(">H", read_message(client)[6:8])[0]
        self.assertEqual(records, 300002)
        self.assertQuiet(client)

    def test_an_idle_connection_is_closed(self):
        client = self.tcp(self.serve("tcp idle 100ms\n"))
        self.assertEqual(client.recv(1), b"")

    def test_many_connections_end_and_none_is_left(self):
        address = self.serve("tcp close after 1\n* answer\n")
        for _ in range(300):
            with socket.create_connection(address, PATIENCE) as client:
                client.sendall(framed(query()))
                read_message(client)
                self.assertEqual(client.recv(1), b"")
        deadline = time.monotonic() + PATIENCE
        while len(os.listdir(f"/proc/{self.process.pid}/fd")) > 20:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual(self.report()["totals"]["tcp_accepts"], 300)


class Process(Server):
    def test_many_servers_on_one_port_each_with_its_section(self):
        _, addresses = self.start("server 3\n* rcode NXDOMAIN\nserver 1-300\n* rcode NOERROR\n",
                                  "--servers", "300", listen=())
        self.assertEqual(addresses[0][0], "127.0.1.1")
        self.assertEqual(addresses[299][0], "127.0.2.50")
        self.assertEqual(len({port for _, port in addresses}), 1)
        client = self.udp()
        for address, rcode in ((addresses[2], 3), (addresses[299], 0)):
            client.sendto(query(), address)
            self.assertEqual(client.recv(999)[3] & 15, rcode)
            stream = self.tcp(address)
            stream.sendall(framed(query()))
            self.assertEqual(read_message(stream)[3] & 15, rcode)

    def test_report(self):
        address = self.serve("*.nx. rcode NXDOMAIN\n* answer \"A\" hash\n")
        client = self.udp()
        for name, edns in (("a.nx.", None), ("b.", 1232), ("c.", 1232)):
            client.sendto(query(name, edns=edns), address)
            client.recv(999)
        report = self.report()
        self.assertEqual(report["totals"]["rule_hits"], {"1": 1, "2": 2})
        self.assertEqual(report["totals"]["edns_sizes"], {"none": 1, "1232": 2})
        self.assertEqual([rule["hits"] for rule in report["rules"]], [1, 2])
        self.assertEqual(report["rules"][1]["text"], "* answer \"A\" hash")
        (listener,) = report["listeners"]
        self.assertEqual(listener["address"], "%s:%d" % address)
        self.assertEqual((listener["udp_queries"], listener["udp_replies"]), (3, 3))

    def test_every_plan_in_the_readme_is_understood(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")) as file:
            text = file.read()
        blocks = [line[4:] for line in text.splitlines() if line.startswith("    ")]
        plans = [line for line in blocks if not line.startswith(("responder", "PATTERN"))
                 and "SETTING" not in line]
        catalogue = text.split("## The catalogue")[1].split("## The report")[0]
        plans += [plan.replace("...", "* with-edns")
                  for plan in re.findall(r"`((?:\*|tcp|\.\.\.) [^`]*)`", catalogue)]
        self.assertGreater(len(plans), 40)
        for plan in plans:
            with self.subTest(plan):
                self.stop(self.start(plan + "\n")[0])

    def test_only_loopback_and_good_plans_are_accepted(self):
        plan = os.path.join(self.dir, "plan")
        with open(plan, "w") as file:
            file.write("* answer A hash\n")
        bad = os.path.join(self.dir, "bad")
        with open(bad, "w") as file:
            file.write("* answer\n* nothing\n")
        for arguments, message in (
                (["--plan", plan, "--listen", "0.0.0.0:0"], b"no loopback address"),
                (["--plan", plan, "--listen", "192.0.2.1:53"], b"no loopback address"),
                (["--plan", plan, "--listen", "[::]:0"], b"no loopback address"),
                (["--plan", plan, "--listen", "127.0.0.1:x"], b"no loopback address"),
                (["--plan", plan], b"usage"),
                (["--plan", bad, "--listen", "127.0.0.1:0"], b"line 2: expected an action"),
                (["--plan", self.dir + "/absent", "--listen", "127.0.0.1:0"], b"cannot read")):
            done = subprocess.run([RESPONDER, *arguments], capture_output=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)

    def test_it_ends_with_its_parent(self):
        plan = os.path.join(self.dir, "plan")
        with open(plan, "w") as file:
            file.write("* answer\n")
        parent = subprocess.Popen(
            [sys.executable, "-c",
             "import subprocess, sys\n"
             "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
             "child.stdout.readline()\n"
             "print(child.pid, flush=True)\n"
             "sys.stdin.read()\n",
             RESPONDER, "--plan", plan, "--listen", "127.0.0.1:0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(parent.stdout.close)
        self.addCleanup(parent.stdin.close)
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + PATIENCE
        while running(child):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
