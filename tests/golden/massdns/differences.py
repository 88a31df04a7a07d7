"""The one table of what ringdns prints otherwise than massdns does. Each entry stands under the
same name and with the same words in the manual, and says what exactly becomes of massdns's output:
by a change of a reply's fields, or, where a whole case goes otherwise, by what ringdns prints in
it. A change that goes by the zone of list.txt (bad, badname) goes by what the list says of it."""

import re
from collections import namedtuple

from printed import OPT, TXT, strings_of
from scenario import type_samples

A, SOA, MX, SRV, TLSA, SMIMEA, CAA = 1, 6, 15, 33, 52, 53, 257
NAMES = (2, 5, 12, 39)  # NS, CNAME, PTR, DNAME: their data is a name
SAMPLES = list(type_samples())
MNEMONICS = {str(sample.number): sample.mnemonic for sample in SAMPLES}
TEXTS = {(sample.number, sample.octets): sample.text for sample in SAMPLES}
# Those that massdns has a form for; it shows the data of all others as escaped octets.
FORMED = (A, 28, *NAMES, SOA, MX, TXT, SRV, TLSA, SMIMEA, CAA)
RCODES = {8: "NXRRSET", 11: "DSOTYPENI", 16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE",
          20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", 23: "BADCOOKIE"}
CLASSES = {"H": "CH", "2": "CS", "QNONE": "NONE", "QANY": "ANY"}

# cases: {name: {format: what ringdns prints, in those formats that go otherwise}}
Difference = namedtuple("Difference", "name text change cases")
TABLE = []


def differs(name, text, **cases):
    """Enters the function it decorates. A case's name has _ for blanks."""
    def enter(change):
        enter_cases(name, text, change, **cases)
        return change
    return enter


def enter_cases(name, text, change=None, **cases):
    TABLE.append(Difference(name, text, change, {case.replace("_", " "): formats
                                                 for case, formats in cases.items()}))


def error(name, reason):
    return f'{{"name":"{name}","type":"A","class":"IN","error":"{reason}"}}\n'


def answer(name):
    return f'{{"name":"{name}","type":"A","class":"IN","status":"NOERROR","rx_ts":0,' \
           '"data":{"answers":[{"ttl":300,"type":"A","class":"IN",' \
           f'"name":"{name}","data":"192.0.2.1"}}]}},' \
           '"flags":["aa","rd","ra"],"resolver":"127.0.0.1:53","proto":"UDP"}\n'


def in_zone(reply, zone):
    return reply.name.endswith(f".{zone}.test.")


def generic(rdata):
    return f"\\# {len(rdata)} {rdata.hex().upper()}".rstrip()


def replace_data(shown, text):
    shown.data = shown.json_data = text
    shown.strings = None


# ---- Replies

enter_cases("truncated", "A truncated reply is never an answer. It is completed over TCP, on "
            "reused connections, or the name fails as TRUNCATED.",
            truncated={"Sr": "", "Je": error("a.test.", "TRUNCATED")})

enter_cases("edns", "Queries have EDNS, unless told otherwise.",
            edns={"F": """\
;; Server: 127.0.0.1:53
;; Size: 51
;; Unix time: 0
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 0
;; flags: qr aa rd ra ; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1

;; QUESTION SECTION:
a.test. IN A

;; ANSWER SECTION:
a.test. 300 IN A 192.0.2.1


"""})

enter_cases("verified", "A reply is one only from the address that was asked, with the query's id, "
            "opcode and question, and with the flag QR.",
            verified={"S": "", "Je": "".join(error(f"{name}.test.", "TIMEOUT")
                                             for name in ("class", "opcode", "query"))},
            source={"S": ""})

enter_cases("bare-replies", "A failure without a question counts as that of the query with its id; "
            "massdns waits for another reply.",
            bare_replies={"Je": error("a.test.", "MAXRETRIES")})

LONGEST = ".".join([63 * "a", 63 * "b", 63 * "c", 61 * "d"]) + "."
enter_cases("longest-names", "Replies for names of 255 octets are read.",
            longest_name={"S": f"{LONGEST} A 192.0.2.1\n", "Je": answer(LONGEST)})

# ---- Lines of input

enter_cases("blanks", "Blanks before a name and empty lines are ignored; massdns asks for them.",
            blanks={"S": "a.test. A 192.0.2.1\nb.test. A 192.0.2.1\n"},
            empty_line={"Je": answer("a.test.") + answer("b.test.")})

enter_cases("bare-types", "A type that stands alone on a line is a name; massdns drops it.",
            bare_types={"S": "".join(f"{name}. A 192.0.2.1\n" for name in ("mx", "123", "aaaa"))})

enter_cases("types-of-lines", "TYPEn and all registered types may stand before a name; what is no "
            "type to massdns is part of the name.",
            types_of_lines={"Sq": r"""a.test.  TYPE65280
a.test. TYPE65280 \# 0
b.test.  HINFO
b.test. TYPE65280 \# 0
c.test.  A
c.test. TYPE65280 \# 0
"""})

enter_cases("one-type", "A name with a type on its line is asked for this type only; massdns lets "
            "it replace the first type of several.",
            several_types_and_one={"Snq": "a.test.  MX\nb.test.  A\nb.test. A 192.0.2.1\n"
                                           "b.test.  AAAA\n"})

enter_cases("lines", "A line that holds no name that can be asked is reported and counted, not "
            "asked as something else; to massdns a leading dot is the root, and a line ends after "
            "4095 octets.",
            words={"S": ""}, leading_dot={"S": ""}, long_line={"S": ""})

enter_cases("escapes-of-lines", "Escapes on lines are those of RFC 1035; to massdns a backslash is "
            "a letter, and a line ends at an octet 0.",
            escapes={"S": r"""a\.b.test. A 192.0.2.1
aA.test. A 192.0.2.1
a\\.test. A 192.0.2.1
"""}, nul={"S": "n\\000b.test. A 192.0.2.1\n"})


# ---- Words for codes

@differs("types", "A type is shown by its registered name, and else as TYPEn; massdns knows some "
         "names and has numbers for the others.")
def show_types(reply):
    for item in [reply, *reply.records]:
        if item.type.isdigit():
            item.type = MNEMONICS.get(item.type, f"TYPE{item.type}")


@differs("classes", "Classes are called CH, CS, NONE and ANY, and else CLASSn; massdns has H, 2, "
         "QNONE, QANY and numbers. The data of types that belong to class IN is that of RFC 3597 "
         "in others.")
def show_classes(reply):
    for shown in reply.records:
        if shown.rr_class != "IN" and shown.record.type == A:
            replace_data(shown, generic(shown.record.rdata))
        shown.rr_class = CLASSES.get(shown.rr_class, shown.rr_class)
        if shown.rr_class.isdigit():
            shown.rr_class = f"CLASS{shown.rr_class}"


@differs("rcodes", "A response code is shown by its registered name, and else as RCODEn; massdns "
         "has numbers for NXRRSET, DSOTYPENI and what is not registered.")
def show_rcodes(reply):
    if reply.status.isdigit():
        reply.status = RCODES.get(int(reply.status), f"RCODE{reply.status}")


# ---- EDNS

@differs("extended-rcodes", "A response code is completed by the OPT record, where there is one; "
         "massdns has its low four bits.",
         extended_rcodes={"Sr": "", "Je": error("a.test.", "MAXRETRIES")})
def extend_rcode(reply):
    code = reply.message.extended_rcode()
    if code > 15:
        reply.status = RCODES.get(code, f"RCODE{code}")
        reply.listed = False


@differs("opt", "The OPT record is not shown; to massdns it is one of type 41.")
def omit_opt(reply):
    reply.records = [shown for shown in reply.records if shown.record.type != OPT]


# ---- Escapes

def zone_file_name(labels):
    def escaped(c):
        if chr(c) in "\"$().;@\\":
            return "\\" + chr(c)
        return chr(c) if 33 <= c < 127 else f"\\{c:03d}"
    return "".join("".join(map(escaped, label)) + "." for label in labels) or "."


def zone_file_text(octets, special='"\\'):
    return "".join("\\" + chr(c) if chr(c) in special else chr(c) if 32 <= c < 127 else f"\\{c:03d}"
                   for c in octets)


def unescaped(text):
    r"""The octets behind massdns's \xNN."""
    return re.sub(rb"\\x(..)", lambda m: bytes([int(m[1], 16)]), text.encode())


def zone_file_names(text):
    """A name as massdns escapes it, as a zone file would have it."""
    labels = [unescaped(label) for label in text.split(".")[:-1]]
    return zone_file_name(labels if text != "." else [])


@differs("escapes", "Names are escaped as in zone files: \\DDD, and a backslash before \" $ ( ) . "
         "; @ \\; massdns has \\xNN, and leaves blanks and the others as they are.")
def escape_names(reply):
    reply.name = zone_file_name(reply.message.name)
    reply.list_name = reply.name[:-1]
    for shown in reply.records:
        shown.owner = zone_file_name(shown.record.owner)
        numbers = {MX: 1, SRV: 3, **dict.fromkeys(NAMES, 0)}.get(shown.record.type)
        if in_zone(reply, "bad") or in_zone(reply, "badname"):
            continue
        if numbers is not None:
            *before, name = shown.data.split(" ", numbers)
            replace_data(shown, " ".join([*before, zone_file_names(name)]))
        elif shown.record.type == SOA:
            *names, a, b, c, d, e = shown.data.split(" ")
            replace_data(shown, " ".join([*map(zone_file_names, names), a, b, c, d, e]))


@differs("text", "Text is escaped as in zone files: \\DDD, and a backslash before quotes and "
         "backslashes; massdns has \\xNN, and leaves quotes as they are.")
def escape_text(reply):
    for shown in reply.records:
        rdata = shown.record.rdata
        if in_zone(reply, "bad"):
            continue
        if shown.record.type == TXT:
            strings = strings_of(rdata)
            shown.data = "".join(f'"{zone_file_text(string)}" ' for string in strings)
            shown.json_data = "".join(zone_file_text(string, "\\") for string in strings)
        elif shown.record.type == CAA:
            flags, tag, _ = shown.data.split(" ", 2)
            replace_data(shown, f'{flags} {tag} "{zone_file_text(rdata[2 + rdata[1]:])}"')


@differs("trailing-blank", "A TXT record has no blank at its end.")
def strip_blank(reply):
    for shown in reply.records:
        if shown.record.type == TXT and not in_zone(reply, "bad"):
            shown.data = shown.data[:-1]


# ---- Data

@differs("presentation", "The data of all registered types is shown in their presentation form, "
         "and that of others as RFC 3597 has it; massdns knows A, AAAA, NS, CNAME, DNAME, PTR, MX, "
         "TXT, SOA, SRV, CAA, TLSA and SMIMEA, and shows the octets of others.")
def present_data(reply):
    for shown in reply.records:
        record = shown.record
        if record.type not in FORMED:
            replace_data(shown, TEXTS.get((record.type, record.rdata)) or generic(record.rdata))


@differs("strings", "In JSON the strings of a TXT record, and of its like, stand joined under "
         "data, as in massdns, and as an array under strings.")
def add_strings(reply):
    for shown in reply.records:
        if shown.record.type in (TXT, 56, 99, 258, 261, 262, 263) and not in_zone(reply, "bad"):
            shown.strings = [zone_file_text(string, "\\")
                             for string in strings_of(shown.record.rdata)]
            shown.json_data = "".join(shown.strings)


@differs("caa-flags", "The flags of CAA are a number; massdns has their highest bit only.")
def show_caa_flags(reply):
    for shown in reply.records:
        if shown.record.type == CAA and not in_zone(reply, "bad"):
            _, rest = shown.data.split(" ", 1)
            replace_data(shown, f"{shown.record.rdata[0]} {rest}")


@differs("hexadecimal", "The data of TLSA and SMIMEA is in upper case, as dig shows it.")
def raise_hexadecimal(reply):
    for shown in reply.records:
        if shown.record.type in (TLSA, SMIMEA):
            replace_data(shown, shown.data.upper())


@differs("malformed", "Data that is not what its type prescribes is shown as RFC 3597 has it; "
         "massdns shows its octets, or as much as it made of them.")
def show_malformed(reply):
    for shown in reply.records:
        if in_zone(reply, "bad") and shown.record.type in FORMED:
            replace_data(shown, generic(shown.record.rdata))


@differs("unreadable-names", "A record whose data has a name that cannot be read is the last that "
         "is shown of its message, with its data as RFC 3597 has it; massdns shows the name it "
         "read before.")
def end_at_unreadable_name(reply):
    if in_zone(reply, "badname"):
        first = reply.records[0]
        replace_data(first, generic(first.record.rdata))
        first.last = True


@differs("unreadable-answer", "A reply whose first record cannot be read has no answer for the "
         "flag a of format J and for format L; massdns goes by the count in the header.")
def disregard_unreadable_answer(reply):
    if not reply.message.records:
        reply.answered = False


# ---- Formats

@differs("case", "Names are compared without regard to case: which records belong to the question, "
         "what a referral is, and which question a reply answers.",
         case_of_the_question={"S": "A.TEST. A 192.0.2.1\n", "Je": answer("A.TEST.")})
def compare_in_any_case(reply):
    reply.any_case = True


@differs("section-separator", "With the flags m and s of format S a section is set off where its "
         "first line is shown; massdns does so only where that is the section's first record.")
def separate_what_is_shown(reply):
    reply.separates_what_is_shown = True


@differs("root", "In format L the root is a dot; massdns writes an empty line.")
def list_root(reply):
    if reply.name == ".":
        reply.list_name = "."
