"""-o Z: an object for every input line, in zdns's schema."""

import json
import re
import signal
import subprocess
import time
from collections import Counter

import support

RULES = """
*.nx.test.       rcode NXDOMAIN ; authority test. SOA ns.test. host.test. 1 3600 600 86400 300
*.fail.test.     rcode SERVFAIL
*.refused.test.  rcode REFUSED
*.silent.test.   drop
*.big.test. TXT  answer TXT size 30000
*.half.test. A   rcode NXDOMAIN
zone.test. AXFR  transfer 3000
chain.test.      answer CNAME b.test. ; b.test. A 192.0.2.1 ; additional ns.test. A 192.0.2.53
*.test.          answer A hash ; AAAA hash ; MX 10 mail.test. ; TXT "a" "b"
*.arpa.          answer PTR host.test.
"""

FLAGS = {"authenticated": bool, "authoritative": bool, "checking_disabled": bool,
         "error_code": int, "opcode": int, "recursion_available": bool,
         "recursion_desired": bool, "response": bool, "truncated": bool}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def sorted_object(pairs):
    keys = [key for key, _ in pairs]
    assert keys == sorted(set(keys)), f"keys {keys}"
    return dict(pairs)


class Zdns(support.Case):
    def setUp(self):
        super().setUp()
        self.server = self.serve(RULES)

    # Every line that any test gets goes through these.

    def parse(self, output):
        self.assertTrue(output.endswith(b"\n") or not output)
        objects = [json.loads(line.decode("ascii"), object_pairs_hook=sorted_object)
                   for line in output.splitlines()]
        for line in objects:
            self.assertLessEqual({"class", "name", "results"}, set(line))
            self.assertLessEqual(set(line), {"altered_name", "class", "name", "results"})
            self.assertEqual(line["class"], "IN")
            self.assertTrue(line["results"])
            for result in line["results"].values():
                self.assertIsResult(result)
        return objects

    def assertIsResult(self, result):
        self.assertLessEqual({"duration", "status", "timestamp"}, set(result))
        self.assertLessEqual(set(result), {"data", "duration", "error", "status", "timestamp"})
        self.assertIsInstance(result["duration"], float)
        self.assertRegex(result["timestamp"], TIMESTAMP)
        if result["status"] == "ILLEGAL_INPUT":
            return self.assertNotIn("data", result)
        data = dict(result["data"])
        self.assertEqual({key: type(value) for key, value in data.pop("flags").items()}, FLAGS)
        self.assertIn(data.pop("protocol"), ("udp", "tcp", ""))
        self.assertIsInstance(data.pop("resolver"), str)
        for section, records in data.items():
            self.assertIn(section, ("answers", "authorities", "additionals"))
            self.assertTrue(records)
            for record in records:
                self.assertIn("type", record)
                if not record["type"].startswith("EDNS"):
                    self.assertLessEqual({"class", "name", "ttl"}, set(record))

    def resolve(self, lines, *arguments):
        if not isinstance(lines, bytes):
            lines = "".join(line + "\n" for line in lines).encode()
        run = self.count(self.server.address, lines, "-o", "Z", "-q", *arguments)
        return self.parse(run.stdout)

    def statuses(self, objects):
        return {line["name"]: {key: result["status"] for key, result in line["results"].items()}
                for line in objects}

    # Outcomes

    def test_every_outcome(self):
        begun = time.monotonic()
        objects = self.resolve(["a.test", "x.nx.test", "x.fail.test", "x.refused.test",
                                "x.silent.test", "a..b"], "-c", 2, "-i", 100)
        whole = time.monotonic() - begun
        self.assertEqual(self.statuses(objects),
                         {"a.test": {"A": "NOERROR"}, "x.nx.test": {"A": "NXDOMAIN"},
                          "x.fail.test": {"A": "SERVFAIL"}, "x.refused.test": {"A": "REFUSED"},
                          "x.silent.test": {"A": "TIMEOUT"}, "a..b": {"A": "ILLEGAL_INPUT"}})
        results = {line["name"]: line["results"]["A"] for line in objects}
        self.assertEqual({name: result.get("error") for name, result in results.items()},
                         {"a.test": None, "x.nx.test": None, "x.fail.test": "MAXRETRIES",
                          "x.refused.test": "MAXRETRIES", "x.silent.test": "TIMEOUT",
                          "a..b": "empty label"})
        (address,) = results["a.test"]["data"]["answers"]
        self.assertEqual((address["name"], address["type"], address["ttl"]), ("a.test", "A", 300))
        for name in ("a.test", "x.nx.test", "x.fail.test", "x.silent.test"):
            data = results[name]["data"]
            self.assertEqual((data["protocol"], data["resolver"]), ("udp", self.server.address))
        self.assertEqual(results["x.nx.test"]["data"]["authorities"][0]["min_ttl"], 300)
        self.assertEqual(results["x.refused.test"]["data"]["flags"]["error_code"], 5)
        self.assertGreater(results["x.silent.test"]["duration"], 0.15)
        for result in results.values():
            self.assertLess(result["duration"], whole)

    def test_retry_never_takes_the_first_word(self):
        (line,) = self.resolve(["x.fail.test"], "--retry", "never")
        self.assertEqual(line["results"]["A"]["status"], "SERVFAIL")
        self.assertNotIn("error", line["results"]["A"])

    def test_truncated_over_udp_and_complete_over_tcp(self):
        (line,) = self.resolve(["x.big.test"], "-t", "TXT")
        data = line["results"]["TXT"]["data"]
        self.assertEqual((data["protocol"], data["flags"]["truncated"]), ("tcp", False))
        self.assertGreater(len(data["answers"][0]["answer"]), 29000)
        (line,) = self.resolve(["x.big.test"], "-t", "TXT", "--tcp-disabled", "-c", 2)
        self.assertEqual(line["results"]["TXT"]["status"], "TRUNCATED")

    def test_nobody_there(self):
        run = self.count(f"127.0.0.1:{support.free_port()}", "a.test\n", "-o", "Z", "-q", "-c", 1)
        (line,) = self.parse(run.stdout)
        self.assertEqual(line["results"]["A"]["status"], "ERROR")
        self.assertEqual(line["results"]["A"]["error"], "UNREACHABLE")

    def test_a_chain_and_edns(self):
        (line,) = self.resolve(["chain.test"], "--nsid", "--dnssec-ok")
        data = line["results"]["A"]["data"]
        self.assertEqual([(r["type"], r["name"], r["answer"]) for r in data["answers"]],
                         [("CNAME", "chain.test", "b.test."), ("A", "b.test", "192.0.2.1")])
        glue, edns = data["additionals"]
        self.assertEqual(glue["answer"], "192.0.2.53")
        self.assertEqual(edns, {"flags": "do", "nsid": {"nsid": "responder"}, "type": "EDNS0",
                                "udpsize": 1232, "version": 0})

    # Lines

    def test_illegal_input_is_answered_as_it_stands(self):
        long = b"x" * 70000
        lines = [b"a..b", b"two words", b"\xff\xc3\xa4\"\\\x01..", long, b"MX y..z", b"", b"  "]
        objects = self.resolve(b"\n".join(lines) + b"\n", "-t", "A,PTR")
        self.assertEqual(Counter(line["name"] for line in objects),
                         Counter(["a..b", "two words", "\\255ä\"\\\x01..", "x" * 65536, "y..z"]))
        for line in objects:
            wanted = {"MX"} if line["name"] == "y..z" else {"A", "PTR"}
            self.assertEqual(set(line["results"]), wanted)
            for result in line["results"].values():
                self.assertEqual(result["status"], "ILLEGAL_INPUT")

    def test_several_types_are_one_object(self):
        objects = self.resolve(["a.test", "MX b.test", "x.half.test", "192.0.2.7"],
                               "-t", "TXT,A,PTR,AAAA")
        self.assertEqual(self.statuses(objects),
                         {"a.test": dict.fromkeys(("A", "AAAA", "PTR", "TXT"), "NOERROR"),
                          "b.test": {"MX": "NOERROR"},
                          "x.half.test": {"A": "NXDOMAIN", "AAAA": "NOERROR", "PTR": "NOERROR",
                                          "TXT": "NOERROR"},
                          "192.0.2.7": {"A": "REFUSED", "AAAA": "REFUSED", "PTR": "NOERROR",
                                        "TXT": "REFUSED"}})
        results = {line["name"]: line["results"] for line in objects}
        self.assertEqual(results["a.test"]["TXT"]["data"]["answers"][0]["answer"], "a\nb")
        self.assertEqual(results["b.test"]["MX"]["data"]["answers"][0]["preference"], 10)
        (pointer,) = results["192.0.2.7"]["PTR"]["data"]["answers"]
        self.assertEqual((pointer["name"], pointer["answer"]),
                         ("7.2.0.192.in-addr.arpa", "host.test."))

    def test_more_types_than_may_be_in_flight(self):
        types = "A,AAAA,MX,TXT,NS,SOA,PTR,SRV,CAA,DS,DNSKEY,NAPTR"
        objects = self.resolve(support.names(20), "-s", 1, "-t", types)
        self.assertEqual(len(objects), 20)
        for line in objects:
            self.assertEqual(set(line["results"]), set(types.split(",")))

    def test_duplicates_each_have_theirs_as_they_are_spelt(self):
        lines = ["a.test", "a.test.", r"\097.test", "A.test"] * 50 + ["AAAA a.test"]
        objects = self.resolve(lines, "-t", "A,MX")
        self.assertEqual(Counter((line["name"], line.get("altered_name"), *line["results"])
                                 for line in objects),
                         {("a.test", None, "A", "MX"): 50, ("a.test.", "a.test", "A", "MX"): 50,
                          (r"\097.test", None, "A", "MX"): 50, ("A.test", None, "A", "MX"): 50,
                          ("a.test", None, "AAAA"): 1})

    def test_large_results_for_many_lines_and_a_reader_that_comes_late(self):
        names = self.write("names", "x.big.test\n" * 400 + "a.test\n" * 400)
        process = self.start_ringdns("-r", self.server.address, "-q", "-o", "Z", "-s", 200,
                                     "-t", "A,TXT", names, stdout=subprocess.PIPE)
        support.wait_until(lambda: self.server.totals()["tcp_replies"] > 0, "the first large reply")
        output, _ = process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(Counter(line["name"] for line in self.parse(output)),
                         {"x.big.test": 400, "a.test": 400})

    def test_a_filtered_reply_is_not_written(self):
        lines = ["a.test", "x.nx.test", "x.half.test", "x.silent.test", "a..b"]
        how = ("-t", "A,MX", "-c", 1, "-i", 100)
        self.assertEqual(self.statuses(self.resolve(lines, "--filter", "NOERROR", *how)),
                         {"a.test": {"A": "NOERROR", "MX": "NOERROR"},
                          "x.half.test": {"MX": "NOERROR"},
                          "x.silent.test": {"A": "TIMEOUT", "MX": "TIMEOUT"},
                          "a..b": {"A": "ILLEGAL_INPUT", "MX": "ILLEGAL_INPUT"}})

    def test_processes_share_the_lines(self):
        lines = support.names(300) + ["a..b", "x.nx.test"] * 10
        objects = self.resolve(lines, "--processes", 3, "-t", "A,MX")
        self.assertEqual(Counter(line["name"] for line in objects), Counter(lines))
        self.assertEqual({tuple(line["results"]) for line in objects}, {("A", "MX")})

    def test_a_zone_is_an_object_for_each_message(self):
        objects = self.resolve(["AXFR zone.test", "a.test", "AXFR x.refused.test"], "-c", 1)
        zone = [line for line in objects if line["name"] == "zone.test"]
        self.assertGreater(len(zone), 2)
        records = [record for line in zone
                   for record in line["results"]["AXFR"]["data"]["answers"]]
        self.assertEqual(Counter(record["type"] for record in records), {"A": 3000, "SOA": 2})
        self.assertEqual(self.statuses(objects)["x.refused.test"], {"AXFR": "REFUSED"})
        self.assertEqual(len(objects), len(zone) + 2)

    # The end

    def test_output_that_cannot_be_written_ends_the_run(self):
        names = "".join(f"n{i}.test\n" for i in range(5000))
        done = self.run_ringdns("-r", self.server.address, "-q", "-o", "Z", "-t", "A,MX,TXT",
                                "-s", 10, "-w", "/dev/full", stdin=names)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"results were not written", done.stderr)

    def interrupted(self, *arguments):
        """Feeds names that are not answered, then interrupts: (taken lines, lookups, objects)."""
        names = "".join(f"n{i}.silent.test\n" for i in range(1000))
        stats = self.path("stats")
        process = self.start_ringdns("-r", self.server.address, "-q", "-o", "Z", "--stats", stats,
                                     *arguments, self.write("names", names),
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        support.wait_until(lambda: self.server.totals()["udp_queries"] > 0, "a query")
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 130, error)
        with open(stats) as file:
            lookups = json.load(file)["names"]
        taken = int(re.search(rb"(\d+) input lines were taken", error).group(1))
        return taken, lookups, self.parse(output)

    def test_interrupted_every_line_taken_has_its_object(self):
        taken, lookups, objects = self.interrupted("-s", 20, "-i", 300, "-c", 1)
        self.assertEqual(sorted(line["name"] for line in objects),
                         sorted(f"n{i}.silent.test" for i in range(taken)))
        self.assertEqual(taken, lookups)
        self.assertEqual({line["results"]["A"]["status"] for line in objects}, {"TIMEOUT"})

    def test_interrupted_in_the_midst_of_a_line_that_has_what_was_asked(self):
        types = ["A", "AAAA", "MX"]
        taken, lookups, objects = self.interrupted("-s", 4, "-t", ",".join(types), "-i", 300)
        expected = {f"n{i}.silent.test": types for i in range(taken)}
        if lookups % 3:  # four fit in flight: the second line has one of its three
            expected[f"n{taken}.silent.test"] = types[:lookups % 3]
        self.assertEqual({line["name"]: list(line["results"]) for line in objects}, expected)
        self.assertIn("INTERRUPTED", {result["error"] for line in objects
                                      for result in line["results"].values()})


if __name__ == "__main__":
    support.main()
