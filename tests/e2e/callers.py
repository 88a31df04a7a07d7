"""What the tests of massdns's callers share: ringdns under the name of massdns, and readers that
take its output as the callers' own sources do. The sources were read (puredns 46bd4c9, shuffledns
bc31821, bbot 989bd78, OneForAll cefa100, axiom 5d07d4a, massdns master); the readers are ours."""

import asyncio
import contextlib
import ipaddress
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import time

import support

# What stands in for the internet. A hash is an address that a test can compute.
ZONE = """
*.gone.test.     rcode NXDOMAIN ; authority test. SOA ns.test. host.test. 1 3600 600 86400 300
*.alias.test.    answer CNAME web.test. ; web.test. A 192.0.2.80 ; web.test. A 192.0.2.81
*.empty.test.    rcode NOERROR
*.flaky.test.    tries ..2 rcode SERVFAIL
*.refused.test.  rcode REFUSED
*.cut.test.      truncate answer A hash
*.test.          answer A hash ; answer TXT "a text with blanks" ; answer MX 10 mail.test.
"""
KINDS = ["", ".gone", ".alias", ".empty", ".flaky", ".refused", ".cut"]


def names_of_all_kinds(count):
    return [f"n{i}{KINDS[i % len(KINDS)]}.test" for i in range(count)]


def kind_of(name):
    return name.rstrip(".").split(".")[1]


def hash_address(name):
    """The responder's `A hash` (tests/responder/README.md)."""
    number = 2166136261
    for octet in (name.rstrip(".") + ".").lower().encode():
        number = (number ^ octet) * 16777619 % 2 ** 32
    return str(ipaddress.IPv4Address(0x0A000000 | number & 0xFFFFFF))


def found(name):
    """The records that a caller finds for it: nothing where it finds none."""
    kind = kind_of(name)
    if kind == "alias":
        return [("CNAME", "web.test"), ("A", "192.0.2.80"), ("A", "192.0.2.81")]
    if kind in ("gone", "empty", "refused"):
        return []
    return [("A", hash_address(name))]


class AsMassdns(support.Case):
    """ringdns is `massdns` in PATH, with an argument vector that says nothing of a backend: where
    it is to be epoll, io_uring is denied from outside, as a container does it."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("bin"))
        os.symlink(os.path.abspath(support.RINGDNS), self.path("bin/massdns"))
        self.environment = {**os.environ, "PATH": self.path("bin") + ":" + os.environ["PATH"]}
        self.wrapper = [support.DENY_IO_URING] if self.io == "epoll" else []

    def resolvers(self, rules=ZONE, **where):
        return self.write("resolvers.txt", "\n".join(self.responder(rules, **where)) + "\n")

    def lines(self, name, lines):
        return self.write(name, "".join(line + "\n" for line in lines))

    def massdns(self, *arguments, **run):
        return subprocess.run([*self.wrapper, "massdns", *map(str, arguments)], cwd=self.dir,
                              env=self.environment, timeout=support.PATIENCE, **run)

    def start_massdns(self, *arguments, **popen):
        process = subprocess.Popen([*self.wrapper, "massdns", *map(str, arguments)], cwd=self.dir,
                                   env=self.environment, **popen)
        self.stack.callback(support.end, process)
        return process

    def shell(self, script, *arguments, **run):
        """A script in bash that calls massdns by its name."""
        run = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **run}
        return subprocess.run([*self.wrapper, "bash", "-c", script, "bash", *arguments],
                              cwd=self.dir, env=self.environment, timeout=support.PATIENCE, **run)

    def content(self, name, mode="r"):
        with open(self.path(name), mode) as file:
            return file.read()


# puredns

class SlowLines:
    """puredns's line reader: it hands out as many lines as its rate allows, then sleeps."""

    def __init__(self, names, per_turn):
        self.names, self.per_turn = list(names), per_turn
        self.taken = 0

    def feed(self, stdin):
        with contextlib.suppress(BrokenPipeError):  # which is massdns's exit code to tell
            while self.taken < len(self.names):
                lines = self.names[self.taken:self.taken + self.per_turn]
                stdin.write("".join(line + "\n" for line in lines).encode())
                stdin.flush()
                self.taken += len(lines)
                time.sleep(0.02)
            stdin.close()


class PurednsCache:
    """A blank line begins a reply. Its first record's owner names the domain, whatever owns the
    further ones. A line that is not three words makes the rest of the reply void; records of other
    types than A, AAAA and CNAME do not count. read() stops at a blank line once it has `most`
    domains, and goes on from there."""

    def __init__(self, file):
        self.lines = iter(file)
        self.found = {}

    def read(self, most=0):
        state, domain, saved, count = "begin", None, False, 0
        for line in self.lines:
            line = line.rstrip("\n")
            if line == "":
                state = "begin"
                if most and count == most:
                    break
                continue
            if state == "skip":
                continue
            words = line.split(" ")
            if len(words) != 3 or (state == "begin" and words[0] in ("", ".")):
                state = "skip"
                continue
            if state == "begin":
                domain, state, saved = words[0].removesuffix("."), "save", False
            if words[1] not in ("A", "AAAA", "CNAME"):
                continue
            if not saved:
                count, saved = count + 1, True
            data = words[2].removesuffix(".") if words[1] == "CNAME" else words[2]
            self.found.setdefault(domain, []).append((words[1], data))
        return count


# shuffledns

def shuffledns_hosts(file):
    """{domain: addresses}. A blank line ends a reply; NS voids the addresses behind it; the first
    CNAME's owner, or else the first A's, is the domain. Lines of other than three words are passed
    over."""
    hosts = {}
    domain, addresses, in_alias, after_ns = "", [], False, False
    for line in itertools.chain(file, ["\n"]):
        line = line.rstrip("\n")
        words = line.split(" ")
        if line == "":
            if domain:
                hosts.setdefault(domain, []).extend(addresses)
                domain, addresses, in_alias, after_ns = "", [], False, False
        elif len(words) == 3 and words[1] == "NS":
            after_ns = True
        elif len(words) == 3 and words[1] == "CNAME" and not in_alias:
            domain, in_alias, after_ns = words[0].removesuffix("."), True, False
        elif len(words) == 3 and words[1] == "A" and not after_ns:
            if not in_alias and not domain:
                domain = words[0].removesuffix(".")
            addresses.append(words[2])
    return hosts


# bbot

class Bbot:
    """An asynchronous process: names go in one by one as they are made, lines come out as they are
    there, stderr is not looked at. Stops it with SIGINT when `enough` hosts were seen. After 1000
    names it waits for the first line, which thus has to come while the input is still open."""

    def __init__(self, case, arguments, names, domain, enough=None):
        self.case, self.arguments, self.names = case, arguments, names
        self.domain, self.enough = domain, enough
        self.hosts = {}

    def run(self):
        return asyncio.run(self.go())

    async def go(self):
        process = await asyncio.create_subprocess_exec(
            *self.case.wrapper, self.case.path("bin/massdns"), *self.arguments,
            env=self.case.environment, limit=100 << 20, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.first_came = asyncio.Event()
        feeding = asyncio.create_task(self.feed(process.stdin))
        while line := await asyncio.wait_for(process.stdout.readline(), support.PATIENCE):
            self.first_came.set()
            self.take(line.decode().rstrip("\r\n"))
            if self.enough and len(self.hosts) >= self.enough:
                process.send_signal(signal.SIGINT)
                feeding.cancel()
                self.enough = None
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await feeding
        return await process.wait()

    async def feed(self, stdin):
        for number, name in enumerate(self.names, 1):
            stdin.write(name.encode() + b"\n")
            await stdin.drain()
            if number == 1000:
                await asyncio.wait_for(self.first_came.wait(), support.PATIENCE)
            if number % 100 == 0:
                await asyncio.sleep(0.001)  # it has other modules to run
        stdin.close()

    def take(self, line):
        answers = json.loads(line).get("data", {}).get("answers", [])
        if not isinstance(answers, list) or not answers:
            return
        host = answers[0].get("name", "").strip(".").lower()
        kind, data = answers[0].get("type", "").upper(), answers[0].get("data", "")
        if host.endswith("." + self.domain) and data and kind:
            self.hosts.setdefault(host, (kind, data))


# OneForAll

def oneforall_hosts(path):
    """{name: addresses} of the names whose reply has A records. Every line has a status, and a
    `data`: without one its reader ends in an exception."""
    hosts = {}
    with open(path) as file:
        for line in file:
            reply = json.loads(line.strip())
            if reply.get("status") != "NOERROR" or "answers" not in reply.get("data"):
                continue
            for answer in reply["data"]["answers"]:
                assert isinstance(answer["ttl"], int) and answer["name"].endswith(".")
                if answer["type"] == "A":
                    hosts.setdefault(reply["name"][:-1], []).append(answer["data"])
            assert re.fullmatch(r"[\d.]+:\d+", reply["resolver"])
    return hosts


# massdns's recon.py

class Recon:
    """Follows the status on stderr while it runs, then reads the output files in turns, a line of
    each: what was found, what is delegated and where, and what failed."""

    def __init__(self, case, arguments, output, processes, zone):
        self.found, self.delegated, self.failed = set(), set(), set()
        self.zone = zone.split(".")
        process = case.start_massdns(*arguments, stderr=subprocess.PIPE)
        self.progress = [json.loads(line)["processed_queries"] for line in process.stderr]
        self.exit_code = process.wait(support.PATIENCE)
        paths = [output] if processes == 1 else [output + str(i) for i in range(processes)]
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(path)) for path in paths]
            for lines in itertools.zip_longest(*files):
                for line in lines:
                    if line is not None:
                        self.take(json.loads(line))

    def take(self, reply):
        name = reply["name"].rstrip(".")
        if "data" not in reply:
            if "error" in reply:
                self.failed.add(name)
            return
        if "aa" not in reply["flags"] and reply["status"] == "NOERROR":
            cut = self.nearest_cut(reply["data"].get("authorities", []))
            if cut and (name == cut or name.endswith("." + cut)):
                self.delegated.add(cut)
                return
        self.found.add(name)

    def nearest_cut(self, authorities):
        """The shortest owner of an NS record in the zone."""
        owners = [record["name"].rstrip(".") for record in authorities if record["type"] == "NS"]
        within = [owner for owner in owners if owner.split(".")[-len(self.zone):] == self.zone]
        return min(within, key=lambda owner: owner.count("."), default=None)


# massdns's dnsparse.py

def read_binary(path):
    """[(time, address, port, packet)] of a file that -o B wrote, by what its header says of the
    machine that wrote it; a file that ends within a record is an error."""
    with open(path, "rb") as file:
        octets = file.read()
    if octets[:8] != b"massdns\0":
        raise ValueError("not massdns's magic")
    order = {b"\x78\x56\x34\x12": "<", b"\x12\x34\x56\x78": ">"}[octets[8:12]]
    letter = {1: "B", 2: "H", 4: "I", 8: "Q"}
    size_t = octets[16]
    at = 17

    def numbers(count):
        nonlocal at
        values = struct.unpack_from(order + letter[size_t] * count, octets, at)
        at += count * size_t
        return values

    time_size, storage_size, family_at, family_size, port_size = numbers(5)
    families = {}
    for address_size in (4, 16):
        family = octets[at:at + family_size]
        at += family_size
        families[family] = (*numbers(2), address_size)
    results = []
    while at < len(octets):
        (when,) = struct.unpack_from(order + letter[time_size], octets, at)
        storage = octets[at + time_size:at + time_size + storage_size]
        at += time_size + storage_size
        (length,) = struct.unpack_from(order + "H", octets, at)
        packet = octets[at + 2:at + 2 + length]
        at += 2 + length
        if len(packet) < length:
            raise ValueError("ends within a packet")
        address_at, port_at, size = families[storage[family_at:family_at + family_size]]
        address = ipaddress.ip_address(storage[address_at:address_at + size])
        (port,) = struct.unpack_from("!" + letter[port_size], storage, port_at)
        results.append((when, str(address), port, packet))
    return results


# Full text, as axiom's users and massdns's own tests take it

def read_full_text(text):
    """A dict for each reply: server, status, flags, question, and the records of its sections."""
    replies, section = [], None
    for line in text.splitlines():
        if header := re.fullmatch(r";; Server: (.+)", line):
            replies.append({"server": header[1], "records": {}})
        elif header := re.fullmatch(r";; ->>HEADER<<- opcode: QUERY, status: (\w+), id: \d+", line):
            replies[-1]["status"] = header[1]
        elif header := re.fullmatch(r";; flags: ([a-z ]*); QUERY: 1, ANSWER: (\d+), AUTHORITY: "
                                    r"(\d+), ADDITIONAL: (\d+)", line):
            replies[-1]["flags"] = header[1].split()
            replies[-1]["answers"] = int(header[2])
        elif header := re.fullmatch(r";; ([A-Z]+) SECTION:", line):
            section = header[1]
        elif header := re.fullmatch(r";; (Size|Unix time): (\d+)", line):
            replies[-1][header[1]] = int(header[2])
        elif line and section == "QUESTION":
            replies[-1]["question"] = line
        elif line:
            replies[-1]["records"].setdefault(section, []).append(line)
    return replies
