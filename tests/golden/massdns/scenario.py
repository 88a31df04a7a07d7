"""What massdns and ringdns are both given: one list of names, the responder's replies to them, and
the ways in which they are run. Also: what differs from run to run in what they print, taken out."""

import os
import re
import subprocess
import tempfile
from collections import Counter, namedtuple

import packet

HERE = os.path.dirname(os.path.abspath(__file__))

# Asked after each line when massdns is recorded, so that what it printed can be cut by lines. The
# name in its data is what massdns shows instead of the next one that it cannot read.
MARK = b"NS mark.test"
MARK_RULE = ("mark.test. answer NS stale.test. ; authority @ NS stale.test. ; "
             "additional @ NS stale.test.")

SIMPLE = """S Sn Su Sd Sm St Sl Si Ss Sq Sr
            Sml Smu Smst Snudms Snl Snq Snu Snd Snud Snlq Snlqr Snrql Sqr Sru Sqt Srt Snt Snlt
            Snlqrt Snudlqrtis""".split()
FORMATS = SIMPLE + "L L0 F J Ja Je Jea B".split()
# NOTZONE: a failure without waiting.
LISTED = ["--retry", "NOTZONE"]
PATIENCE = 240

TypeSample = namedtuple("TypeSample", "number mnemonic octets text")
# Lines that are asked in some other way, or that lead to another question or to none. What is
# printed for them is recorded as a whole. `server`: where the responder listens.
Case = namedtuple("Case", "name rules lines arguments formats server")


def case(name, rules, lines, *arguments, formats="Je", server="127.0.0.1:0"):
    return Case(name, rules + "\n", [octets_of(line) for line in lines.split("\n")],
                list(arguments), formats.split(), server)


def octets_of(line):
    """A line of list.txt as a line of input."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), line.encode())


def shown(line):
    """A line of input as the title of what was recorded."""
    return "".join(chr(c) if 32 <= c < 127 else f"\\x{c:02x}" for c in line)


def type_samples():
    with open(os.path.join(HERE, "types.txt"), encoding="ascii") as file:
        for line in file:
            if not line.startswith("#"):
                number, mnemonic, octets, text = line.rstrip("\n").split(" ", 3)
                yield TypeSample(int(number), mnemonic if mnemonic != "-" else f"TYPE{number}",
                                 bytes.fromhex(octets.strip("-")), text)


def the_list():
    """The lines of input, and the responder's plan for them."""
    lines, rules = [], [MARK_RULE]
    with open(os.path.join(HERE, "list.txt"), encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if line.startswith(" "):
                rules.append(line[1:])
            elif line == "= types.txt":
                add_types(lines, rules)
            elif line and not line.startswith("#"):
                lines.append(octets_of(line))
    return lines, "\n".join(rules) + "\n"


def add_types(lines, rules):
    seen = Counter()
    for sample in type_samples():
        seen[sample.number] += 1
        name = f"t{sample.number}-{seen[sample.number]}.types.test"
        lines.append(f"{sample.number} {name}".encode())
        rules.append(f"{name}. answer TYPE{sample.number} "
                     rf"\# {len(sample.octets)} {sample.octets.hex()}")


# ---- Running either program

def run(program, server, lines, output, *arguments):
    """What it prints, without what no two runs have in common. Unless told otherwise it has one
    lookup at a time, so that the order is that of the list, and is patient."""
    with tempfile.NamedTemporaryFile("w") as resolvers:
        resolvers.write(server + "\n")
        resolvers.flush()
        given = {"-s": "1", "-c": "2", "-i": "10000"}
        defaults = [word for pair in given.items() if pair[0] not in arguments for word in pair]
        done = subprocess.run([program, "-q", "--root", "-r", resolvers.name, "-o", output,
                               *defaults, *arguments],
                              input=b"".join(line + b"\n" for line in lines),
                              capture_output=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"{done.args}: {done.returncode}, {done.stderr[-4000:]}")
    if output == "B":
        return "".join(stored_line(stored) for stored in packet.BinaryFile(done.stdout).stored)
    return masked(done.stdout.decode("ascii"), server)


def masked(text, server):
    text = text.replace(server, re.sub(r":\d+$", ":53", server))
    text = re.sub(r'"rx_ts":\d{19},', '"rx_ts":0,', text)
    text = re.sub(r"^(\S+:53) \d{10} ", r"\1 0 ", text, flags=re.M)
    text = re.sub(r"^;; Unix time: \d{10}$", ";; Unix time: 0", text, flags=re.M)
    return re.sub(r"^(;; ->>HEADER<<- .*, id: )\d+$", r"\g<1>0", text, flags=re.M)


def stored_line(stored):
    return f"{stored.family} {stored.address.hex()} {stored.packet[2:].hex()}\n"


def run_list(massdns, server, lines, output):
    """What massdns prints for each line of the list."""
    mark = run(massdns, server, [MARK], output)
    marked = [line for pair in zip(lines, [MARK] * len(lines)) for line in pair]
    printed = run(massdns, server, marked, output, *LISTED).split(mark)
    if len(printed) != len(lines) + 1 or printed.pop():
        raise AssertionError(f"-o {output}: {len(printed)} replies for {len(lines)} lines")
    return printed
