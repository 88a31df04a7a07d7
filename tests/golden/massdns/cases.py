"""The cases: small lists that are asked in other ways than the one list, or whose lines lead to
other questions, or to none. Those that differences.py names go otherwise in ringdns."""

from scenario import case

LOSE = ("-i", "50", "-c", "1")    # milliseconds: where ringdns waits in vain
WAIT = ("-i", "2000", "-c", "1")  # where massdns does

CASES = [
    # ---- Alike
    case("IPv6", "*.nx.test. rcode NXDOMAIN\n*.test. answer A hash ; authority test. NS ns.test.",
         "a.test\nb.test\nc.nx.test", formats="Sr F J B L", server="[::1]:0"),
    case("several types",
         "a.test. answer A 192.0.2.1 ; AAAA 2001:db8::1 ; MX 10 mx.test.\n"
         "b.test. rcode NXDOMAIN\n* answer PTR host.test.",
         "a.test\nb.test\n192.0.2.1", "-t", "A", "-t", "AAAA", "-t", "MX", "-t", "PTR",
         formats="S Sq Snlqr F J B L"),
    case("no recursion", "* answer A hash", "a.test", "--norecurse", formats="Sr F J B"),
    case("duplicates", "* delay 20ms answer A hash", "a.test\na.test\na.test\na.test\na.test",
         "-s", "100", formats="S Snl L F J B"),
    case("duplicates that fail", "* delay 20ms rcode SERVFAIL", "a.test\na.test\na.test",
         "-s", "100"),
    case("filter", "a.test. rcode NXDOMAIN\nb.test. answer A 192.0.2.1\nc.test. rcode SERVFAIL",
         "a.test\nb.test\nc.test", "--filter", "NXDOMAIN", formats="Sr Je L0"),
    case("ignore", "a.test. rcode NXDOMAIN\nb.test. answer A 192.0.2.1\nc.test. rcode SERVFAIL",
         "a.test\nb.test\nc.test", "--ignore", "NXDOMAIN", formats="Sr Je L0"),
    case("retries", "*.one.test. tries 1 rcode REFUSED\n*.one.test. answer A hash\n"
         "a.test. rcode SERVFAIL\nb.test. rcode REFUSED\nc.test. rcode FORMERR\nd.test. rcode 15\n"
         "e.test. rcode NXDOMAIN\nf.test. rcode NOERROR",
         "a.test\nb.test\nc.test\nd.test\ne.test\nf.test\ng.one.test", formats="Sr Je"),
    case("no retries", "a.test. rcode SERVFAIL\nb.test. rcode REFUSED", "a.test\nb.test",
         "--retry", "never", formats="Sr Je"),
    case("silence", "* drop", "AAAA a.test", *LOSE, formats="S Je"),
    case("two questions", "* two-questions answer A hash", "a.test", *LOSE),
    case("trailing octets", "* trailing 3 answer A 192.0.2.1", "a.test", formats="F J Snud"),

    # ---- Otherwise in ringdns
    case("truncated", "* truncate full answer A 192.0.2.1", "a.test", "--tcp-disabled",
         formats="Sr Je"),
    case("edns", "* answer A 192.0.2.1", "a.test", formats="F"),
    case("verified", "class.test. wrong-class answer A 192.0.2.1\n"
         "opcode.test. wrong-opcode answer A 192.0.2.1\nquery.test. not-a-reply answer A 192.0.2.1",
         "class.test\nopcode.test\nquery.test", *LOSE, formats="S Je"),
    case("source", "* wrong-port answer A 192.0.2.1", "a.test", *LOSE, formats="S"),
    case("case of the question", "* flip-case answer A 192.0.2.1", "a.test", *WAIT, formats="S Je"),
    case("bare replies", "* header-only rcode SERVFAIL", "a.test", *WAIT),
    case("extended rcodes", "* opt rcode BADVERS", "a.test", formats="Sr Je"),
    case("longest name", "* answer A 192.0.2.1", ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61]),
         *WAIT, formats="S Je"),
    case("blanks", "* answer A 192.0.2.1", r"\x20a.test" "\n" r"\x09A  b.test", formats="S"),
    case("empty line", "* answer A 192.0.2.1", r"a.test\x0a\x20\x0ab.test", *WAIT, formats="S Je"),
    case("bare types", "* answer A 192.0.2.1", "mx\n123\naaaa", formats="S"),
    case("words", "* answer A 192.0.2.1", "x y.test\nA x y.test", formats="S"),
    case("types of lines", r"* as-is answer TYPE65280 \# 0",
         "TYPE65280 a.test\nHINFO b.test\ntype1 c.test", formats="Sq"),
    case("several types and one", "* answer A 192.0.2.1", "MX a.test\nb.test",
         "-t", "A", "-t", "AAAA", formats="Snq"),
    case("leading dot", ". answer A 192.0.2.1", ".a.test", formats="S"),
    case("escapes", "* answer A 192.0.2.1", r"a\.b.test" "\n" r"a\065.test" "\n" r"a\\.test",
         formats="S"),
    case("long line", "* answer A 192.0.2.1", "x" * 4095 + "a.test", formats="S"),
    case("nul", "* answer A 192.0.2.1", r"n\x00b.test", formats="S"),
]
