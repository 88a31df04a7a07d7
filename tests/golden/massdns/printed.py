"""A reply as massdns shows it, taken apart into fields, and put together again in any format. What
massdns printed in format F is where the fields come from; that all its other formats follow from
them is checked, so that a difference need only be told once, as a change of fields."""

import re

TXT, OPT, NS = 16, 41, 2
SECTIONS = ("ANSWER", "AUTHORITY", "ADDITIONAL")
JSON_SECTIONS = ("answers", "authorities", "additionals")
JSON_FLAGS = (("aa", 0x0400), ("tc", 0x0200), ("rd", 0x0100), ("ra", 0x0080), ("ad", 0x0020),
              ("cd", 0x0010))
HEADER = re.compile(r"(;; Server: .*\n;; Size: .*\n;; Unix time: 0\n"
                    r";; ->>HEADER<<- opcode: .*, status: )(.*)(, id: 0\n;; flags: .*\n)\n"
                    r";; QUESTION SECTION:\n(.*)\n((?:.*\n)*)\n\n")


def readable(octets, special=b"\\"):
    """massdns's escapes."""
    return "".join(chr(c) if 32 <= c < 127 and c not in special else f"\\x{c:02x}" for c in octets)


def readable_name(labels):
    return "".join(readable(label, b"\\.") + "." for label in labels) or "."


def strings_of(rdata):
    """The character strings of a TXT record, as far as they go."""
    strings = []
    while rdata and len(rdata) > rdata[0]:
        strings.append(rdata[1:1 + rdata[0]])
        rdata = rdata[1 + rdata[0]:]
    return strings


def json_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def folded(labels):
    return [label.lower() for label in labels]


class Shown:
    """A record. `strings` is what JSON has of a text record besides its data; `last`: nothing of
    its message is shown behind it."""

    def __init__(self, record, text):
        self.record = record
        self.owner = readable_name(record.owner)
        if not text.startswith(self.owner + " "):
            raise AssertionError(f"{text!r} does not begin with {self.owner!r}")
        self.ttl, self.rr_class, self.type, self.data = \
            text[len(self.owner) + 1:].split(" ", 3)
        self.json_data, self.strings, self.last = self.data, None, False
        if record.type == TXT:
            self.json_data = "".join(map(readable, strings_of(record.rdata)))

    def simple(self, flags):
        ttl = f"{self.rr_class} {self.ttl} " if "t" in flags else ""
        indent = "\t" if "i" in flags else ""
        return f"{indent}{self.owner} {ttl}{self.type} {self.data}\n"

    def full(self):
        return f"{self.owner} {self.ttl} {self.rr_class} {self.type} {self.data}\n"

    def json(self):
        strings = "" if self.strings is None else \
            ',"strings":[' + ",".join(map(json_string, self.strings)) + "]"
        return (f'{{"ttl":{self.ttl},"type":"{self.type}","class":"{self.rr_class}",'
                f'"name":{json_string(self.owner)},"data":{json_string(self.json_data)}{strings}}}')


class Reply:
    """of a line of the list: `message` is the packet, `printed` what massdns made of it."""

    def __init__(self, message, printed):
        self.message = message
        self.proto = re.search('"proto":"(...)"', printed["J"])[1]
        found = HEADER.fullmatch(printed["F"])
        self.before_status, self.status, self.after_status, question, records = found.groups()
        self.server = self.before_status.split()[2]
        self.name = readable_name(message.name)
        if not question.startswith(self.name + " "):
            raise AssertionError(f"{question!r} does not begin with {self.name!r}")
        self.rr_class, self.type = question[len(self.name) + 1:].split(" ")
        self.list_name = self.name[:-1]
        lines = [line for line in records.split("\n") if line and not line.startswith(";;")]
        if len(lines) != len(message.records):
            raise AssertionError(f"{len(lines)} lines for {len(message.records)} records")
        self.records = list(map(Shown, message.records, lines))
        self.any_case = False             # names are compared without regard to case
        self.separates_what_is_shown = False
        self.listed = message.flags & 15 == 0
        self.answered = message.counts[1] > 0

    def owned(self, shown):
        owner, name = shown.record.owner, self.message.name
        return folded(owner) == folded(name) if self.any_case else owner == name

    # ---- The formats

    def render(self, output):
        kind, flags = output[0], output[1:]
        return {"S": self.simple, "F": self.full, "L": self.list, "J": self.json}[kind](flags)

    def simple(self, flags):
        sections = [{"n": 0, "u": 1, "d": 2}[flag] for flag in flags if flag in "nud"] or [0]
        text = ""
        if "r" in flags:
            text += f"{self.server} 0 {self.status} "
        if "q" in flags or "r" in flags:
            text += f"{self.name} {self.rr_class if 't' in flags else ''} {self.type}\n"
        section = 0
        for shown in self.records:
            entered = "\n" if "s" in flags and shown.record.section != section else ""
            omitted = shown.record.section not in sections or (
                (flags == "" or "m" in flags) and not self.owned(shown))
            if not (omitted and self.separates_what_is_shown):
                section = shown.record.section
            if not omitted:
                text += entered + shown.simple(flags)
                if shown.last:
                    break
        return text + ("\n" if "l" in flags else "")

    def full(self, _):
        text = f"{self.before_status}{self.status}{self.after_status}\n;; QUESTION SECTION:\n" \
               f"{self.name} {self.rr_class} {self.type}\n"
        section = None
        for shown in self.records:
            if shown.record.section != section:
                section = shown.record.section
                text += f"\n;; {SECTIONS[section]} SECTION:\n"
            text += shown.full()
            if shown.last:
                break
        return text + "\n\n"

    def list(self, flags):
        return self.list_name + "\n" if self.listed and (self.answered or flags == "0") else ""

    def json(self, flags):
        referral = any(shown.record.section == 1 and shown.record.type == NS and self.owned(shown)
                       for shown in self.records)
        if "a" in flags and not self.answered and not referral:
            return ""
        data = []
        last = next((i for i, shown in enumerate(self.records) if shown.last), None)
        listed = self.records if last is None else self.records[:last + 1]
        for number, name in enumerate(JSON_SECTIONS):
            records = [shown.json() for shown in listed if shown.record.section == number]
            if records:
                data.append(f'"{name}":[{",".join(records)}]')
        bits = self.message.flags
        return (f'{{"name":{json_string(self.name)},"type":"{self.type}",'
                f'"class":"{self.rr_class}","status":"{self.status}","rx_ts":0,'
                f'"data":{{{",".join(data)}}},'
                f'"flags":[{",".join(json_string(n) for n, bit in JSON_FLAGS if bits & bit)}],'
                f'"resolver":"{self.server}","proto":"{self.proto}"}}\n')
