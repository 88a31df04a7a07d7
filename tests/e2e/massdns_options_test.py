"""Every option of massdns, documented or not, and what it does here.

With MASSDNS_SOURCE naming massdns's source tree, the table is compared with it, too."""

import json
import os
import pwd
import re
import socket
import subprocess
import time
import unittest
from collections import Counter

import support
from massdns_network_test import Network
from massdns_options import NAMES, OptionsCase

# (its spellings in massdns, what it does here and where that is not as in massdns, its test)
OPTIONS = [
    ("-b --bindto", "address and port to send from, of TCP too; several take turns", "bindto"),
    ("--busy-poll --busypoll", "no effect, and says so: nothing here polls", "no_effect"),
    ("-c --resolve-count", "tries of a name", "resolve_count"),
    ("--drop-group", "root becomes this group", "drop_user_and_group"),
    ("--drop-user", "root becomes this user, and its group", "drop_user_and_group"),
    ("--extended-input", "resolvers behind a name are asked first", "extended_input"),
    ("--filter", "only these codes; a comma list, too", "filter_and_ignore"),
    ("--flush", "each turn's replies at once", "flush"),
    ("-h --help", "exit 0; on standard output, in massdns on standard error", "help"),
    ("--ignore", "all but these codes; not with --filter", "filter_and_ignore"),
    ("-i --interval", "milliseconds until the next try", "interval"),
    ("-l --error-log", "messages of the run go there; in massdns to stderr besides", "error_log"),
    ("-n --norecurse", "RD is clear", "norecurse"),
    ("-o --output", "F, S, L, J, B and their flags", "output"),
    ("--predictable", "resolvers in turn; tries of a name go on from there", "predictable"),
    ("--processes", "OUT0, OUT1 ...; unlike massdns also with stdin and stdout", "processes"),
    ("-q --quiet", "no status, no summary, no notices", "quiet"),
    ("--rand-src-ipv6", "random source, for each socket, not each query", "random_sources"),
    ("--rand-src-ipv6-file", "likewise from a list", "random_sources"),
    ("--rcvbuf", "receive buffer; 0: what -s needs", "socket_buffers"),
    ("--retry", "codes that cost a try; never; a comma list, too", "retry"),
    ("-r --resolvers", "file, pipe, - or a comma list; once", "resolvers"),
    ("--root", "stays root", "drop_user_and_group"),
    ("-s --hashmap-size", "lookups in flight; auto is 10000, not adaptive", "hashmap_size"),
    ("--sndbuf", "send buffer; 0: the kernel's", "socket_buffers"),
    ("--status-format", "ansi or json", "status_format"),
    ("--sticky", "a name stays with its resolver", "sticky"),
    ("--socket-count", "UDP sockets of a process, for each family", "socket_count"),
    ("-t --type --types", "record types; given twice counts once, in massdns an error", "types"),
    ("--tcp-disabled", "truncated replies fail, in massdns they pass for answers", "tcp_disabled"),
    ("--tcp-only", "no UDP; not with --tcp-disabled, of which massdns takes the last", "tcp_only"),
    ("--tcp-raw", "TCP, without raw sockets, and says so", "tcp_raw"),
    ("--verify-ip", "always so, and says so", "verify_ip"),
    ("--version", "exit 0; on standard output, in massdns on standard error", "version"),
    ("-w --outfile", "a file in the place of standard output", "outfile"),
]


class Options:
    """Run once on each backend, below."""

    # Tries

    def test_resolve_count(self):
        for option in ("-c", "--resolve-count"):
            server = self.server(lambda query: None)
            done = self.run_at(server.address, "-o", "Je", option, "3", "-i", "20",
                               "--tcp-disabled")
            self.assertEqual([json.loads(line)["error"] for line in done.stdout.splitlines()],
                             ["TIMEOUT"] * 3)
            self.assertEqual(Counter(query.name for query in server.datagrams),
                             Counter({"a.test.": 3, "b.test.": 3, "c.test.": 3}))

    def test_interval(self):
        # As long as it has not passed there is one query; once it has, there are more.
        process, server = self.in_flight()
        support.wait_until(lambda: len(server.datagrams) == 3, "the queries")
        process.kill()
        process, server = self.in_flight("-i", "20", "--tcp-disabled")
        support.wait_until(lambda: len(server.datagrams) > 12, "the further tries")
        process.kill()

    def test_hashmap_size(self):
        process, server = self.in_flight("-s", "2")
        support.wait_until(lambda: len(server.datagrams) == 2, "the queries")
        time.sleep(0.1)
        self.assertEqual({query.name for query in server.datagrams}, {"a.test.", "b.test."})
        process.kill()
        self.assertEqual(self.run_at(self.server().address, "-o", "S", "--hashmap-size", "auto",
                                     "-s", "auto").returncode, 0)

    def codes(self, *arguments):
        """What becomes of names whose servers fail the first time."""
        (server,) = self.responder("refused.test. tries ..1 rcode REFUSED\nnx.test. tries ..1 "
                                   "rcode NXDOMAIN\nserv.test. tries ..1 rcode SERVFAIL\n"
                                   "* answer A hash\n")
        done = self.run_at(server, "-o", "J", *arguments,
                           names="refused.test\nnx.test\nserv.test\n")
        replies = map(json.loads, done.stdout.splitlines())
        return {reply["name"]: reply["status"] for reply in replies}

    def test_retry(self):
        refused, nx, serv = "refused.test.", "nx.test.", "serv.test."
        self.assertEqual(self.codes(), {refused: "NOERROR", nx: "NXDOMAIN", serv: "NOERROR"})
        self.assertEqual(self.codes("--retry", "never"),
                         {refused: "REFUSED", nx: "NXDOMAIN", serv: "SERVFAIL"})
        for some in (["--retry", "REFUSED", "--retry", "NXDOMAIN"], ["--retry", "5,3"]):
            self.assertEqual(self.codes(*some),
                             {refused: "NOERROR", nx: "NOERROR", serv: "SERVFAIL"})

    def asked(self, *arguments):
        """Which of four servers each name was asked at, in order; they all fail."""
        log = []

        def fail(number):
            def answer(query):
                log.append((query.name, number))
                return query.reply(flags=2)  # SERVFAIL
            return answer
        servers = [self.server(fail(number)) for number in range(4)]
        self.run_at(",".join(server.address for server in servers), "-c", "4", "-i",
                    support.FOREVER, *arguments)
        return {name: [number for asked, number in log if asked == name]
                for name in ("a.test.", "b.test.", "c.test.")}

    def test_sticky(self):
        for tries in self.asked("--sticky").values():
            self.assertEqual((len(tries), len(set(tries))), (4, 1))

    def test_predictable(self):
        self.assertEqual(self.asked("--predictable"), {
            "a.test.": [0, 1, 2, 3], "b.test.": [1, 2, 3, 0], "c.test.": [2, 3, 0, 1]})

    def test_extended_input(self):
        own, listed = self.server(), self.server()
        self.run_at(listed.address, "--extended-input", names=f"a.test {own.address}\nb.test\n")
        self.assertEqual([[query.name for query in server.datagrams] for server in (own, listed)],
                         [["a.test."], ["b.test."]])

    def test_norecurse(self):
        for arguments, desired in (([], True), (["-n"], False), (["--norecurse"], False)):
            server = self.server()
            self.run_at(server.address, *arguments)
            self.assertEqual({bool(query.flags & 0x0100) for query in server.datagrams}, {desired})

    def test_types(self):
        server = self.server()
        self.run_at(server.address, "-t", "MX", "--type", "28", "--types", "TYPE257", "-t", "A,MX",
                    names="a.test\n")
        self.assertEqual(Counter(query.type for query in server.datagrams),
                         Counter([15, 28, 257, 1]))

    def test_resolvers(self):
        server = self.server()
        listed = self.write("listed", f"# ours\n\n{server.address}\n{server.address}\n")
        for option, value in (("-r", listed), ("--resolvers", server.address)):
            done = self.run_ringdns(option, value, "-o", "L", stdin="a.test\n")
            self.assertEqual(done.stdout, b"a.test\n")
        twice = self.run_at(listed, "-r", listed)
        self.assertEqual((twice.returncode, len(twice.stderr.splitlines())), (1, 1))

    # Output

    def test_output(self):
        server = self.server()
        starts = {"F": b";; Server: ", "S": b"a.test. A 192.0.2.7\n", "L": b"a.test\n",
                  "J": b'{"name":"a.test."', "B": b"massdns\0", "Sq": b"a.test.  A\n"}
        for format, start in starts.items():
            done = self.run_at(server.address, "-q", "--output", format, names="a.test\n")
            self.assertTrue(done.stdout.startswith(start), (format, done.stdout))
        self.assertTrue(self.run_at(server.address).stdout.startswith(starts["F"]))  # the default

    def test_outfile(self):
        server = self.server()
        for option in ("-w", "--outfile"):
            path = self.write("out", "what was there before, and longer than what comes\n" * 9)
            done = self.run_at(server.address, "-o", "L", option, path)
            self.assertEqual(done.stdout, b"")
            with open(path) as file:
                self.assertEqual(sorted(file.read().split()), NAMES.split())

    def test_filter_and_ignore(self):
        (server,) = self.responder("a.test. rcode NXDOMAIN\nb.test. rcode REFUSED\n"
                                   "* answer A hash\n")
        for arguments, left in (
                (["--filter", "NXDOMAIN"], "a"), (["--filter", "OK"], "c"),
                (["--filter", "noerror"], "c"), (["--filter", "3", "--filter", "REFUSED"], "ab"),
                (["--filter", "3,5"], "ab"), (["--ignore", "0"], "ab"),
                (["--ignore", "OK", "--ignore", "NXDOMAIN"], "b"), (["--ignore", "OK,3"], "b")):
            formats = [("J", r'^{"name":"(\w)\.test')]
            if arguments[1] == "NXDOMAIN":
                formats += [("Sq", r"^(\w)\.test"), ("F", r"^(\w)\.test\. IN A$")]
            for format, name in formats:
                done = self.run_at(server, "--retry", "never", "-o", format, *arguments)
                found = re.findall(name, done.stdout.decode(), re.M)
                self.assertEqual("".join(sorted(set(found))), left, (arguments, format))
        for both in (["--filter", "OK", "--ignore", "3"], ["--ignore", "OK", "--filter", "OK"]):
            self.assertEqual(self.run_at(server, *both).returncode, 1)

    def test_flush(self):
        # Each write() is a packet of its own here. Without --flush those of 5 ms are one; with it
        # only those are that came while an earlier write was under way.
        names = "".join(name + "\n" for name in support.names(300))
        writes = []
        for arguments in (["--flush"], []):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
                process = self.start_ringdns("--io", self.io, "-q", "-r", self.server().address,
                                             "-o", "S", "-s", "1", *arguments,
                                             stdin=subprocess.PIPE, stdout=theirs)
                theirs.close()
                process.stdin.write(names.encode())
                process.stdin.close()
                packets = list(iter(lambda: ours.recv(1 << 20), b""))
                self.assertEqual(len(b"".join(packets).splitlines()), 300)
                self.assertTrue(all(packet.endswith(b"\n") for packet in packets))
                writes.append(len(packets))
        self.assertGreater(writes[0], 200)
        self.assertLess(writes[1], 200)

    def test_error_log(self):
        server, log = self.server(), self.path("log")
        for option in ("-l", "--error-log"):
            done = self.run_at(server.address, option, log, names="..\na.test\n")
            self.assertNotIn(b"line 1: ", done.stderr)
            with open(log) as file:
                self.assertRegex(file.read(), r"\Aringdns: line 1: .*\n\Z")
        self.assertIn(b"line 1: ", self.run_at(server.address, "-l", "-", names="..\n").stderr)
        self.assertEqual(self.run_at(server.address, "-l", "/nonexistent/log").returncode, 1)

    def test_quiet(self):
        server = self.server()
        self.assertIn(b"answered", self.run_at(server.address).stderr)
        for option in ("-q", "--quiet"):
            self.assertEqual(self.run_at(server.address, option).stderr, b"")

    def test_status_format(self):
        server = self.server()
        lines = self.run_at(server.address, "--status-format", "json").stderr.splitlines()
        self.assertEqual([json.loads(line)["processed_queries"] for line in lines][-1], 3)
        words = self.run_at(server.address, "--status-format", "ansi").stderr
        self.assertIn(b"names     3\n", words)

    # Process

    def test_processes(self):
        server, listed = self.server(), self.write("names", NAMES)
        names = NAMES.encode().split()
        done = self.run_at(server.address, "-o", "L", "--processes", "2")  # stdin and stdout
        self.assertEqual(sorted(done.stdout.split()), names)
        for count, files in (("3", 3), ("1", None), ("0", os.cpu_count())):
            out = self.path("out" + count)
            done = self.run_at(server.address, "-o", "L", "--processes", count, "-w", out, listed)
            self.assertEqual(done.returncode, 0, done.stderr)
            parts = [out] if files in (None, 1) else [out + str(i) for i in range(files)]
            self.assertEqual(sorted(name for name in os.listdir(self.dir)
                                    if name.startswith("out" + count)),
                             sorted(map(os.path.basename, parts)))
            content = b"".join(open(part, "rb").read() for part in parts)
            self.assertEqual(sorted(content.split()), names)

    @unittest.skipIf(os.geteuid() != 0, "only root has privileges to drop")
    def test_drop_user_and_group(self):
        daemon = pwd.getpwnam("daemon")
        for arguments, user, group in (
                ([], 65534, 65534), (["--root"], 0, 0),
                (["--drop-user", "daemon"], daemon.pw_uid, daemon.pw_gid),
                (["--drop-user", "daemon", "--drop-group", "bin"], daemon.pw_uid, 2),
                (["--drop-group", "bin"], 65534, 2)):
            process = self.live("-r", self.server().address, "--io", self.io, *arguments)
            process.ask("a.test")
            with open(f"/proc/{process.process.pid}/status") as status:
                ids = dict(re.findall(r"^(Uid|Gid|Groups):[ \t]*(.*?)[ \t]*$", status.read(), re.M))
            self.assertEqual(set(ids["Uid"].split()), {str(user)}, arguments)
            self.assertEqual(set(ids["Gid"].split()), {str(group)}, arguments)
            if user:
                self.assertEqual(ids["Groups"], "")
            process.finish()
        for bad in (["--drop-user", "no-such-user"], ["--drop-group", "no-such-group"]):
            done = self.run_at("127.0.0.1", *bad)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1))

    @unittest.skipIf(os.geteuid() != 0, "only root has privileges to drop")
    def test_outfile_is_opened_before_the_drop(self):
        os.mkdir(self.path("private"), 0o700)
        server, out = self.server(), self.path("private/out")
        for processes, files in (("1", [out]), ("2", [out + "0", out + "1"])):
            done = self.run_at(server.address, "-o", "L", "-w", out, "--processes", processes)
            self.assertEqual(done.returncode, 0, done.stderr)
            content = b"".join(open(file, "rb").read() for file in files)
            self.assertEqual(sorted(content.split()), NAMES.encode().split())

    def test_lines_that_are_names(self):
        # massdns takes the first two for types without a name, and drops them.
        lines = ["mx", "123", "b\u00fccher.test", "CaSe.test"]
        server = self.server()
        self.run_at(server.address, names="\n".join(lines))
        asked = [query.name.encode("latin-1").decode() for query in server.datagrams]
        self.assertEqual(sorted(asked), sorted(line + "." for line in lines))

    def test_errors_are_one_line(self):
        server = self.server().address
        empty = self.write("empty", "# none\n")
        for arguments in (["-r", server, "--no-such-option"], ["-r", server, "-t", "NOSUCH"],
                          ["-r", server, "/nonexistent/names"], ["-r", "/nonexistent/resolvers"],
                          ["-r", empty], ["-r", server, "-w", "/nonexistent/out"], ["-q"],
                          ["-r", server, "-l", "/nonexistent/log"], ["-r", server, "-r", server],
                          ["-r", server, "names", "more-names"], ["-r", server, "-i"],
                          ["-r", server, "-w", "/nonexistent/out", "--processes", "2"]):
            done = self.run_ringdns("--io", self.io, *arguments, stdin=NAMES)
            self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
            self.assertRegex(done.stderr, rb"\Aringdns: [^\n]+\n\Z", arguments)

    def test_help(self):
        for option in ("-h", "--help"):
            done = self.run_ringdns("-r", "nowhere", option)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"--resolvers", done.stdout)

    def test_version(self):
        done = self.run_ringdns("--version")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertRegex(done.stdout, rb"\Aringdns \d[\w.]*\n\Z")


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Options, OptionsCase):
    io = "io_uring"


class OnEpoll(Options, OptionsCase):
    io = "epoll"


class Table(unittest.TestCase):
    def test_every_option_has_its_test(self):
        for spellings, _, test in OPTIONS:
            self.assertTrue(any(hasattr(tests, "test_" + test) for tests in (Options, Network)),
                            spellings)

    def test_every_spelling_is_understood_behind_the_names(self):
        for spelling in " ".join(spellings for spellings, _, _ in OPTIONS).split():
            done = subprocess.run([support.RINGDNS, "names", spelling], capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=support.PATIENCE)
            self.assertNotIn(b"unknown option", done.stderr, spelling)

    @unittest.skipUnless(os.environ.get("MASSDNS_SOURCE"), "MASSDNS_SOURCE names no source")
    def test_the_table_is_that_of_massdns(self):
        with open(os.path.join(os.environ["MASSDNS_SOURCE"], "src", "main.c")) as source:
            theirs = set(re.findall(r'strcmp\(argv\[i\], "(--?[a-z][\w-]*)"\)', source.read()))
        self.assertEqual({word for row in OPTIONS for word in row[0].split()}, theirs)


if __name__ == "__main__":
    support.main()
