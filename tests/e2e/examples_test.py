"""The manual's EXAMPLES and the README's, run as they stand, but for their addresses."""

import gzip
import os
import re
import subprocess

import support

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
RULES = r"""
example.com.  AXFR  transfer 5
*.arpa.             answer PTR host.example.com.
*             MX    answer MX 10 mail.example.com.
*             DNSKEY answer DNSKEY \# 7 0100030d414243
*                   answer A hash
"""
NAMES = ["example.com", "www.example.com", "mail.example.com", "ftp.example.com"]


def examples_of_manual():
    """The command lines of EXAMPLES, as a terminal shows them."""
    with open(os.path.join(ROOT, "man", "ringdns.1")) as page:
        section = re.search(r"^\.Sh EXAMPLES\n(.*?)^\.Sh ", page.read(), re.M | re.S)[1]
    for escape, text in ((r"\(dq", '"'), (r"\e", "\\"), (r"\&", "")):
        section = section.replace(escape, text)
    return re.findall(r"^\.Dl \$ (.*)$", section, re.M)


def examples_of_readme():
    with open(os.path.join(ROOT, "README.md")) as page:
        section = re.search(r"^## Use\n(.*?)^## ", page.read(), re.M | re.S)[1]
    return re.findall(r"^    (.*)$", section, re.M)


class Examples(support.Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("bin"))
        os.symlink(os.path.abspath(support.RINGDNS), self.path("bin/ringdns"))
        self.servers = self.responder(RULES, listen=("127.0.0.1:0", "127.0.0.2:0"))
        self.write("resolvers.txt", "\n".join(self.servers) + "\n")
        self.write("names.txt", "\n".join(NAMES) + "\n")
        self.write("addresses.txt", "192.0.2.1\n2001:db8::1\n")
        with gzip.open(self.path("names.gz"), "wt") as file:
            file.write("\n".join(NAMES) + "\n")

    def run_example(self, command):
        """Runs it; returns what it wrote, to wherever."""
        if "--unresolved" not in command:  # what an earlier run may have left
            self.write("rest", NAMES[0] + "  # TIMEOUT after 50 tries\n")
        servers = {"192.0.2.1": self.servers[0], "192.0.2.2": self.servers[1],
                   "192.0.2.53": self.servers[0]}
        command = re.sub(r"\b192\.0\.2\.\d+\b", lambda found: servers[found[0]], command)
        before = {name: os.stat(self.path(name)).st_mtime_ns for name in os.listdir(self.dir)}
        done = subprocess.run(["bash", "-c", "set -o pipefail; " + command], cwd=self.dir,
                              env={**os.environ, "PATH": self.path("bin:") + os.environ["PATH"]},
                              capture_output=True, stdin=subprocess.DEVNULL, text=True,
                              timeout=support.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue("-q" in command or "--completion" in command or
                        re.search(r"^failed +0 ", done.stderr, re.M), done.stderr)
        written = done.stdout
        for name in os.listdir(self.dir):
            if before.get(name) != os.stat(self.path(name)).st_mtime_ns:
                with open(self.path(name)) as file:
                    written += file.read()
        return written

    def check(self, examples):
        for command in examples:
            with self.subTest(command=command):
                written = self.run_example(command)
                if "--completion" not in command:  # of which the shell sees nothing
                    self.assertRegex(written, r"example\.com|\A(10\.\d+\.\d+\.\d+\n)+\Z")
                    self.assertNotIn('"error":', written)

    def test_examples_of_the_manual(self):
        examples = examples_of_manual()
        self.assertGreaterEqual(len(examples), 14)
        self.check(examples)

    def test_examples_of_the_readme(self):
        examples = examples_of_readme()
        self.assertGreaterEqual(len(examples), 5)
        self.check(examples)


if __name__ == "__main__":
    support.main()
