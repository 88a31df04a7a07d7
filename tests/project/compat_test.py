"""The contract with those who call massdns (massdns-compat.md), clause by clause, and the tests that
hold ringdns to it. A test that is renamed or dropped leaves its clause without one: that fails."""

import os
import re
import unittest

TESTS = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))

OPTIONS, CALLERS = "e2e/massdns_options_test.py", "e2e/callers_test.py"
NETWORK = "e2e/massdns_network_test.py"
SCRIPTS = "e2e/massdns_scripts_test.py"
RESOLVE, BAD = "e2e/resolve_test.py", "e2e/bad_input_test.py"
FORMATS, ROBUST, PARSING = ("golden/formats_test.cpp", "golden/robustness_test.cpp",
                            "unit/options_test.cpp")
RDATA, LISTS, WIRE = "unit/rdata_test.cpp", "unit/resolvers_test.cpp", "unit/wire_test.cpp"

CONTRACT = [
    # Command line
    ("every option, short and long, the undocumented ones too",
     (OPTIONS, "every_option_has_its_test"), (OPTIONS, "every_spelling_is_understood")),
    ("--opt=value, glued and clustered options, before and after the names",
     (PARSING, "options stand before and after the names")),
    ("the names: a file, - or nothing",
     (SCRIPTS, "a_script_in_the_common_ways"), (PARSING, "the defaults are massdns's")),
    ("--sndbuf 0, --rcvbuf 0", (NETWORK, "socket_buffers"), (CALLERS, "oneforall")),
    ("response codes by name, OK, number, never, comma list",
     (OPTIONS, "retry"), (OPTIONS, "filter_and_ignore"), (PARSING, "--retry: names, numbers")),
    ("-r: a file, a pipe, -, a comma list; comments, blank lines, duplicates",
     (BAD, "resolvers_from_a_pipe"), (BAD, "resolvers_from_stdin"), (OPTIONS, "resolvers"),
     (CALLERS, "readme_with_process_substitution"), (LISTS, "comments, blank lines, CRLF"),
     (LISTS, "duplicates collapse"), (LISTS, "a comma list")),
    ("record types by mnemonic, number, TYPEn; several, a comma list", (OPTIONS, "types")),
    ("--help exits 0; no arguments: help, exit 1",
     (OPTIONS, "help"), (BAD, "no_arguments_is_help_and_failure")),
    ("what cannot be run is one line, exit 1", (OPTIONS, "errors_are_one_line")),
    ("failures of names never change the exit code",
     (RESOLVE, "every_name_is_answered_once_or_counted"), (CALLERS, "shuffledns_keeps_a_chunk")),
    ("a failed write always does, with the count",
     (BAD, "full_disk"), (BAD, "closed_pipe"), (CALLERS, "puredns_gives_up")),
    ("--processes: OUT0 ..., or merged", (OPTIONS, "processes"),
     (RESOLVE, "processes_merge_whole_records"), (RESOLVE, "processes_with_outfile")),
    ("root drops to nobody:nogroup, after the output was opened", (OPTIONS, "drop_user_and_group"),
     (OPTIONS, "outfile_is_opened_before_the_drop")),
    ("lines: name, TYPE name, a bare mx or 123, resolvers, an address for PTR",
     (RESOLVE, "several_types_types_on_lines"), (RESOLVE, "extended_input"),
     (OPTIONS, "lines_that_are_names")),
    ("trailing dot, CRLF, blanks, blank lines, any length", (BAD, "crlf_blanks_trailing_dots"),
     (BAD, "a_10_mb_line")),
    ("what cannot be encoded is told by its line, and counted",
     (BAD, "names_that_cannot_be_asked"), (WIRE, "names that cannot be encoded")),
    ("bytes as given, no change of case", (OPTIONS, "lines_that_are_names"), (BAD, "case_is_kept")),
    # Outputs
    ("the letters and their flags", (PARSING, "-o F, B, L, J"), (PARSING, "-o S: any flag"),
     (OPTIONS, "output")),
    ("S: three fields; the question's own name, until a flag", (FORMATS, "S: the question's own"),
     (FORMATS, "S with sections"), (SCRIPTS, "a_script_in_the_common_ways")),
    ("l: one blank line for each accepted reply, none for a name given up",
     (FORMATS, "S with l"), (CALLERS, "puredns")),
    ("q, r, t, i, s", (FORMATS, "S with q and r"), (FORMATS, "S with t, i, s")),
    ("F: the lines, the flags in their order, IPv6 in brackets", (FORMATS, "F: like dig's"),
     (SCRIPTS, "single_lookup"), (SCRIPTS, "single_lookup_at_an_ipv6_resolver"),
     (CALLERS, "axiom")),
    ("L, L0", (FORMATS, "L: names that have an answer")),
    ("J: keys and their order; a; e; always valid", (FORMATS, "J: massdns's keys"),
     (FORMATS, "J with a"), (FORMATS, "J with e"), (ROBUST, "damaged packets")),
    ("B: the header and the packets, as dnsparse.py reads them", (FORMATS, "B: the header"),
     (SCRIPTS, "binary")),
    ("status once a second unless -q, with massdns's keys", (RESOLVE, "status_json_has_massdns"),
     (OPTIONS, "status_format"), (OPTIONS, "quiet"), (CALLERS, "recon")),
    ("where massdns is wrong: escapes, quotes, unknown types, DNSSEC, bad names",
     (RDATA, "rdata of every type"), (RDATA, "character-strings are quoted"),
     (RDATA, "unknown types"), (RDATA, "a name that is malformed"), (WIRE, "names to text")),
    ("class CH, extended codes, no OPT; case; TXT; strings", (FORMATS, "F, where ours is right"),
     (FORMATS, "S, where ours is right"), (FORMATS, "J, TXT")),
    # Callers
    ("puredns", (CALLERS, "puredns"), (CALLERS, "puredns_progress_is_what_was_taken")),
    ("shuffledns", (CALLERS, "shuffledns")),
    ("bbot", (CALLERS, "bbot"), (CALLERS, "bbot_stops_it_with_sigint")),
    ("OneForAll", (CALLERS, "oneforall"), (CALLERS, "oneforall_quietly")),
    ("massdns's recon.py", (CALLERS, "recon"), (CALLERS, "recon_lists_what_failed")),
    ("massdns's README", (CALLERS, "readme_with_process_substitution")),
    ("axiom", (CALLERS, "axiom")),
    ("massdns's own shell tests", (SCRIPTS, "ignore_code_json"),
     (SCRIPTS, "dedicated_resolvers_json"), (SCRIPTS, "single_lookup")),
    # Signals
    ("SIGINT, SIGTERM: no more input, what is in flight to its end, where to go on, 130 or 143",
     (RESOLVE, "sigint_ends_the_input"), (RESOLVE, "sigterm_twice_waits_for_nothing"),
     (CALLERS, "bbot_stops_it_with_sigint")),
    ("with --processes the same for all", (RESOLVE, "processes_stop_together_on_sigint")),
]


def names_of_tests(path):
    with open(os.path.join(TESTS, path)) as file:
        text = file.read()
    return re.findall(r'TEST_CASE\("(.*?)"\)|def test_(\w+)\(', text)


class Contract(unittest.TestCase):
    def test_every_clause_has_its_tests(self):
        for clause, *places in CONTRACT:
            self.assertTrue(places, clause)
            for path, name in places:
                with self.subTest(clause=clause, path=path, name=name):
                    self.assertTrue(any(found.startswith(name) for pair in names_of_tests(path)
                                        for found in pair if found))


if __name__ == "__main__":
    unittest.main(verbosity=2)
