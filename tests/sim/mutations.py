#!/usr/bin/env python3
"""Plants one bug at a time into a copy of the sources, and sees whether the tests find it.

Usage: mutations.py BUILD [NAME...]

BUILD is a build directory with tests that is up to date. A bug is one edit of one file; only what
that edit changes is compiled anew, and linked in front of BUILD's library. The exit code is 1 when
a bug stays unfound, or an edit fits its file no longer."""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SEEDS = 400        # a bug that these do not show is unfound

# of: the sources to be compiled anew, where the edit is of a header. suite: the program that is to
# find it, with its arguments.
SIM = ("tests/sim/sim", "1", SEEDS)
Bug = namedtuple("Bug", "name file before after of suite", defaults=((), SIM))

BUGS = [
    Bug("a connection's death forgets its lookups", "src/tcp.cpp",
        "      push(connection.server, slot, true);\n", ""),
    Bug("an id is free again while its query is out", "src/engine.cpp",
        "  lookup.choose = true;\n  lookup.icmp",
        "  if (lookup.has_port) udp_.release(lookup);\n  lookup.choose = true;\n  lookup.icmp"),
    Bug("no tombstone for a query over TCP that timed out", "src/tcp_queue.cpp",
        "  connection.window.bury(ticket.id);\n", "  connection.window.release(ticket.id);\n"),
    Bug("what is truncated over UDP is accepted", "include/ringdns/policy.hpp",
        "  if (reply.truncated) {\n", "  if (reply.truncated && reply.over_tcp) {\n",
        of=("src/engine_replies.cpp",)),
    Bug("what is truncated over TCP is accepted", "include/ringdns/policy.hpp",
        "if (reply.over_tcp) return Action::retry;", "if (reply.over_tcp) return Action::accept;",
        of=("src/engine_replies.cpp",)),
    Bug("a query that met a full queue is not sent again", "src/engine_replies.cpp",
        "    return make_ready(completion.token.slot);\n  }\n  ++stats_.send_errors;",
        "    return;\n  }\n  ++stats_.send_errors;"),
    Bug("framing is off by one", "include/ringdns/framing.hpp",
        "        wanted += length;", "        wanted += length - 1;", of=("src/tcp.cpp",)),
    Bug("framing loses what is held", "include/ringdns/framing.hpp",
        "        held_.append(bytes);\n        return", "        return", of=("src/tcp.cpp",)),
    Bug("a duplicate's output is forgotten", "src/engine_output.cpp",
        "  Repeat repeat{{}, times};", "  Repeat repeat{{}, times - 1};"),
    Bug("the source address is not verified", "src/engine_replies.cpp",
        "  if (asking < 0) {\n", "  if (asking < -1) {\n"),
    Bug("the question is not verified, over UDP", "src/udp.cpp",
        "  return {Verdict::wrong_question, slot};", "  return {Verdict::match, slot};"),
    Bug("the question is not verified, over TCP", "src/tcp.cpp",
        "  if (!continues && match_question", "  if (continues && match_question"),
    Bug("the port is not verified", "src/udp.cpp",
        "completion.token.slot < ports_.size() ? &ports_[completion.token.slot]",
        "completion.token.slot < ports_.size() ? &ports_[0]"),
    Bug("QR is not verified", "src/udp.cpp", "if (!header.qr() || ", "if ("),
    Bug("a slot leaks where a try times out", "src/engine_replies.cpp",
        "  fail_try(slot, lookup.icmp ?",
        "  if (lookup.tries < 200) return;\n  fail_try(slot, lookup.icmp ?"),
    Bug("the last line without a newline is lost", "src/input.cpp",
        "ends_here = finished_ && length > 0;", "ends_here = finished_ && length > max_line;"),
    Bug("a late reply finds the lookup that is over", "include/ringdns/lookups.hpp",
        "    holder_[id] = none;\n", "", of=("src/udp.cpp",)),
    Bug("a connection is not closed", "src/tcp.cpp",
        "  io_.close_connection(connection.stream, kind);\n",
        "  if (kind == CloseKind::fin) io_.close_connection(connection.stream, kind);\n"),
    Bug("answers are counted once a lookup, not once a line", "src/engine.cpp",
        "  stats_.answered += lookup.copies;\n", "  stats_.answered += 1;\n"),
    Bug("a failure's reason is miscounted", "src/engine.cpp",
        "  stats_.failed[static_cast<size_t>(reason)] += lookup.copies;\n",
        "  stats_.failed[0] += lookup.copies;\n"),
    Bug("results lost with the output are not counted", "src/sink.cpp",
        "  if (result >= 0) {\n    writing_results_ = 0;\n",
        "  writing_results_ = 0;\n  if (result >= 0) {\n"),
    Bug("a batch's queries share their memory", "src/udp.cpp", "  arena_used_ += length;\n", ""),
    Bug("a write is begun while another one is in flight", "src/sink.cpp",
        "  if (in_flight_ || pending() == 0) return;", "  if (pending() == 0) return;"),
    Bug("the wait ignores the lookups' deadlines", "src/engine.cpp",
        "  deadline = std::min({deadline, lookups_.next_deadline(), tcp_.next_deadline()});\n",
        "  deadline = std::min(deadline, tcp_.next_deadline());\n"),
    Bug("a reply is waited for twice as long", "src/engine_send.cpp",
        "lookups_.to_udp_wait(slot, now_ + wait)",
        "lookups_.to_udp_wait(slot, now_ + 2 * options_.interval)"),
    Bug("a name gets one try more than -c", "src/engine.cpp",
        "lookup.tries >= options_.tries", "lookup.tries > options_.tries"),
    Bug("a server without EDNS is asked plainly for ever", "include/ringdns/policy.hpp",
        "bool sent_edns = lookup.advertised != 0;", "bool sent_edns = lookup.advertised != 1;",
        of=("src/engine_replies.cpp",)),
    Bug("who leaves a TCP queue stays counted", "src/tcp_queue.cpp", "  --record.waiting;\n", ""),
    Bug("a table entry is lost where hashes collide", "include/ringdns/lookups.hpp",
        "((at - home) & mask_) >= ((at - hole) & mask_)",
        "((at - home) & mask_) > ((at - hole) & mask_) + 1",
        of=("src/engine.cpp", "src/engine_send.cpp")),
    Bug("the line to go on from is a line early", "src/feed.cpp",
        "  return {line_number_ + setup_.share.stride, 0};", "  return {line_number_, 0};"),
    Bug("of several types the last is not asked", "src/feed.cpp",
        "    while (type_ < types_.size()) {",
        "    while (type_ + (types_.size() > 1) < types_.size()) {"),
    Bug("the depth of a connection has no bound", "src/tcp.cpp",
        "std::min<uint32_t>(server.depth * 2u, options_.tcp_pipeline)",
        "std::min<uint32_t>(server.depth * 2u, 64)"),
    Bug("connects that fail by turns do not count", "src/tcp.cpp",
        "  if (unreachable) servers_.note", "  if (unreachable && record.connections == 1) servers_.note",
        suite=("tests/sim/sim", "1", str(5 * SEEDS))),
    Bug("a partial write to a pipe counts as a whole one", "src/io_epoll_streams.cpp",
        "    writing.done += static_cast<size_t>(put);\n", "    writing.done = writing.size;\n",
        suite=("tests/contract/contract", "-tc=a full pipe*")),
]


class Failure(Exception):
    pass


def edited(bug):
    """The file as the bug has it."""
    with open(os.path.join(ROOT, bug.file), encoding="utf-8") as file:
        text = file.read()
    if text.count(bug.before) != 1:
        raise Failure(f"{bug.file} has {text.count(bug.before)} places for its edit, not one:\n"
                      f"{bug.before}")
    return text.replace(bug.before, bug.after)


class Build:
    """What a build directory knows of compiling and linking."""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        with open(os.path.join(self.directory, "compile_commands.json"), encoding="utf-8") as file:
            entries = json.load(file)
        self.compile = {os.path.normpath(os.path.join(e["directory"], e["file"])):
                        shlex.split(e["command"]) for e in entries}
        self.links = {}

    def link_command(self, program):
        if program not in self.links:
            done = subprocess.run(["ninja", "-C", self.directory, "-t", "commands", program],
                                  capture_output=True, text=True, check=True)
            self.links[program] = shlex.split(done.stdout.splitlines()[-1])
        return list(self.links[program])

    def run(self, command):
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")

    def compile_changed(self, source, changed, overlay, out):
        """One source, with what the overlay has instead of the tree's own, quickly."""
        command = self.compile[os.path.join(ROOT, source)]
        dropped = re.compile(r"-O\w|-g\w*|-Werror|-M[DQF]?|.*\.o(\.d)?|-o|-c|.*/" +
                             re.escape(os.path.basename(source)))
        kept = [word for word in command if not dropped.fullmatch(word)]
        first = next(i for i, word in enumerate(kept) if word.startswith("-"))
        kept[first:first] = ["-I" + os.path.join(overlay, "include")]
        self.run(kept + ["-I" + os.path.join(ROOT, "src"), "-O1", "-w", "-o", out, "-c", changed])

    def link(self, program, objects, out):
        command = self.link_command(program)
        command[command.index("-o") + 1] = out
        # Found before the library, whose own of the same name is then not taken.
        place = next(i for i, word in enumerate(command) if word.endswith(".o"))
        self.run(command[:place] + objects + command[place:])


def plant(build, bug, overlay):
    """The suite's program with the bug in it."""
    place = os.path.join(overlay, bug.file)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "w", encoding="utf-8") as file:
        file.write(edited(bug))
    objects = []
    for source in bug.of or (bug.file,):
        changed = place if source == bug.file else os.path.join(ROOT, source)
        objects.append(os.path.join(overlay, os.path.basename(source) + ".o"))
        build.compile_changed(source, changed, overlay, objects[-1])
    program = os.path.join(overlay, "program")
    build.link(bug.suite[0], objects, program)
    return program


def seek(build, bug):
    """How the suite finds the bug; None: it does not."""
    with tempfile.TemporaryDirectory() as overlay:
        command = [plant(build, bug, overlay)] + [str(word) for word in bug.suite[1:]]
        done = subprocess.run(command, cwd=overlay, capture_output=True, text=True,
                              errors="replace")
    if done.returncode == 0:
        return None
    said = done.stderr.splitlines()
    seed = re.search(r"seed (\d+) failed", done.stderr)
    if not seed:
        return f"{os.path.basename(bug.suite[0])} {bug.suite[1]}"
    return f"seed {seed.group(1)}: {said[0].removeprefix('sim: ')[:90]}"


def main(arguments):
    if not arguments:
        print(__doc__)
        return 2
    build = Build(arguments[0])
    wanted = arguments[1:]
    bugs = [bug for bug in BUGS if not wanted or any(word in bug.name for word in wanted)]
    start = time.monotonic()
    unfound = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = {pool.submit(seek, build, bug): bug for bug in bugs}
        for done in concurrent.futures.as_completed(found):
            bug = found[done]
            try:
                how = done.result()
            except Failure as failure:
                how, unfound = f"CANNOT BE PLANTED: {failure}", unfound + 1
            else:
                unfound += how is None
            print(f"{bug.name:55} -> {how or 'NOT FOUND'}", flush=True)
    print(f"{len(bugs) - unfound} of {len(bugs)} planted bugs are found, "
          f"in {time.monotonic() - start:.0f} s")
    return 1 if unfound or not bugs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
