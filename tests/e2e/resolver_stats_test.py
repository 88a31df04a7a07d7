"""--resolver-stats: what was learned of each resolver, told at the end."""

import json
import os

import support

NAMES = 60


class ResolverStats(support.Case):
    def setUp(self):
        super().setUp()
        (self.good,) = self.responder("*.test. answer A hash\n")
        (self.silent,) = self.responder("*.test. drop\n")
        (self.refusing,) = self.responder("*.test. rcode REFUSED\n")
        self.facts = self.path("facts.jsonl")

    def resolve(self, *arguments, resolvers=None):
        resolvers = resolvers or ",".join((self.good, self.silent, self.refusing))
        names = "".join(f"n{i}.test\n" for i in range(NAMES))
        return self.run_ringdns("-r", resolvers, "-o", "S", "-c", "20", "-i", "100",
                                *arguments, stdin=names)

    def read_facts(self):
        with open(self.facts) as file:
            return {facts["resolver"]: facts for facts in map(json.loads, file)}

    def check_facts(self):
        facts = self.read_facts()
        self.assertEqual(set(facts), {self.good, self.silent, self.refusing})
        good, silent, refusing = (facts[who] for who in (self.good, self.silent, self.refusing))
        self.assertEqual(good["answered"], NAMES)
        self.assertEqual(good["rcodes"]["NOERROR"], good["replies"])
        self.assertEqual(good["rtt_us"]["count"] > 0, True)
        self.assertLessEqual(good["rtt_us"]["p50"], good["rtt_us"]["p99"])
        self.assertGreater(silent["timeouts"], 0)
        self.assertEqual((silent["answered"], silent["replies"], silent["rcodes"]), (0, 0, {}))
        self.assertGreater(refusing["rcodes"]["REFUSED"], 0)
        self.assertEqual(refusing["answered"], 0)
        for one in facts.values():
            self.assertGreaterEqual(one["sent"], one["replies"])

    def test_json_lines(self):
        stats = self.path("stats")
        done = self.resolve("-q", "--resolver-stats", self.facts, "--stats", stats)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_facts()
        with open(stats) as file:
            udp = json.load(file)["udp"]
        self.assertEqual(sum(one["sent"] for one in self.read_facts().values()), udp["sent"])

    def test_processes_are_added_up(self):
        done = self.resolve("-q", "--resolver-stats", self.facts, "--processes", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_facts()

    def test_table_on_standard_error(self):
        done = self.resolve("-q", "--resolver-stats", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        head, *rows = done.stderr.decode().splitlines()
        self.assertEqual(head.split()[:3], ["resolver", "sent", "answered"])
        self.assertEqual({row.split()[0] for row in rows},
                         {self.good, self.silent, self.refusing})
        self.assertEqual(rows[0].split()[0], self.silent)

    def test_a_failed_write_is_told(self):
        done = self.resolve("--resolver-stats", "/dev/full", resolvers=self.good)
        self.assertEqual(done.returncode, 1)
        self.assertIn("writing to /dev/full failed", done.stderr.decode())

    def test_a_file_that_is_read_is_not_overwritten(self):
        listed = self.path("resolvers")
        with open(listed, "w") as file:
            file.write(self.good)
        done = self.resolve("--resolver-stats", listed, resolvers=listed)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--resolver-stats would overwrite -r", done.stderr.decode())
        self.assertEqual(os.path.getsize(listed), len(self.good))


if __name__ == "__main__":
    support.main()
