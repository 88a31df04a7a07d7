"""Record data of every type as text: ringdns, dig and kdig show the same, but for what the tables
here say. The records are those of rdata_samples.hpp, which the unit tests hold ringdns to."""

import os
import re
import shutil
import subprocess
import unittest
from collections import Counter, namedtuple

import peers
import support

SAMPLES = os.path.join(os.path.dirname(__file__), "../unit/rdata_samples.hpp")
AT_ONCE = 100  # questions on a command line

# IANA "Resource Record (RR) TYPEs", those that records can have.
TYPES = (
    "1 A 2 NS 3 MD 4 MF 5 CNAME 6 SOA 7 MB 8 MG 9 MR 10 NULL 11 WKS 12 PTR 13 HINFO "
    "14 MINFO 15 MX 16 TXT 17 RP 18 AFSDB 19 X25 20 ISDN 21 RT 22 NSAP 23 NSAP-PTR 24 SIG "
    "25 KEY 26 PX 27 GPOS 28 AAAA 29 LOC 30 NXT 31 EID 32 NIMLOC 33 SRV 34 ATMA 35 NAPTR "
    "36 KX 37 CERT 38 A6 39 DNAME 40 SINK 42 APL 43 DS 44 SSHFP 45 IPSECKEY 46 RRSIG "
    "47 NSEC 48 DNSKEY 49 DHCID 50 NSEC3 51 NSEC3PARAM 52 TLSA 53 SMIMEA 55 HIP 56 NINFO "
    "57 RKEY 58 TALINK 59 CDS 60 CDNSKEY 61 OPENPGPKEY 62 CSYNC 63 ZONEMD 64 SVCB "
    "65 HTTPS 66 DSYNC 67 HHIT 68 BRID 99 SPF 100 UINFO 101 UID 102 GID 103 UNSPEC "
    "104 NID 105 L32 106 L64 107 LP 108 EUI48 109 EUI64 128 NXNAME 249 TKEY 250 TSIG "
    "256 URI 257 CAA 258 AVC 259 DOA 260 AMTRELAY 261 RESINFO 262 WALLET 263 CLA 264 IPN "
    "32768 TA 32769 DLV").split()
NAMES = {int(number): name for number, name in zip(TYPES[::2], TYPES[1::2])}
NUMBERS = {name: number for number, name in NAMES.items()}

Sample = namedtuple("Sample", "number type wire text")  # wire: hexadecimal


def read_samples():
    with open(SAMPLES) as file:
        text = file.read()
    entry = re.compile(r'\{(\d+),\s*((?:"[0-9a-f]*"\s*)+),\s*((?:R"\(.*?\)"\s*)+)\}', re.S)
    for number, wire, shown in entry.findall(text):
        yield Sample(int(number), NAMES.get(int(number), f"TYPE{number}"),
                     "".join(re.findall(r'"(.*?)"', wire)),
                     "".join(re.findall(r'R"\((.*?)\)"', shown, re.S)))


def unknown(sample):
    """As RFC 3597 writes it."""
    return f"\\# {len(sample.wire) // 2} {sample.wire.upper()}".rstrip()


# ---- Where a tool shows something else than we do

# Of which types, where our text is like what, the tool shows what, and why we do not follow. The
# first line that fits decides; a line that nothing needs is an error.
Difference = namedtuple("Difference", "types pattern shown why")
REFUSED = "refused"  # it takes the message for malformed and shows no such record


def refused(_sample):
    return REFUSED


def empty(_sample):
    return ""


def constant(text):
    return lambda _sample: text


def bare_numbers(sample):
    return re.sub(r"\b(TYPE|RCODE)(?=\d)", "", sample.text).replace("BADCOOKIE", "23")


def types_as_numbers(*names):
    def change(sample):
        return " ".join(f"TYPE{NUMBERS[word]}" if word in names else word
                        for word in sample.text.split(" "))
    return change


def before_1970(sample):
    return sample.text.replace("21060207062815", "19691231235959")


def signature_by_numbers(sample):
    return bare_numbers(sample._replace(text=before_1970(sample)))


def upper(sample):
    return sample.text.upper()


def full_groups(sample):
    preference, groups = sample.text.split()
    return f"{preference} " + ":".join(group.zfill(4) for group in groups.split(":")).upper()


def whole_numbers(sample):
    return re.sub(r"\.0+(?=m? |m?$)", "", sample.text)


def lower_padded_hash(sample):
    words = sample.text.split(" ")
    words[4] = words[4].lower() + "=" * (-len(words[4]) % 8)
    return " ".join(words)


def certificate_by_numbers(sample):
    _, tag, _, data = sample.text.split(" ")
    return f"{int(sample.wire[:4], 16)} {tag} {int(sample.wire[8:10], 16)} {data}"


def unquoted_alpn(sample):
    return re.sub(r'alpn="(.*?)"(?= |$)', r"alpn=\1", sample.text)


def alpn_quoted_within(sample):
    return unquoted_alpn(sample).replace(r"\255\000\032;", r'"\255\000 ;"')


DIG = [  # 9.18
    Difference("CLA IPN", "", unknown, "registered later"),
    Difference("NSEC", " IPN ", types_as_numbers("IPN"), "the same"),
    Difference("NXT", " TYPE", bare_numbers, "RFC 3597 5 wants TYPEn"),
    Difference("SIG", "^TYPE0 ", signature_by_numbers, "the same; and see RRSIG"),
    Difference("RRSIG", " 21060207062815 ", before_1970,
               "of all times that are 2^32 seconds apart the one next to now (RFC 4034 3.1.5), "
               "another one at another time; ours never changes, and means the same octets"),
    Difference("RRSIG", "^TYPE0 ", refused, "a signature of nothing is odd, and sound"),
    Difference("TSIG", "", unknown, "it reads them at the end of a message only"),
    Difference("TKEY", "RCODE4000|BADCOOKIE", bare_numbers, "names as for any response code"),
    Difference("APL", r"^\\# 0$", empty, "no prefixes; but who splits lines wants a field"),
    Difference("X25", '^""$', refused, "fewer than four digits: shown"),
    Difference("KEY", "^49152 3 8 QUJD", refused, "a key where flags deny it: shown, as by kdig"),
    Difference("RKEY", "^1 3 8", refused, "flags other than 0: shown"),
    Difference("NAPTR", r'^1 2 "\\255"', refused, "flags that are no letters: shown, as by kdig"),
    Difference("IPSECKEY", r"^(10 0 0 \.|1 2 0 2001:db8::1)$", refused,
               "algorithm 0 is that there is no key (RFC 4025 2.4): shown, as by kdig"),
    Difference("NSEC", r"^b\.x\.$", refused, "no types: shown, as by kdig"),
    Difference("NSEC3", "^1 0 0 .* (A|TXT)$", refused,
               "hashes of other lengths than SHA-1's: shown, as by kdig"),
    Difference("SSHFP DS CDS ZONEMD TA DLV", " [24] 00010203", refused,
               "digests shorter than their algorithm's: shown, as by kdig"),
    Difference("SVCB HTTPS", 'key7="none"', refused, "no variable in a dohpath: shown, as by kdig"),
    Difference("LOC", r"^\\# 16 00", refused, "malformed"),
    Difference("KEY ATMA A6 SSHFP IPSECKEY DNSKEY TLSA SMIMEA HIP CDNSKEY CAA", r"^\\#", refused,
               "malformed"),
]

KDIG = [  # 3.2
    Difference("MD MF MB MG MR WKS X25 ISDN NSAP NSAP-PTR SIG PX GPOS NXT EID NIMLOC ATMA A6 SINK "
               "HIP NINFO RKEY TALINK DSYNC HHIT BRID TKEY AVC DOA AMTRELAY RESINFO WALLET CLA IPN "
               "TA DLV", "", unknown, "no text for these types"),
    Difference("NSEC", "", types_as_numbers("MD", "MF", "MB", "MG", "MR", "WKS", "IPN", "TA",
                                            "DLV"), "the same"),
    Difference("TSIG", "", refused, "it reads them at the end of a message only"),
    Difference("NULL", r"^\\# 0$", refused, "RFC 1035 3.3.10 allows any octets, and none"),
    Difference("APL", r"^\\# 0$", empty, "as for dig"),
    Difference("RRSIG", " 21060207062815 ", before_1970, "as for dig"),
    Difference("KEY", r"^\d+ \d+ \d+$", refused, "flags of RFC 2535 3.1.2: there is no key"),
    Difference("IPSECKEY", r"^0 0 0 \. QUJD", refused, "algorithm 0 and a key: shown, as by dig"),
    Difference("AAAA", r"^::192\.", constant("::c000:201"), "as dig"),
    Difference("LOC", r"^\d", whole_numbers, "as dig"),
    Difference("CERT", "", certificate_by_numbers, "mnemonics of RFC 4398 2.2, as dig"),
    Difference("NSEC3", "", lower_padded_hash, "unpadded (RFC 5155 3.3), in upper case as dig"),
    Difference("NID L64", "", full_groups, "as dig"),
    Difference("EUI48 EUI64", "", upper, "as dig and RFC 7043"),
    Difference("HTTPS", r"\\000\\032;", alpn_quoted_within, "quotes within a value are no quotes"),
    Difference("SVCB HTTPS", "alpn=", unquoted_alpn, "in quotes, as dig"),
    Difference("LOC", "00019099", constant("0 0 0 N 0 0 0 E 0m 0m 0.09m 90000000m"),
               "0 times 10 to the 1st: RFC 1876 2 has no such size"),
    Difference("CAA", r"^\\# 9 ", constant('0 is-sue "x"'), "tags have no hyphens (RFC 8659 4.1)"),
    Difference("CAA", r"^\\# 6 ", constant('0 "a b" "x"'), "nor blanks"),
    Difference("KEY LOC APL SSHFP IPSECKEY DNSKEY TLSA SMIMEA CDNSKEY", r"^\\#", refused,
               "malformed"),
]


def shown_by(differences, sample, used):
    for difference in differences:
        if sample.type in difference.types.split() and re.search(difference.pattern, sample.text):
            used.add(difference)
            return difference.shown(sample)
    return sample.text


# ---- The servers

# SOA and NSEC3 have their own places in a zone and RRSIG stands with what it signs, for which see
# peers_test.py; the others are of messages and questions only.
NOT_SERVED = {"SOA", "RRSIG", "NSEC3", "NXNAME", "TKEY", "TSIG"}
ALONE = {"CNAME", "DNAME"}
# "TYPE TEXT" of what a server's zone parser does not know, or refuses, or misreads (NSD: what
# follows an escaped backslash). It gets RFC 3597's form.
UNREAD = {
    peers.Nsd: r"^(NSAP-PTR|GPOS|NXT|EID|NIMLOC|ATMA|A6|SINK|HIP|NINFO|RKEY|TALINK|DSYNC|HHIT|BRID|"
               r"DOA|AMTRELAY|RESINFO|WALLET|CLA|IPN|TA) |^WKS .* (17|263)$|^SIG (ANY|TYPE0)|"
               r"^CERT .*(NSEC3|ECCGOST)|\\\\\.|^NSEC .*(TYPE0|IPN)|^CAA (255 UPPER9|1 a{40})|"
               r"^HTTPS .*\\032;",
    peers.Knot: r"^(MD|MF|MB|MG|MR|WKS|X25|ISDN|NSAP|NSAP-PTR|SIG|PX|GPOS|NXT|EID|NIMLOC|ATMA|A6|"
                r"SINK|HIP|NINFO|RKEY|TALINK|DSYNC|HHIT|BRID|NID|L64|AVC|DOA|AMTRELAY|RESINFO|"
                r"WALLET|CLA|IPN|TA|DLV) |^CERT .*(NSEC3|ECCGOST)|^NSEC .*(TYPE0|TYPE511)|"
                r"^(SVCB|HTTPS) .*(ech$|000)",
}


# ---- The tools

def normal(rdata):
    return re.sub(r"\s+", " ", rdata.strip())


def ask_tool(command, port, questions):
    """{owner: Counter of (type, rdata)} of all that a tool shows."""
    found = {}
    for at in range(0, len(questions), AT_ONCE):
        arguments = [word for name, kind in questions[at:at + AT_ONCE]
                     for word in ("-q", name, "-t", kind)]
        done = subprocess.run([command[0], "@127.0.0.1", "-p", str(port), *command[1:], *arguments],
                              capture_output=True, text=True, timeout=support.PATIENCE)
        for line in done.stdout.splitlines():
            words = line.split(None, 4)
            if len(words) >= 4 and words[0][-1] == "." and words[1].isdigit():
                found.setdefault(words[0], Counter())[words[3], normal("".join(words[4:]))] += 1
    return found


SHOW = ["+noall", "+answer", "+authority", "+tcp"]
TOOLS = {"dig": ["dig", *SHOW, "+nosplit"], "kdig": ["kdig", *SHOW, "+noidn"]}
TABLES = {"dig": DIG, "kdig": KDIG}
VERSIONS = {"dig": "DiG 9.18.", "kdig": "version 3.2."}  # whose the tables are


# A record's line: owner, type and data.
FORMATS = {"Snu": re.compile(r"(\S+) (\S+) (.+)"),
           "Stnu": re.compile(r"(\S+) IN \d+ (\S+) (.+)"),
           "F": re.compile(r"(\S+) \d+ IN (\S+) (.+)")}


class RdataPeers(support.Case):
    def setUp(self):
        super().setUp()
        for tool in TOOLS:
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed")
            done = subprocess.run([tool, "-V" if tool == "kdig" else "-v"], capture_output=True,
                                  text=True, timeout=support.PATIENCE)
            if VERSIONS[tool] not in done.stdout + done.stderr:
                self.skipTest(f"this {tool} is not of those that the tables are for")
        self.samples = list(read_samples())
        self.assertGreater(len(self.samples), 400)

    @staticmethod
    def shown(sample):
        return {tool: shown_by(TABLES.get(tool, []), sample, set()) for tool in ("ringdns", *TOOLS)}

    def ask_ringdns(self, address, questions, letters="Snu"):
        found = {}
        run = self.count(address, [f"{kind} {name}" for name, kind in questions], "-o", letters)
        self.assertEqual(run.stats["answered"], len(questions))
        for record in map(FORMATS[letters].fullmatch, run.lines()):
            if record:
                owner, kind, rdata = record.groups()
                found.setdefault(owner, Counter())[kind, normal(rdata)] += 1
        return found

    # ---- Each sample alone, the malformed too, from a server that takes any octets

    def test_each_sample(self):
        # An owner that NSEC3 may have.
        owners = [f"{number:032}.test." for number in range(len(self.samples))]
        server = self.serve("".join(
            f"{owner} as-is answer TYPE{sample.number} \\# {len(sample.wire) // 2} {sample.wire}\n"
            for owner, sample in zip(owners, self.samples)))
        # Types that are none of records, but of questions: clients know better than to ask.
        questions = [(owner, "A" if 128 <= sample.number < 256 else sample.type)
                     for owner, sample in zip(owners, self.samples)]
        for letters in FORMATS:
            ours = self.ask_ringdns(server.address, questions, letters)
            for owner, sample in zip(owners, self.samples):
                self.assertEqual(ours[owner], Counter([(sample.type, normal(sample.text))]))
        for tool, command in TOOLS.items():
            # By number, as they know fewer by name.
            numbers = [(owner, "A" if kind == "A" else f"TYPE{sample.number}")
                       for (owner, kind), sample in zip(questions, self.samples)]
            theirs, used = ask_tool(command, server.ports[0], numbers), set()
            for owner, sample in zip(owners, self.samples):
                with self.subTest(tool=tool, type=sample.type, text=sample.text):
                    expected = shown_by(TABLES[tool], sample, used)
                    if expected == REFUSED:
                        self.assertNotIn(owner, theirs)
                        continue
                    ((kind, text), count), = theirs[owner].items()
                    self.assertEqual((text, count), (normal(expected), 1))
                    self.assertIn(kind, (sample.type, f"TYPE{sample.number}"))
            for difference in TABLES[tool]:
                with self.subTest(tool=tool, difference=difference):
                    self.assertIn(difference, used)

    # ---- The sound ones as sets, from servers that read zones: what we print, they read

    def check_server(self, kind):
        if not kind.available():
            self.skipTest(f"{kind.binary} is not installed")
        owners = {}
        for sample in self.samples:
            if sample.type in NOT_SERVED or REFUSED in self.shown(sample).values():
                continue
            ordinal = len(owners) if sample.type in ALONE else 0
            owners.setdefault(f"{sample.type.lower()}-{ordinal}.{peers.ZONE}", []).append(sample)
        lines = ["$TTL 300", f"{peers.ZONE} IN SOA ns.test. host.test. 1 3600 600 86400 60",
                 f"{peers.ZONE} IN NS ns.test."]
        for owner, samples in owners.items():
            for sample in samples:
                read = not re.search(UNREAD[kind], f"{sample.type} {sample.text}")
                text = sample.text if read else unknown(sample)
                lines.append(f"{owner} IN TYPE{sample.number} {text}")
        server = kind(self, "\n".join(lines) + "\n")
        questions = [(owner, f"TYPE{samples[0].number}") for owner, samples in owners.items()]
        found = {tool: ask_tool(command, server.port, questions) for tool, command in TOOLS.items()}
        found["ringdns"] = self.ask_ringdns(server.address, questions)
        for owner, samples in owners.items():
            for tool, records in found.items():
                with self.subTest(owner=owner, tool=tool):
                    # NSD keeps a name in the case that it first came in.
                    shown = records.get(owner, Counter()).elements()
                    texts = [text.casefold() for _, text in shown]
                    expected = [normal(self.shown(sample)[tool]).casefold() for sample in samples]
                    self.assertEqual(Counter(texts), Counter(expected))

    def test_knot(self):
        self.check_server(peers.Knot)

    def test_nsd(self):
        self.check_server(peers.Nsd)


if __name__ == "__main__":
    support.main()
