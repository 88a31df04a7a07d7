"""Scripts that call massdns: its own shell tests with local servers in the place of Google's and
Cloudflare's, the reader of its binary format, and a script that uses it in the common ways."""

import ipaddress
import json
import re
import struct
import subprocess
import time
import unittest

import callers
import support
from callers import AsMassdns, ZONE, found, hash_address, names_of_all_kinds

A = "google-public-dns-a.google.com"
B = "google-public-dns-b.google.com"
GOOGLE = f"""
{A}.              no-aa answer A 8.8.8.8
{B}.              no-aa answer A 8.8.4.4
one.one.one.one.  no-aa answer A 1.1.1.1 ; A 1.0.0.1
google.com.       no-aa answer A hash
domain.invalid.   no-aa rcode NXDOMAIN
"""


class Scripts:
    """Run once on each backend, below."""

    # massdns/tests/*/run.sh, whose patterns are taken whole here, not line by line as by its grep

    def json_of(self, *arguments):
        done = self.massdns(*arguments, stdin=subprocess.DEVNULL, capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_ignore_code_json(self):
        servers = self.resolvers(GOOGLE)
        names = self.lines("names.txt", ["google.com", "domain.invalid"])
        for code, left in (("NOERROR", "domain.invalid."), ("NXDOMAIN", "google.com.")):
            replies = self.json_of("-c", "3", "--quiet", "-r", servers, "-o", "J", "--ignore", code,
                                   names)
            self.assertEqual([reply["name"] for reply in replies], [left])

    def test_dedicated_resolvers_json(self):
        listed, google, cloudflare = self.responder(
            GOOGLE, listen=[f"127.0.0.{i}:0" for i in (1, 2, 3)])
        dead = f"0.0.0.0:{support.free_port()}"
        names = self.lines("names.txt", ["one.one.one.one", f"{A} {dead} {dead} {google}",
                                         f"{B} {dead} {dead} {cloudflare}"])
        replies = self.json_of("--extended-input", "-c", "50", "-r", self.lines("r", [listed]),
                               "--quiet", "-o", "J", names)
        self.assertEqual({reply["name"]: reply["resolver"] for reply in replies},
                         {A + ".": google, B + ".": cloudflare, "one.one.one.one.": listed})

    def full_text(self, server, names, **run):
        done = self.massdns("-c", "3", "--quiet", "-r", self.lines("google-dns.txt", [server]),
                            *names, capture_output=True, **run)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        # The packet's own count of additional records: it has an OPT record, as the query had.
        self.assertRegex(done.stdout.decode(), "^" + "\n".join([
            ";; Server: " + re.escape(server), ";; Size: [0-9]+", ";; Unix time: [0-9]+",
            ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: [0-9]+",
            ";; flags: qr rd ra ; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1", "",
            ";; QUESTION SECTION:", f"{A}. IN A", "", ";; ANSWER SECTION:",
            f"{A}. 300 IN A 8.8.8.8"]) + "\n")

    def test_single_lookup(self):
        names = self.lines("names.txt", [A])
        (server,) = self.responder(GOOGLE)
        self.full_text(server, [names], stdin=subprocess.DEVNULL)
        self.full_text(server, [], input=A.encode() + b"\n")  # cat names.txt | massdns ...

    def test_single_lookup_at_an_ipv6_resolver(self):
        (server,) = self.responder(GOOGLE, listen=("[::1]:0",))
        self.full_text(server, [self.lines("names.txt", [A])], stdin=subprocess.DEVNULL)

    # massdns/scripts/dnsparse.py

    def check_binary(self, path, servers, names, since):
        results = callers.read_binary(path)
        for when, address, port, packet in results:
            self.assertTrue(since <= when <= time.time())
            server = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            self.assertIn(server, servers)
            flags, questions, answers = struct.unpack_from(">3H", packet, 2)
            self.assertTrue(flags & 0x8000 and questions == 1)
            (name,) = [name for name in names if question_of(name) in packet]
            addresses = [ipaddress.ip_address(data).packed for kind, data in found(name)
                         if kind == "A"]
            self.assertTrue(all(octets in packet for octets in addresses))
            self.assertEqual(answers, len(found(name)))
        return len(results)

    def test_binary(self):
        since = int(time.time())
        servers = self.responder(ZONE, listen=("127.0.0.1:0", "[::1]:0"))
        names = [name for name in names_of_all_kinds(70) if ".refused." not in name]
        listed, resolvers = self.lines("names", names), self.lines("both", servers)
        done = self.massdns("-r", resolvers, "-o", "B", listed, "-w", "out", capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.check_binary(self.path("out"), servers, names, since), 60)
        octets = self.content("out", "rb")
        with self.assertRaises((ValueError, struct.error)):
            callers.read_binary(self.write("cut", octets[:-1]))

        done = self.massdns("-r", resolvers, "-o", "B", "--processes", "2", "-w", "part", listed,
                            capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        parts = [self.check_binary(self.path(f"part{i}"), servers, names, since) for i in (0, 1)]
        self.assertEqual(sum(parts), 60)

    # In the ways that scripts on the web use massdns

    SCRIPT = r"""
        set -euo pipefail
        fail() { echo "failed: $*"; exit 3; }

        command -v massdns >/dev/null || fail "not in PATH"
        massdns --help >/dev/null 2>&1 || fail "--help"
        massdns --version 2>&1 | grep -q . || fail "--version"

        massdns -r resolvers.txt -t A domains.txt > to-stdout.txt 2>/dev/null
        massdns -r resolvers.txt -t A -w to-file.txt domains.txt 2>/dev/null
        massdns -r resolvers.txt -t A -o S domains.txt 2>/dev/null | sort > simple.txt
        cat domains.txt | massdns -r resolvers.txt -t A -o S -w from-stdin.txt 2>/dev/null
        massdns -r resolvers.txt -t A -o S -w from-dash.txt - < domains.txt 2>/dev/null
        massdns -q -s 100 -c 5 -i 200 -r resolvers.txt -t A -o L domains.txt |
          sort -u > alive.txt
        massdns -q -r resolvers.txt -t A -o Snq domains.txt |
          awk '$2 == "A" && NF == 3 { print $1 }' | sed 's/\.$//' | sort -u > with-address.txt
        massdns -q -r resolvers.txt -t A -o J -w json.txt domains.txt
        massdns -q -r resolvers.txt -t TXT -o St domains.txt > texts.txt
        massdns -q -r resolvers.txt -t MX -o Sm -w mx.txt domains.txt
        printf '%s\n' www mail ftp | sed 's/$/.test/' |
          massdns -q -r resolvers.txt -t A -o S > brute.txt
        massdns -q -r <(grep -v '^#' resolvers.txt) -t A -o Sn domains.txt | wc -l > count.txt

        massdns -q -r no-such-file -o S domains.txt 2>error.txt && fail "no resolvers"
        [ "$(wc -l < error.txt)" -eq 1 ] || fail "one line of error"
        massdns > no-arguments.txt 2>&1 && fail "no arguments"
        grep -q -e --resolvers no-arguments.txt || fail "help"
        echo done
    """

    def test_a_script_in_the_common_ways(self):
        names = [f"{prefix}{kind}.test" for prefix in ("www", "mail", "ftp")
                 for kind in ("", ".alias", ".gone", ".empty")]
        names = [name for name in names if name not in ("www.test", "mail.test", "ftp.test")]
        names += ["www.test", "mail.test", "ftp.test"]
        self.resolvers()
        self.lines("domains.txt", names)
        done = self.shell(self.SCRIPT)
        self.assertEqual((done.stdout, done.returncode), ("done\n", 0), done.stderr)
        self.assertEqual(done.stderr, "")

        for name in ("to-stdout.txt", "to-file.txt"):
            replies = callers.read_full_text(self.content(name))
            self.assertEqual(sorted(reply["question"] for reply in replies),
                             sorted(f"{name}. IN A" for name in names))
        direct = sorted(f"{name}. A {hash_address(name)}" for name in ("www.test", "mail.test",
                                                                       "ftp.test"))
        # Plain -o S: records of the name itself, so an alias shows its CNAME only.
        simple = sorted(direct + [f"{name}. CNAME web.test." for name in names if "alias" in name])
        for name in ("simple.txt", "from-stdin.txt", "from-dash.txt"):
            self.assertEqual(sorted(self.content(name).splitlines()), simple)
        alive = sorted(name for name in names if "gone" not in name and "empty" not in name)
        self.assertEqual(self.content("alive.txt").splitlines(), alive)
        self.assertEqual(self.content("with-address.txt").splitlines(),
                         sorted(["ftp.test", "mail.test", "web.test", "www.test"]))
        replies = [json.loads(line) for line in self.content("json.txt").splitlines()]
        counts = {reply["name"]: len(reply["data"].get("answers", [])) for reply in replies}
        self.assertEqual(counts, {name + ".": len(found(name)) for name in names})
        texts = self.content("texts.txt").splitlines()
        self.assertIn('www.test. IN 300 TXT "a text with blanks"', texts)
        self.assertIn("www.test. MX 10 mail.test.", self.content("mx.txt").splitlines())
        self.assertEqual(sorted(self.content("brute.txt").splitlines()), direct)
        self.assertEqual(int(self.content("count.txt")), sum(len(found(name)) for name in names))


def question_of(name):
    """Its name and A, IN as a query has them."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0\0\1\0\1"


@unittest.skipUnless(support.io_uring_works(), "io_uring is not permitted here")
class OnIoUring(Scripts, AsMassdns):
    io = "io_uring"


class OnEpoll(Scripts, AsMassdns):
    io = "epoll"


if __name__ == "__main__":
    support.main()
