"""--check-resolvers: a list with every kind of resolver in it, and which of them come out."""

import json

from support import Case, main

HONEST = "known.test. answer A 192.0.2.1\n*.zone.test. rcode NXDOMAIN\n"
FAULTS = {
    "does not answer": "* drop",
    "does not resolve names": "* rcode REFUSED",
    "invents answers for names that do not exist": "*.zone.test. answer A 192.0.2.99",
    "gives other answers for known names": "known.test. answer A 192.0.2.99",
    "does not keep the case of the question": "* flip-case answer A 192.0.2.1",
    "does not answer EDNS": "* with-edns drop",
}
NO_EDNS = ["* with-edns no-opt rcode FORMERR", "* with-edns header-only rcode FORMERR",
           "known.test. no-opt answer A 192.0.2.1"]


class CheckResolvers(Case):
    def setUp(self):
        super().setUp()
        # Server 1 and 2 are honest, the others have a fault each.
        self.faults = [*FAULTS.items(), *(("does not answer EDNS", rule) for rule in NO_EDNS)]
        plan = HONEST
        for number, (_, rule) in enumerate(self.faults, 3):
            first = "*.zone.test. flip-case rcode NXDOMAIN\n" if "flip-case" in rule else ""
            plan += f"server {number}\n{first}{rule}\n"
        count = len(self.faults) + 2
        self.servers = self.serve(plan, listen=["127.0.0.1:0"] * count)
        self.trusted = self.serve(HONEST)
        self.good, self.bad = self.servers.addresses[:2], self.servers.addresses[2:]

    def check(self, resolvers, *arguments):
        listed = self.write("list", "\n".join(resolvers))
        return self.run_ringdns("--check-resolvers", "-r", listed, "--check-names", "known.test",
                                "--check-zones", "zone.test", "-i", "1000", *arguments)

    def assertReasons(self, done):
        expected = sorted(f"ringdns: {address} {fault}"
                          for address, (fault, _) in zip(self.bad, self.faults))
        self.assertEqual(sorted(done.stderr.decode().splitlines()), expected)

    def test_the_good_come_out_and_the_others_with_their_reasons(self):
        for io in ("auto", "epoll"):
            done = self.check(self.servers.addresses, "--trusted", self.trusted.address, "--io", io)
            self.assertEqual(done.stdout.decode().splitlines(), self.good)
            self.assertReasons(done)
            self.assertEqual(done.returncode, 0)

    def test_without_trusted_ones_the_majority_tells(self):
        done = self.check(self.servers.addresses, "-w", self.path("good"))
        self.assertReasons(done)
        self.assertEqual(done.stdout, b"")
        with open(self.path("good")) as file:
            self.assertEqual(file.read().splitlines(), self.good)

    def test_one_at_a_time_finds_the_same(self):
        done = self.check(self.servers.addresses, "--trusted", self.trusted.address, "-s", "1")
        self.assertEqual(done.stdout.decode().splitlines(), self.good)
        self.assertReasons(done)

    def test_json_has_every_finding(self):
        done = self.check([self.good[0], self.bad[2]], "--trusted", self.trusted.address, "-o", "J",
                          "-q")
        good, liar = map(json.loads, done.stdout.splitlines())
        self.assertEqual(set(good.values()), {self.good[0], True, "good"})
        self.assertEqual((liar["good"], liar["nxdomain"], liar["known_names"]),
                         (False, "bad", "good"))
        self.assertEqual(done.stderr, b"")

    def test_none_good_is_exit_code_1(self):
        done = self.check(self.bad, "--trusted", self.trusted.address, "-q")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, b"", b""))

    def test_two_lost_queries_condemn_nobody(self):
        server = self.serve("* first 2 drop\n" + HONEST)
        done = self.check([server.address], "--trusted", self.trusted.address)
        self.assertEqual(done.stdout.decode().split(), [server.address])

    def test_what_is_wrong_with_the_options_is_told(self):
        for option, value in (("--check-names", "a..b"), ("--check-zones", ",".join("abcdefghi")),
                              ("--check-names", ""), ("--trusted", self.path("none"))):
            done = self.check(self.good, option, value)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(b"ringdns: ", done.stderr)


if __name__ == "__main__":
    main()
