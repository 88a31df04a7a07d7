"""scripts/count_results.py: what the closing line of scripts/test says."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

COUNT = os.path.join(os.path.dirname(__file__), "../../scripts/count_results.py")

DOCTEST = ("[doctest] doctest version is \"2.4.9\"\n"
           "===\n[doctest] test cases: {cases} | {passed} passed | {failed} failed | 3 skipped\n"
           "[doctest] assertions: 900 | 899 passed | 1 failed |\n[doctest] Status: x\n")


def unittest_text(ran, closing):
    return f"test_a (x) ... ok\n\n{'-' * 70}\nRan {ran} tests in 1.234s\n\n{closing}\n"


class Counting(unittest.TestCase):
    def count(self, *tests):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
            for number, test in enumerate(tests):
                log.write(json.dumps({"name": f"test {number}", "result": "OK", "returncode": 0,
                                      **test}) + "\n")
            log.flush()
            done = subprocess.run([sys.executable, COUNT, log.name], capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines(), done.returncode

    def check(self, closing, code, *tests):
        lines, found = self.count(*tests)
        self.assertEqual((lines[-1], found), (closing, code))
        return lines

    def test_cases_are_counted_not_programs(self):
        lines = self.check("19 passed, 0 failed", 0,
                           {"stdout": DOCTEST.format(cases=12, passed=12, failed=0)},
                           {"stderr": unittest_text(7, "OK")})
        self.assertEqual(len(lines), 1)

    def test_a_program_that_counts_nothing_is_one_case(self):
        self.check("1 passed, 0 failed", 0, {"stdout": "fine\n"})
        self.check("0 passed, 1 failed", 1, {"result": "FAIL", "returncode": 1})
        self.check("1 passed, 0 failed, 1 skipped", 0, {}, {"result": "SKIP", "returncode": 77})

    def test_skipped_cases_are_told(self):
        self.check("5 passed, 0 failed, 2 skipped", 0, {"stderr": unittest_text(7, "OK (skipped=2)")})

    def test_failures_and_errors_are_failures_and_their_output_is_shown(self):
        lines = self.check("3 passed, 3 failed, 1 skipped", 1, {
            "result": "FAIL", "returncode": 1, "stdout": "what it said\n",
            "stderr": unittest_text(7, "FAILED (failures=2, errors=1, skipped=1)")})
        self.assertIn("what it said", lines)
        self.assertIn("--- test 0: FAIL (exit code 1)", lines)
        self.check("11 passed, 1 failed", 1,
                   {"result": "FAIL", "stdout": DOCTEST.format(cases=12, passed=11, failed=1)})

    def test_a_crash_after_passing_cases_is_a_failure(self):
        for result in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS"):
            self.check("12 passed, 1 failed", 1,
                       {"result": result, "stdout": DOCTEST.format(cases=12, passed=12, failed=0)})

    def test_an_unexpected_success_is_a_failure(self):
        self.check("1 passed, 1 failed", 1,
                   {"result": "FAIL", "stderr": unittest_text(2, "FAILED (unexpected successes=1)")})

    def test_several_runs_in_one_program_and_colours(self):
        coloured = DOCTEST.format(cases=2, passed="\x1b[32m2", failed=0)
        self.check("5 passed, 0 failed", 0, {"stdout": coloured,
                                             "stderr": unittest_text(3, "OK")})

    def test_nothing_run_is_no_success(self):
        self.check("0 passed, 0 failed", 1)
        self.check("0 passed, 0 failed, 1 skipped", 1, {"result": "SKIP"})

    def test_long_output_is_cut_at_its_end(self):
        lines = self.check("0 passed, 1 failed", 1,
                           {"result": "FAIL", "stdout": "".join(f"{i}\n" for i in range(5000))})
        self.assertIn("4999", lines)
        self.assertLess(len(lines), 300)


if __name__ == "__main__":
    unittest.main(verbosity=2)
