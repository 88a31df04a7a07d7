"""Little memory, few descriptors, and what valgrind has to say. TSan would have nothing to say: a
process has one thread."""

import os
import resource
import shutil
import subprocess
import unittest

import support

SUPPRESSIONS = os.path.join(os.path.dirname(__file__), "valgrind.supp")
SANITIZED = bool(os.environ.get("RINGDNS_SANITIZED"))
PLAN = """
*.large.test.  truncate answer A hash
*.fails.test.  rcode SERVFAIL
*.long.test.   oversize answer TXT size 4000
*.odd.test.    rdlength-past-end answer A hash
*.test.        answer A hash
"""


def mixed(count):
    zones = ("large.test", "fails.test", "long.test TXT", "odd.test", "test", "test", "nothing..")
    lines = (f"n{i}.{zones[i % len(zones)]}" for i in range(count))
    return "".join(" ".join(reversed(line.split())) + "\n" for line in lines)


class Limited:
    """Run once on each backend, below."""

    def limited(self, megabytes, *arguments):
        def limit():
            if megabytes:
                resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        out = self.path("out")
        done = subprocess.run([support.RINGDNS, "--io", self.io, "-q", "-l", "/dev/null", "-c", "3",
                               "-o", "Je", "-w", out, *arguments],
                              capture_output=True, preexec_fn=limit, timeout=support.PATIENCE)
        with open(out) as file:
            return done, file.read().count("\n")

    @unittest.skipIf(SANITIZED, "the sanitizers' own memory knows no such limit")
    def test_memory_that_suffices_or_does_not(self):
        count = 3500
        names = self.write("names", mixed(count))
        servers = self.write("servers", "\n".join(self.responder(PLAN, "--servers", 20)) + "\n")
        outcomes = []
        for megabytes in (200, 120, 100, 80, 70, 60, 55, 50, 45, 40, 30, 20):
            done, lines = self.limited(megabytes, "-s", "2000", "-r", servers, names)
            if done.returncode == 0:
                self.assertEqual(lines, count // 7 * 6, f"{megabytes} MB")
            else:
                self.assertEqual(done.returncode, 1, (megabytes, done.stderr))
                self.assertRegex(done.stderr.decode(), r"^(ringdns: .*|.*shared librar.*)\n$")
            outcomes.append(done.returncode)
        self.assertEqual(outcomes, sorted(outcomes))  # more never hurts
        self.assertEqual((outcomes[1], outcomes[-1]), (0, 1))  # 120 MB are enough, 20 are not

    def test_64_descriptors_for_500_servers(self):
        server = self.serve("* truncate answer A hash\n", "--servers", 500)
        servers = self.write("servers", "\n".join(server.addresses) + "\n")
        names = self.write("names", "".join(f"n{i}.test\n" for i in range(2000)))
        done, lines = self.limited(None, "-r", servers, "--tcp-connections", "300", names)
        self.assertEqual((done.returncode, lines), (0, 2000), done.stderr)


class OnIoUring(Limited, support.Case):
    io = "io_uring"

    @classmethod
    def setUpClass(cls):
        if not support.io_uring_works():
            raise unittest.SkipTest("io_uring is not permitted here")


class OnEpoll(Limited, support.Case):
    io = "epoll"


@unittest.skipIf(SANITIZED, "valgrind does not run what is built with sanitizers")
@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
class Valgrind(support.Case):
    """On epoll: valgrind 3.19 does not know what io_uring's operations write. Without the sandbox,
    which leaves no room for valgrind's own calls."""

    def memcheck(self, lines, *arguments):
        server = self.responder(PLAN, "--seed", 1)[0]
        done = self.run_ringdns(
            "--io", "epoll", "--no-sandbox", "-q", "-r", server, "-s", "50", "-c", "2", *arguments,
            stdin=lines,
            wrapper=["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=all",
                     "--errors-for-leak-kinds=all", "--error-exitcode=99",
                     f"--suppressions={SUPPRESSIONS}"])
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def test_all_formats_and_both_transports(self):
        for output in ("Je", "Snudmtlisqr"):
            written = self.memcheck(mixed(70), "-o", output)
            self.assertIn(b"10.", written)


if __name__ == "__main__":
    support.main()
