"""ringdns against the responder: every name once or counted, on both backends."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import unittest
from collections import Counter

import support

RULES = """
*.nx.test.      rcode NXDOMAIN
*.fail.test.    rcode SERVFAIL
*.silent.test.  drop
*.big.test.     truncate
*.test.         answer A hash
"""


def owners(stdout):
    return Counter(line.split(b" ", 1)[0].decode() for line in stdout.splitlines() if line)


class Resolve:
    """Run once on each backend, below."""

    def resolve(self, names, *arguments, rules=RULES, **kwargs):
        (server,) = self.responder(rules)
        return self.run_ringdns("--io", self.io, "-r", server, *arguments, stdin=names, **kwargs)

    def test_every_name_is_answered_once_or_counted_with_a_reason(self):
        for tcp in ([], ["--tcp-disabled"]):
            with self.subTest(tcp=tcp):
                self.check_outcomes(tcp)

    def check_outcomes(self, tcp):
        kinds = ["", ".nx", ".fail", ".silent", ".big"]
        names = [f"n{i}{kinds[i % 5]}.test" for i in range(5000)]
        done = self.resolve("\n".join(names), "-o", "Je", "-c", "2", "-i", "1500", *tcp)
        self.assertEqual(done.returncode, 0, done.stderr)
        replies = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(Counter(reply["name"] for reply in replies),
                         Counter(name + "." for name in names))
        big = "TRUNCATED" if tcp else "NOERROR"
        for reply in replies:
            kind = reply["name"].split(".")[1]
            outcome = reply.get("status") or reply["error"]
            expected = {"test": "NOERROR", "nx": "NXDOMAIN", "fail": "MAXRETRIES",
                        "silent": "TIMEOUT", "big": big}[kind]
            self.assertEqual(outcome, expected, reply)
            if kind == "big" and not tcp:
                self.assertEqual(reply["proto"], "TCP")
        figures = support.summary(done.stderr)
        answered = 2000 if tcp else 3000
        self.assertEqual((figures["names"], figures["answered"], figures["failed"]),
                         (5000, answered, 5000 - answered))
        self.assertRegex(done.stderr, rb"MAXRETRIES 1000")
        self.assertRegex(done.stderr, rb"TIMEOUT 1000")
        if tcp:
            self.assertRegex(done.stderr, rb"TRUNCATED 1000")

    def test_no_name_is_lost_under_5_percent_loss_each_way(self):
        names = [f"n{i}.test" for i in range(20000)]
        done = self.resolve("\n".join(names), "-o", "S", "-c", "50", "-i", "50", "-q",
                            rules="fault loss-in 5%\nfault loss-out 5%\n" + RULES)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(owners(done.stdout), Counter(name + "." for name in names))

    def test_no_name_is_lost_to_a_dead_and_a_silent_resolver_among_ten(self):
        servers = self.responder(RULES, listen=[f"127.0.0.{i}:0" for i in range(1, 9)])
        (silent,) = self.responder("* drop\n")
        closed = f"127.0.0.1:{support.free_port()}"
        resolvers = self.write("resolvers", "\n".join(servers + [silent, closed]))
        names = [f"n{i}.test" for i in range(20000)]
        done = self.run_ringdns("--io", self.io, "-r", resolvers, "-o", "S", "-i", "100",
                                stdin="\n".join(names))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(owners(done.stdout), Counter(name + "." for name in names))

    def test_a_list_of_dead_resolvers_ends_with_every_name_counted(self):
        closed = f"127.0.0.1:{support.free_port()},127.0.0.1:{support.free_port()}"
        done = self.run_ringdns("--io", self.io, "-r", closed, "-o", "Je", "-c", "3", "-i", "50",
                                stdin="a.test\nb.test\n")
        self.assertEqual(done.returncode, 0)
        errors = {json.loads(line)["error"] for line in done.stdout.splitlines()}
        self.assertEqual(errors, {"UNREACHABLE"})

    def test_duplicates_are_answered_once_per_line(self):
        names = ["same.test"] * 50 + ["other.test"] + ["Same.test"]
        done = self.resolve("\n".join(names), "-o", "S")
        self.assertEqual(owners(done.stdout),
                         Counter({"same.test.": 50, "other.test.": 1, "Same.test.": 1}))
        self.assertEqual(support.summary(done.stderr)["names"], 52)

    def test_several_types_types_on_lines_and_reverse_names(self):
        rules = "*.arpa. answer PTR host.test.\n* A answer A hash\n* AAAA answer AAAA hash\n" \
                "* MX answer MX 10 mail.test.\n"
        lines = "a.test\nMX b.test\nmx\n15\n15 c.test\nMx d.test\nPTR 192.0.2.1\nptr 2001:db8::1\n"
        done = self.resolve(lines, "-t", "A", "-t", "AAAA", "-o", "S", rules=rules)
        found = Counter(tuple(line.split()[:2]) for line in done.stdout.decode().splitlines())
        self.assertEqual(found, Counter([
            ("a.test.", "A"), ("a.test.", "AAAA"), ("b.test.", "MX"), ("mx.", "A"), ("mx.", "AAAA"),
            ("15.", "A"), ("15.", "AAAA"), ("c.test.", "MX"), ("d.test.", "MX"),
            ("1.2.0.192.in-addr.arpa.", "PTR"),
            ("1.0.0.0." + "0." * 20 + "8.b.d.0.1.0.0.2.ip6.arpa.", "PTR")]))

    def test_extended_input_asks_the_resolvers_of_the_line_first(self):
        (own,) = self.responder("*.test. answer A 192.0.2.77\n")
        (listed,) = self.responder("*.test. answer A 192.0.2.88\n")
        done = self.run_ringdns("--io", self.io, "-r", listed, "--extended-input", "-o", "S",
                                stdin=f"a.test {own}\nb.test\nA c.test {own}\nmx {own}\nd.test x\n")
        answers = dict(line.split()[::2] for line in done.stdout.decode().splitlines())
        self.assertEqual(answers["a.test."], "192.0.2.77")
        self.assertEqual(answers["b.test."], "192.0.2.88")
        self.assertEqual(answers["c.test."], "192.0.2.77")
        self.assertEqual(answers["d.test."], "192.0.2.88")

    def test_ipv6_resolver(self):
        (server,) = self.responder(RULES, listen=("[::1]:0",))
        done = self.run_ringdns("--io", self.io, "-r", server, "-o", "J", stdin="a.test\n")
        reply = json.loads(done.stdout)
        self.assertEqual((reply["status"], reply["resolver"]), ("NOERROR", server))

    def test_both_families_in_one_list(self):
        (v4,) = self.responder(RULES)
        (v6,) = self.responder(RULES, listen=("[::1]:0",))
        names = "\n".join(f"n{i}.test" for i in range(200))
        done = self.run_ringdns("--io", self.io, "-r", f"{v4},{v6}", "-o", "J", stdin=names)
        seen = Counter(json.loads(line)["resolver"] for line in done.stdout.splitlines())
        self.assertEqual(set(seen), {v4, v6})
        self.assertEqual(sum(seen.values()), 200)

    def test_predictable_takes_resolvers_in_turn_and_sticky_stays(self):
        servers = self.responder("*.fail.test. rcode SERVFAIL\n" + RULES,
                                 listen=[f"127.0.0.{i}:0" for i in range(1, 5)])
        names = "\n".join(f"n{i}.test" for i in range(8))
        done = self.run_ringdns("--io", self.io, "-r", ",".join(servers), "--predictable", "-o", "J",
                                stdin=names)
        for line in done.stdout.splitlines():
            reply = json.loads(line)
            index = int(re.match(r"n(\d+)", reply["name"]).group(1))
            self.assertEqual(reply["resolver"], servers[index % 4])

    def test_filter_and_ignore(self):
        names = "a.test\nb.nx.test\n"
        both = self.resolve(names, "-o", "J")
        self.assertEqual(len(both.stdout.splitlines()), 2)
        only = self.resolve(names, "-o", "J", "--filter", "NXDOMAIN")
        self.assertEqual([json.loads(x)["name"] for x in only.stdout.splitlines()], ["b.nx.test."])
        rest = self.resolve(names, "-o", "J", "--ignore", "NXDOMAIN")
        self.assertEqual([json.loads(x)["name"] for x in rest.stdout.splitlines()], ["a.test."])
        self.assertIn(b"1 answers not written", rest.stderr)

    def test_quiet_says_nothing(self):
        done = self.resolve("a.test\n", "-q", "-o", "S")
        self.assertEqual(done.stderr, b"")

    def test_a_slow_stdin_does_not_hold_up_answers(self):
        (server,) = self.responder(RULES)
        process = self.start_ringdns("--io", self.io, "-r", server, "-o", "S", "-q",
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("a.test", "b.test", "c.test"):
            process.stdin.write(name.encode() + b"\n")
            process.stdin.flush()
            # The answer comes while stdin stays open and silent.
            self.assertTrue(process.stdout.readline().startswith(name.encode() + b". A "))
        process.stdin.close()
        self.assertEqual(process.wait(support.PATIENCE), 0)

    def test_a_reader_that_does_not_read_loses_nothing(self):
        (server,) = self.responder(RULES)
        names = self.write("names", "".join(f"n{i}.test\n" for i in range(100000)))
        process = self.start_ringdns("--io", self.io, "-r", server, "-o", "S", "-q", names,
                                     stdout=subprocess.PIPE)
        first = process.stdout.read(10)
        time.sleep(1.5)  # longer than any query's interval: nothing may time out for it
        rest = process.stdout.read()
        self.assertEqual(process.wait(support.PATIENCE), 0)
        self.assertEqual(len(owners(first + rest)), 100000)

    def test_sigint_ends_the_input_and_says_where_to_go_on(self):
        (server,) = self.responder(RULES)
        process = self.start_ringdns("--io", self.io, "-r", server, "-o", "S",
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        process.stdin.write(b"a.test\nb.test\nlate.silent.test\n")
        process.stdin.flush()
        got = process.stdout.readline() + process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(set(owners(got + out)), {"a.test.", "b.test."})
        self.assertIn(b"interrupted: 3 input lines were taken; go on from line 4", err)
        self.assertIn(b"INTERRUPTED 1", err)

    def test_sigterm_twice_waits_for_nothing(self):
        (server,) = self.responder("* drop\n")
        process = self.start_ringdns("--io", self.io, "-r", server, "-o", "Je", "-i", "3600000",
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        process.stdin.write(b"a.test\n" * 3)
        process.stdin.flush()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 143)
        self.assertEqual([json.loads(x)["error"] for x in out.splitlines()], ["INTERRUPTED"] * 3)

    def test_processes_merge_whole_records_into_one_stdout(self):
        (server,) = self.responder(RULES)
        names = [f"n{i}{'.nx' if i % 3 == 0 else ''}.test" for i in range(50001)]
        done = self.run_ringdns("--io", self.io, "-r", server, "-o", "J", "--processes", "3",
                                stdin="\n".join(names) + "\nbad..name")
        self.assertEqual(done.returncode, 0, done.stderr)
        replies = Counter(json.loads(line)["name"] for line in done.stdout.splitlines())
        self.assertEqual(replies, Counter(name + "." for name in names))
        figures = support.summary(done.stderr)
        self.assertEqual((figures["names"], figures["answered"]), (50001, 50001))
        self.assertIn(b"line 50002: ", done.stderr)

    def test_processes_with_outfile_write_a_file_each(self):
        (server,) = self.responder(RULES)
        names = self.write("names", "".join(f"n{i}.test\n" for i in range(1000)))
        out = self.path("out")
        done = self.run_ringdns("--io", self.io, "-r", server, "-o", "S", "--processes", "2",
                                "-w", out, names)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(os.path.exists(out))
        parts = [open(out + str(i), "rb").read() for i in (0, 1)]
        self.assertEqual([len(part.splitlines()) for part in parts], [500, 500])
        self.assertEqual(len(owners(parts[0] + parts[1])), 1000)

    def test_processes_stop_together_on_sigint(self):
        (server,) = self.responder(RULES)
        process = self.start_ringdns("--io", self.io, "-r", server, "-o", "S", "--processes", "2",
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        process.stdin.write(b"a.test\nb.test\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn(b"2 input lines were taken; go on from line 3", err)

    def test_an_endless_list_runs_in_constant_memory(self):
        (server,) = self.responder(RULES)
        process = self.start_ringdns("--io", self.io, "-r", server, "-o", "S", "-q",
                                     stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        sizes, number = [], 0
        for _ in range(3):
            for _ in range(20):
                lines = "".join(f"n{number + i}.test\n" for i in range(5000))
                number += 5000
                process.stdin.write(lines.encode())
            process.stdin.flush()
            with open(f"/proc/{process.pid}/status") as status:
                sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)))
        process.stdin.close()
        self.assertEqual(process.wait(support.PATIENCE), 0)
        if not os.environ.get("RINGDNS_SANITIZED"):  # whose allocator keeps what is freed
            self.assertLess(sizes[2] - sizes[0], 4096, sizes)

    @unittest.skipIf(os.geteuid() != 0, "only root has privileges to drop")
    def test_root_drops_to_nobody(self):
        (server,) = self.responder(RULES)
        for arguments, uid in ((["-q"], 65534), (["--root", "-q"], 0)):
            process = self.start_ringdns("--io", self.io, "-r", server, "-o", "S", *arguments,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdin.write(b"a.test\n")
            process.stdin.flush()
            self.assertTrue(process.stdout.readline())
            with open(f"/proc/{process.pid}/status") as status:
                ids = re.search(r"Uid:\s+(.*)", status.read()).group(1).split()
            self.assertEqual(set(ids), {str(uid)})
            process.stdin.close()
            self.assertEqual(process.wait(support.PATIENCE), 0)

    def test_status_json_has_massdns_keys(self):
        (server,) = self.responder("*.test. delay 1500ms answer A hash\n")
        done = self.run_ringdns("--io", self.io, "-r", server, "-o", "S", "--status-format", "json",
                                "-i", "5000", stdin="a.test\n")
        lines = [line for line in done.stderr.splitlines() if line.startswith(b"{")]
        self.assertGreaterEqual(len(lines), 2)
        status = json.loads(lines[-1])
        self.assertEqual(list(status)[:4],
                         ["concurrency", "processed_queries", "received_packets", "progress"])
        self.assertEqual((status["processed_queries"], status["success_total"]), (1, 1))


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Resolve, support.Case):
    io = "io_uring"


class OnEpoll(Resolve, support.Case):
    io = "epoll"


class Choice(support.Case):
    def test_epoll_is_chosen_where_io_uring_is_denied(self):
        (server,) = self.responder(RULES)
        done = self.run_ringdns("-r", server, "-o", "S", stdin="a.test\n",
                                wrapper=[support.DENY_IO_URING])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(owners(done.stdout), Counter({"a.test.": 1}))
        self.assertRegex(done.stderr, rb"rate .* epoll")

    def test_io_uring_demanded_where_it_is_denied_is_an_error(self):
        done = self.run_ringdns("--io", "io_uring", "-r", "127.0.0.1:9", stdin="a.test\n",
                                wrapper=[support.DENY_IO_URING])
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"io_uring", done.stderr)


if __name__ == "__main__":
    support.main()
