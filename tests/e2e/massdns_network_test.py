"""massdns's options of sockets and transports; massdns_options_test.py has the table of all."""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import unittest
from collections import Counter

import support
from massdns_options import NAMES, OptionsCase
from scripted import Server

A_NAMESPACE = """
ip link set lo up
ip -6 route add local 2001:db8:1::/48 dev lo
exec "$@"
"""


class Network:
    """Run once on each backend, below."""

    def test_bindto(self):
        server, port = self.server(), support.free_port("127.0.0.55")
        self.assertEqual(self.run_at(server.address, "-b", f"127.0.0.55:{port}",
                                     "--socket-count", "1").returncode, 0)
        self.assertEqual({query.sender for query in server.datagrams}, {("127.0.0.55", port)})
        server.datagrams.clear()
        names = "".join(name + "\n" for name in support.names(200))
        self.run_at(server.address, "--bindto", "127.0.0.55", "-b", "127.0.0.66", "-s", "5",
                    names=names)
        self.assertEqual({query.sender[0] for query in server.datagrams},
                         {"127.0.0.55", "127.0.0.66"})
        peers = []

        def converse(connection):
            peers.append(connection.socket.getpeername()[0])
            scripted_answers(connection)
        server = Server(self, converse)
        port = support.free_port("127.0.0.55")  # which TCP leaves to UDP
        done = self.run_at(server.address, "-b", f"127.0.0.55:{port}", "--tcp-only")
        self.assertEqual((done.returncode, peers), (0, ["127.0.0.55"]))
        failed = self.run_at(server.address, "-b", "192.0.2.77")  # not this host's
        self.assertEqual((failed.returncode, len(failed.stderr.splitlines())), (1, 1))

    def test_random_sources(self):
        (server,) = self.responder("* answer A hash\n", listen=("[::1]:0",))
        listed = self.write("sources", "# ours\n::1\nnonsense\n192.0.2.1\n")
        for arguments in (["--rand-src-ipv6", "::1/128"], ["--rand-src-ipv6-file", listed]):
            for transport in ([], ["--tcp-only"]):
                done = self.run_at(server, "-o", "L", *arguments, *transport)
                self.assertEqual(Counter(done.stdout.split()), Counter(NAMES.encode().split()))
        self.assertIn(b'source addresses line 3: not an address: "nonsense"', done.stderr)
        for bad in ("/nonexistent", self.write("none", "192.0.2.1\n")):
            done = self.run_at(server, "--rand-src-ipv6-file", bad)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)

    @unittest.skipUnless(shutil.which("ip") and shutil.which("unshare"), "no ip or no unshare")
    def test_random_sources_within_a_prefix(self):
        namespace = ["unshare", "-rn", "sh", "-ec", A_NAMESPACE, "sh"]
        if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
            self.skipTest("no network namespace is permitted here")
        done = subprocess.run([*namespace, sys.executable, __file__, "--senders", self.io],
                              capture_output=True, text=True, timeout=support.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        senders = json.loads(done.stdout)
        # It ends only once there are many: 256 sockets have each an address of their own.
        for transport in ("udp", "tcp"):
            self.assertTrue(all(sender.startswith("2001:db8:1:") for sender in senders[transport]))

    def udp_sockets(self, process):
        """Its descriptors that are IPv4 UDP sockets."""
        with open(f"/proc/{process.pid}/net/udp") as table:
            inodes = {line.split()[9] for line in table.readlines()[1:]}
        folder = f"/proc/{process.pid}/fd"
        links = {fd: os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)}
        return [int(fd) for fd, link in links.items() if link[8:-1] in inodes]

    def test_socket_count(self):
        for count in (1, 7):
            process, server = self.in_flight("--socket-count", count)
            support.wait_until(lambda: len(server.datagrams) == 3, "the queries")
            self.assertEqual(len(self.udp_sockets(process)), count)
            process.kill()

    def buffers_of(self, *arguments):
        process, server = self.in_flight("--socket-count", "1", *arguments)
        support.wait_until(lambda: len(server.datagrams) == 3, "the queries")
        (fd,) = self.udp_sockets(process)
        copy = ctypes.CDLL(None).syscall(438, os.pidfd_open(process.pid), fd, 0)  # pidfd_getfd
        if copy < 0:
            self.skipTest("no descriptor of another process is to be had here")
        with socket.socket(fileno=copy) as own:
            found = [own.getsockopt(socket.SOL_SOCKET, option)
                     for option in (socket.SO_RCVBUF, socket.SO_SNDBUF)]
        process.kill()
        return found

    def test_socket_buffers(self):
        # The kernel doubles what it is asked for.
        self.assertEqual(self.buffers_of("--rcvbuf", "20000", "--sndbuf", "30000"), [40000, 60000])
        self.assertEqual(self.buffers_of("--rcvbuf", "0", "--sndbuf", "0"), self.buffers_of())

    # TCP

    def transports(self, *arguments):
        (server,) = self.responder("* truncate answer A hash\n")
        done = self.run_at(server, "-o", "Je", *arguments, names="a.test\n")
        return json.loads(done.stdout), done.stderr

    def test_tcp_disabled(self):
        self.assertEqual(self.transports("--tcp-disabled", "-c", "2")[0]["error"], "TRUNCATED")
        self.assertEqual(self.run_at("127.0.0.1", "--tcp-disabled", "--tcp-only").returncode, 1)

    def test_tcp_only(self):
        server = self.serve("* answer A hash\n")
        done = self.run_at(server.address, "-o", "J", "--tcp-only")
        self.assertEqual({json.loads(line)["proto"] for line in done.stdout.splitlines()}, {"TCP"})
        self.assertEqual(server.totals()["udp_queries"], 0)

    def test_tcp_raw(self):
        reply, stderr = self.transports("--tcp-raw", "--tcp-raw")
        self.assertEqual(reply["proto"], "TCP")
        self.assertEqual(stderr.count(b"--tcp-raw means TCP, without raw sockets"), 1)

    def test_verify_ip(self):
        (server,) = self.responder("* wrong-address answer A hash\n")
        for arguments in ([], ["--verify-ip"]):
            done = self.run_at(server, "-o", "Je", "-c", "1", "-i", "50", "--tcp-disabled",
                               *arguments, names="a.test\n")
            self.assertEqual(json.loads(done.stdout)["error"], "TIMEOUT")
        self.assertIn(b"--verify-ip has no effect", done.stderr)

    def test_no_effect(self):
        for option in ("--busy-poll", "--busypoll"):
            server = self.server()
            self.assertIn(b"has no effect", self.run_at(server.address, option).stderr)
            done = self.run_at(server.address, "-q", option, "-o", "L")
            self.assertEqual((len(done.stdout.split()), done.stderr), (3, b""))


def scripted_answers(connection):
    with contextlib.suppress(OSError):
        while (queries := connection.receive()) is not None:
            connection.send(*[query.reply() for query in queries])


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Network, OptionsCase):
    io = "io_uring"


class OnEpoll(Network, OptionsCase):
    io = "epoll"


def while_it_runs(process, receive):
    """What receive() brings, unless ringdns ends before."""
    while True:
        try:
            return receive()
        except TimeoutError:
            if process.poll() is not None:
                sys.exit("ringdns ended")


def tell_senders(io):
    """In a network of its own: who sends to a server there, as JSON."""
    case, senders = support.Case(), {"udp": set(), "tcp": set()}
    case.setUp()
    names = case.write("names", "".join(name + "\n" for name in support.names(400)))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp, \
            socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp:
        udp.bind(("::1", 0))
        ways = (("udp", udp, "--tcp-disabled", 100), ("tcp", tcp, "--tcp-only", 1))
        for transport, listening, option, few in ways:
            listening.settimeout(1)
            process = case.start_ringdns(
                "--io", io, "--root", "-q", option, "--rand-src-ipv6", "2001:db8:1:2::/64", "-r",
                "[::1]:%d" % listening.getsockname()[1], names)
            while len(senders[transport]) <= few:
                if transport == "udp":
                    _, sender = while_it_runs(process, lambda: udp.recvfrom(4096))
                else:
                    connection, sender = while_it_runs(process, tcp.accept)
                    connection.close()
                senders[transport].add(sender[0])
    case.doCleanups()
    print(json.dumps({transport: sorted(found) for transport, found in senders.items()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--senders"]:
        tell_senders(sys.argv[2])
    else:
        support.main()
