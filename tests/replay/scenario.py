"""The scenario format of README.md: a strict parser. What it does not know is an error."""

import dataclasses
import re
import shlex

REASONS = ("TIMEOUT", "MAXRETRIES", "TRUNCATED", "UNREACHABLE", "INCOMPLETE")
SECTIONS = ("fault", "servers", "ringdns", "plan", "ask", "then", "expect")
ENDS = {"our FIN": "fin_by_client", "our RST": "rst_by_client",
        "its FIN": "fin_by_server", "its RST": "rst_by_server"}


class Bad(Exception):
    """A scenario that says nothing definite."""


@dataclasses.dataclass(frozen=True)
class Range:
    low: int
    high: float

    def __contains__(self, value):
        return self.low <= value <= self.high

    def __str__(self):
        if self.low == self.high:
            return str(self.low)
        return f"{self.low}.." + ("" if self.high == float("inf") else str(self.high))

    @staticmethod
    def parse(word):
        match = re.fullmatch(r"(\d*)\.\.(\d*)|(\d+)", word)
        if not match or word == "..":
            raise Bad(f"expected a number or a range such as 2..4, not {word!r}")
        low, high, exact = match.groups()
        if exact:
            return Range(int(exact), int(exact))
        return Range(int(low or 0), int(high) if high else float("inf"))


@dataclasses.dataclass(frozen=True)
class Group:
    """Names asked together: one, or those below a domain."""
    name: str                    # as expect lines call it
    names: tuple
    type: str = "A"
    servers: tuple = ()          # (first, last): asked first, in turn; (): ringdns's choice


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What becomes of each name of a group."""
    answered: bool
    status: str                  # an rcode, or the reason of a failure
    transport: str = ""
    data: str = ""
    asked: Range = None          # queries that the group's own rules saw, per name


@dataclasses.dataclass(frozen=True)
class Connections:
    servers: tuple               # (first, last); (): all of them together
    accepted: Range
    ended: dict                  # the report's key -> Range; None: anyhow


@dataclasses.dataclass(frozen=True)
class Counter:
    whose: tuple                 # ("ringdns",), ("responder",), ("server", K), ("memory",)
    key: str
    range: Range


@dataclasses.dataclass
class Scenario:
    title: str = ""
    faults: list = dataclasses.field(default_factory=list)
    servers: int = 1
    listed: Range = Range(1, float("inf"))  # of those, the resolvers that ringdns is given
    options: list = dataclasses.field(default_factory=list)
    plan: list = dataclasses.field(default_factory=list)
    batches: list = dataclasses.field(default_factory=list)  # (seconds to wait first, [Group])
    outcomes: dict = dataclasses.field(default_factory=dict)  # a group's name -> Outcome
    connections: list = dataclasses.field(default_factory=list)
    counters: list = dataclasses.field(default_factory=list)

    def groups(self):
        return [group for _, groups in self.batches for group in groups]

    def own_rules(self, group):
        """Numbers, from 1, of the plan's lines whose pattern is the group's own."""
        patterns = (f"{group.name}.", f"*.{group.name}.")
        return [number for number, line in enumerate(self.plan, 1)
                if line.split()[:1] and line.split()[0] in patterns]


def parse(text):
    scenario, section, number = Scenario(), "title", 0
    try:
        for number, line in enumerate(text.splitlines(), 1):
            if section == "title" and line.startswith("#"):
                scenario.title += line[1:].strip() + "\n"
            elif not line.strip() or line.startswith("#"):
                continue
            elif not line.startswith(" "):
                section = _start_section(scenario, line)
            else:
                _take_line(scenario, section, line)
        number = 0
        _check(scenario)
    except (Bad, ValueError) as error:
        raise Bad(f"line {number}: {error}" if number else str(error)) from None
    return scenario


def _start_section(scenario, line):
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if word not in SECTIONS:
        raise Bad(f"expected one of {' '.join(SECTIONS)}, not {word!r}")
    if word == "fault":
        if not re.fullmatch(r"(UDP|TCP): \S.*", rest):
            raise Bad("a fault is named 'UDP: ...' or 'TCP: ...', as in the catalogue")
        scenario.faults.append(rest)
    elif word == "servers":
        match = re.fullmatch(r"(\d+)(?: \(only (\S+) listed\))?", rest)
        if not match:
            raise Bad("expected 'servers 2' or 'servers 2 (only 1 listed)'")
        scenario.servers = int(match[1])
        scenario.listed = Range.parse(match[2] or "1..")
    elif word == "ringdns":
        scenario.options += shlex.split(rest, comments=True)
    elif word == "then":
        match = re.fullmatch(r"(?:(\d+) ms later)?", rest)
        if not match or not scenario.batches:
            raise Bad("'then' follows an 'ask', alone or as 'then 500 ms later'")
        scenario.batches.append((int(match[1] or 0) / 1000, []))
    elif rest:
        raise Bad(f"{rest!r} after {word!r}: its lines come below, indented")
    elif word == "ask":
        if scenario.batches:
            raise Bad("a second 'ask': what is asked later is a 'then'")
        scenario.batches.append((0, []))
    return "ask" if word == "then" else word


def _take_line(scenario, section, line):
    if section == "plan":
        scenario.plan.append(line.strip())
    elif section == "ask":
        scenario.batches[-1][1].append(_parse_group(line))
    elif section == "expect":
        _parse_expectation(scenario, re.sub(r"\s+# .*", "", line).strip())
    else:
        raise Bad(f"an indented line below {section!r}")


def _parse_group(line):
    match = re.fullmatch(r"\s+(?:(\d+) names? below )?([a-z0-9.-]+)(?: ([A-Z]+[A-Z0-9]*))?"
                         r"(?: at servers? (\d+)(?:-(\d+))?)?", line)
    if not match:
        raise Bad("expected '5 names below a.test [TYPE] [at server 2]' or 'b.test ...'")
    count, domain, rrtype, first, last = match.groups()
    names = [f"n{i}.{domain}" for i in range(int(count))] if count else [domain]
    servers = (int(first), int(last or first)) if first else ()
    return Group(domain, tuple(names), rrtype or "A", servers)


def _parse_expectation(scenario, line):
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if word == "connections":
        scenario.connections.append(_parse_connections(rest))
    elif word in ("ringdns", "responder", "server", "memory"):
        scenario.counters += _parse_counters(word, rest)
    elif word in scenario.outcomes:
        raise Bad(f"a second expectation of {word}")
    elif word:
        scenario.outcomes[word] = _parse_outcome(rest)


def _parse_outcome(text):
    match = re.fullmatch(r"(.*?)(?:, asked (once|\S+ times))?", text)
    text, times = match.groups()
    asked = None
    if times:
        asked = Range(1, 1) if times == "once" else Range.parse(times.split()[0])
    match = re.fullmatch(r"failed ([A-Z]+)", text)
    if match:
        if match[1] not in REASONS:
            raise Bad(f"no reason of a failure: {match[1]}")
        return Outcome(False, match[1], asked=asked)
    match = re.fullmatch(r"answered (?:([A-Z]+) )?over (UDP|TCP) with (.+)", text)
    if not match:
        raise Bad("expected 'answered [RCODE] over UDP|TCP with DATA[, asked N times]' or "
                  "'failed REASON[, asked N times]'")
    return Outcome(True, match[1] or "NOERROR", match[2], match[3], asked)


def _parse_connections(text):
    match = re.fullmatch(r"(?:to servers? (\d+)(?:-(\d+))?:? )?(none|\S+?)(?:, ended by (.+))?",
                         text)
    if not match:
        raise Bad("expected 'connections [to server K] none|N[, ended by our FIN N, ...]'")
    first, last, accepted, ends = match.groups()
    ended = None
    if ends:
        ended = {key: Range(0, 0) for key in ENDS.values()}
        for part in ends.split(", "):
            match = re.fullmatch(r"((?:our|its) (?:FIN|RST)) (\S+)", part)
            if not match:
                raise Bad(f"expected 'our|its FIN|RST N', not {part!r}")
            ended[ENDS[match[1]]] = Range.parse(match[2])
    servers = (int(first), int(last or first)) if first else ()
    return Connections(servers, Range.parse("0" if accepted == "none" else accepted), ended)


def _parse_counters(word, rest):
    whose = (word,)
    if word == "server":
        number, _, rest = rest.partition(" ")
        whose = (word, int(number))
    if word == "memory":
        match = re.fullmatch(r"at most (\d+) MiB", rest)
        if not match:
            raise Bad("expected 'memory at most N MiB'")
        return [Counter(whose, "", Range(0, int(match[1])))]
    counters = []
    for part in rest.split(","):
        words = part.split()
        if len(words) != 2:
            raise Bad(f"expected 'KEY RANGE[, KEY RANGE ...]', not {part.strip()!r}")
        counters.append(Counter(whose, words[0], Range.parse(words[1])))
    return counters


def _check(scenario):
    if not re.search(r"\b(RFC \d+|REQ \d+)", scenario.title):
        raise Bad("the title names no RFC or REQ that the expected reaction follows")
    for what, given in (("fault", scenario.faults), ("plan", scenario.plan),
                        ("ask", scenario.groups()), ("expect", scenario.outcomes)):
        if not given:
            raise Bad(f"a scenario without {what!r}")
    if not scenario.connections:
        raise Bad("no expectation of connections")
    groups = [group.name for group in scenario.groups()]
    if len(set(groups)) != len(groups):
        raise Bad("two groups of one name: their outcomes could not be told apart")
    if set(groups) != set(scenario.outcomes):
        odd = sorted(set(groups) ^ set(scenario.outcomes))
        raise Bad("asked but not expected, or expected but not asked: " + ", ".join(odd))
    for group in scenario.groups():
        if scenario.outcomes[group.name].asked and not scenario.own_rules(group):
            raise Bad(f"how often {group.name} was asked takes a rule of its own")
        for first, last in [group.servers] if group.servers else []:
            if not 1 <= first <= last <= scenario.servers:
                raise Bad(f"{group.name} is asked at a server that does not exist")
