"""The seven callers of massdns-compat.md: each with its exact argument vector, and a reader that
does what its source does (callers.py)."""

import json
import os
import subprocess
import time
import time
import unittest

import callers
import support
from callers import AsMassdns, found, hash_address, kind_of, names_of_all_kinds


class Callers:
    """Run once on each backend, below."""

    def expected(self, names):
        return {name: found(name) for name in names if found(name)}

    # puredns

    def puredns(self, names, *more, output="out"):
        reader = callers.SlowLines(names, per_turn=40)
        process = self.start_massdns(
            "-q", "-r", self.resolvers(), "-o", "Snl", "-t", "A", "--root", "--retry", "REFUSED",
            "--retry", "SERVFAIL", "-w", self.path(output), *more, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        reader.feed(process.stdin)
        return reader, process.wait(support.PATIENCE)

    def test_puredns(self):
        self.assertEqual(self.massdns("--help", stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL).returncode, 0)
        names = names_of_all_kinds(700)
        for more in ([], ["-s", "300"]):
            with self.subTest(more=more):
                reader, code = self.puredns(names, *more)
                self.assertEqual((code, reader.taken), (0, 700))
                with open(self.path("out")) as file:
                    cache = callers.PurednsCache(file)
                    counts = []
                    while count := cache.read(most=150):  # it fills its wildcard cache in batches
                        counts.append(count)
                self.assertEqual(cache.found, self.expected(names))
                # A blank line for each reply, NXDOMAIN and empty ones too, and for no failure.
                blank = self.content("out").splitlines().count("")
                self.assertEqual(blank, sum(kind_of(name) != "refused" for name in names))
                self.assertEqual(counts, [150, 150, 100])

    def test_puredns_gives_up_when_the_output_cannot_be_written(self):
        self.assertNotEqual(self.puredns(["a.test"], output="no/such/directory")[1], 0)
        os.symlink("/dev/full", self.path("full"))
        self.assertNotEqual(self.puredns(["a.test"], output="full")[1], 0)

    def test_puredns_progress_is_what_was_taken_from_it(self):
        # What is taken has begun, but for what a pipe and a buffer hold: not the whole list.
        (silent,) = self.responder("* drop\n")
        process = self.start_massdns("-q", "-r", self.lines("silent", [silent]), "-o", "Snl", "-t",
                                     "A", "--root", "--retry", "REFUSED", "--retry", "SERVFAIL",
                                     "-w", self.path("out"), "-s", "10", stdin=subprocess.PIPE)
        os.set_blocking(process.stdin.fileno(), False)
        line, taken, refused = b"x" * 50 + b".test\n", 0, 0
        while refused < 50:
            try:
                taken += os.write(process.stdin.fileno(), line * 100)
                refused = 0
                self.assertLess(taken, 4 << 20)
            except BlockingIOError:
                refused += 1
                time.sleep(0.01)
        process.kill()

    # shuffledns

    def test_shuffledns(self):
        names = names_of_all_kinds(3000)
        resolvers, hosts = self.resolvers(), {}
        for number, more in enumerate(([], [], ["-i", "900"])):  # --massdns-cmd adds to the end
            chunk = self.lines(f"chunk-{number}", names[number * 1000:][:1000])
            with open(self.path("stdout"), "wb") as stdout:
                done = self.massdns("-r", resolvers, "-o", "Snl", "--retry", "REFUSED", "--retry",
                                    "SERVFAIL", "-t", "A", chunk, "-s", "500", *more,
                                    stdin=subprocess.DEVNULL, stdout=stdout,
                                    stderr=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 0)
            with open(self.path("stdout")) as file:
                hosts.update(callers.shuffledns_hosts(file))
        self.assertEqual(hosts, {name: [data for kind, data in records if kind == "A"]
                                 for name, records in self.expected(names).items()})

    def test_shuffledns_keeps_a_chunk_of_nothing_but_failures_and_rubbish(self):
        chunk = self.lines("chunk", ["a.refused.test", "..", "x" * 300, "two words", "", "b.test"])
        done = self.massdns("-r", self.resolvers(), "-o", "Snl", "--retry", "REFUSED", "--retry",
                            "SERVFAIL", "-t", "A", chunk, "-s", "500", stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(callers.shuffledns_hosts(done.stdout.decode().splitlines(True)),
                         {"b.test": [hash_address("b.test")]})

    # bbot

    def bbot(self, names, **how):
        arguments = ["-r", self.resolvers(), "-s", "1000", "-t", "A", "-o", "J", "-q"]
        return callers.Bbot(self, arguments, names, "test", **how)

    def test_bbot(self):
        names = names_of_all_kinds(5000)
        bbot = self.bbot(names)
        self.assertEqual(bbot.run(), 0)
        self.assertEqual(bbot.hosts, {
            name: ("CNAME", "web.test.") if kind_of(name) == "alias" else records[0]
            for name, records in self.expected(names).items()})

    def test_bbot_stops_it_with_sigint(self):
        endless = (f"n{i}.test" for i in range(10 ** 9))
        bbot = self.bbot(endless, enough=500)
        self.assertEqual(bbot.run(), 130)
        self.assertGreaterEqual(len(bbot.hosts), 500)
        self.assertEqual({host: ("A", hash_address(host)) for host in bbot.hosts}, bbot.hosts)

    # OneForAll

    def oneforall(self, quiet=""):
        names = names_of_all_kinds(1400)
        dictionary = self.lines("generated_subdomains.txt", names)
        command = (f'massdns {quiet} --status-format ansi --processes 1 --socket-count 1 '
                   f'--hashmap-size 2000 --resolvers {self.resolvers()} --resolve-count 15 '
                   f'--type A --flush --output J --outfile {self.path("result.json")} --root '
                   f'--error-log {self.path("massdns.log")} {dictionary} --filter OK '
                   f'--sndbuf 0 --rcvbuf 0')
        done = self.shell(command)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(callers.oneforall_hosts(self.path("result.json")), {
            name: [data for kind, data in records if kind == "A"]
            for name, records in self.expected(names).items()})
        self.assertEqual((self.content("massdns.log"), done.stdout), ("", ""))
        return done

    def test_oneforall(self):
        self.oneforall()

    def test_oneforall_quietly(self):
        self.assertEqual(self.oneforall("--quiet").stderr, "")

    # massdns's recon.py

    RECON_ZONE = """
    *.sub.zone.test.   no-aa rcode NOERROR ; authority sub.zone.test. NS ns.sub.zone.test.
    *.gone.zone.test.  rcode NXDOMAIN ; authority zone.test. SOA ns.test. host.test. 1 2 3 4 5
    *.none.zone.test.  rcode NOERROR ; authority zone.test. SOA ns.test. host.test. 1 2 3 4 5
    late.zone.test.    over udp drop
    late.zone.test.    delay 500ms answer A hash
    *.zone.test.       answer A hash
    """

    def recon(self, zone, names, processes, *flags, interval="500", count="50"):
        output = self.path(f"output-{processes}-{len(flags)}-")
        return callers.Recon(self, [
            "-o", *(flags or ["Je"]), "--retry", "never", "-r", self.resolvers(zone), "-w", output,
            "--status-format", "json", "--processes", processes, "-t", "A", "-s", "auto",
            "-i", interval, "-c", count, self.lines("permutations", names)],
            output, processes, "zone.test")

    def test_recon(self):
        there = [f"n{i}.zone.test" for i in range(200)] + ["late.zone.test"]
        empty = [f"n{i}.none.zone.test" for i in range(50)]
        gone = [f"n{i}.gone.zone.test" for i in range(50)]
        below = ["www.sub.zone.test", "sub.sub.zone.test"]
        for processes, flags in ((1, []), (2, ["Je", "--filter", "NOERROR"])):
            with self.subTest(processes=processes, flags=flags):
                recon = self.recon(self.RECON_ZONE, there + empty + gone + below, processes, *flags)
                self.assertEqual(recon.exit_code, 0)
                self.assertEqual(recon.found, set(there + empty + ([] if flags else gone)))
                self.assertEqual(recon.delegated, {"sub.zone.test"})
                self.assertEqual(recon.failed, set())
                # A line a second: at least one while the late name was out, and the last word.
                self.assertGreaterEqual(len(recon.progress), 2)
                self.assertEqual(recon.progress, sorted(recon.progress))
                self.assertEqual(recon.progress[-1], 303)

    def test_recon_lists_what_failed_whatever_the_filter(self):
        for flags in ([], ["Je", "--filter", "NOERROR"]):
            recon = self.recon("udp refuse\ntcp refuse\n* drop\n",
                               ["a.zone.test", "b.zone.test"], 2, *flags, interval="50", count="2")  # which are its own options
            self.assertEqual((recon.exit_code, recon.failed), (0, {"a.zone.test", "b.zone.test"}))

    # massdns's README: authoritative servers from a script, through process substitution

    def test_readme_with_process_substitution(self):
        zone = "*.aa.test. answer A hash\n*.ra.test. rcode REFUSED\n"
        first, second = self.responder(zone, listen=("127.0.0.1:0", "127.0.0.2:0"))
        os.mkdir(self.path("scripts"))
        self.write("scripts/auth-addrs.sh",  # as the real one: slow, a block for each server
                   f'#!/bin/bash\necho "{first}"\nsleep 0.2\necho "{second}"\n')
        os.chmod(self.path("scripts/auth-addrs.sh"), 0o755)
        names = [f"n{i}.aa.test" for i in range(100)]
        self.lines("example-com-subdomains.txt", names)
        done = self.shell("massdns -r <(./scripts/auth-addrs.sh example.com) --norecurse -o Je "
                          "example-com-subdomains.txt > results.txt")
        self.assertEqual(done.returncode, 0, done.stderr)
        replies = [json.loads(line) for line in self.content("results.txt").splitlines()]
        self.assertEqual(sorted(reply["name"] for reply in replies),
                         sorted(name + "." for name in names))
        self.assertEqual({reply["resolver"] for reply in replies}, {first, second})
        self.assertTrue(all("aa" in reply["flags"] and "rd" not in reply["flags"]
                            for reply in replies))

    # axiom

    def test_axiom(self):
        names = names_of_all_kinds(210)
        self.lines("input", names)
        self.resolvers()
        done = self.massdns("-r", "resolvers.txt", "-t", "A", "-o", "F", "input", "-w", "output",
                            stdin=subprocess.DEVNULL, capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        replies = callers.read_full_text(self.content("output"))
        self.assertEqual({reply["question"]: reply["status"] for reply in replies}, {
            f"{name}. IN A": "NXDOMAIN" if kind_of(name) == "gone" else "NOERROR"
            for name in names if kind_of(name) != "refused"})
        for reply in replies:
            name = reply["question"].split()[0].rstrip(".")
            answers = [tuple(line.split()[3:5]) for line in reply["records"].get("ANSWER", [])]
            self.assertEqual([(kind, data.rstrip(".")) for kind, data in answers], found(name))
            self.assertEqual(reply["answers"], len(answers))
            self.assertEqual(reply["flags"], ["qr", "aa", "rd", "ra"])


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Callers, AsMassdns):
    io = "io_uring"


class OnEpoll(Callers, AsMassdns):
    io = "epoll"

    def test_io_uring_is_denied_to_it(self):
        done = self.massdns("-r", self.resolvers(), "-o", "S", input=b"a.test\n",
                            capture_output=True)
        self.assertIn(b", epoll", done.stderr)


if __name__ == "__main__":
    support.main()
