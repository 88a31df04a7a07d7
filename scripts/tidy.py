#!/usr/bin/env python3
"""Checks what a compiler does not: the rooms of the code, and the shape of the tree.

Usage: tidy.py [ROOT]

Every header of include/ringdns/ states its level in its first line: `// Level N: ...`. A room is one
such header with the sources and internal headers that fill it: those of its name, or of its name
and a suffix (io_uring.cpp), and else those whose highest header it is. A file includes only headers
of lower levels and of its own room."""

import fnmatch
import os
import re
import subprocess
import sys
from collections import namedtuple

LONGEST = 450  # lines

TOP_LEVEL = {"meson.build", "meson_options.txt", "README.md", "LICENSE",
             "src", "include", "subprojects", "tests", "scripts", "man"}
LEFT_OPEN = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# Who may talk to the kernel about what.
KERNEL = [
    (re.compile(r"liburing\.h|liburing/.*|linux/io_uring\.h|sys/epoll\.h|poll\.h"),
     re.compile(r"(src|include/ringdns)/io(_\w+)?\.[ch]pp")),
    (re.compile(r"sys/socket\.h|sys/uio\.h|sys/un\.h|netinet/.*|linux/(errqueue|net.*|udp|tcp)\.h"),
     re.compile(r"(src|include/ringdns)/(io(_\w+)?|address|setup)\.[ch]pp")),
]
RAW_DESCRIPTOR = re.compile(r"\bint\s+\w*fd\b|\bint\s+(descriptor|socket)\b")
KNOWS_DESCRIPTORS = "include/ringdns/base.hpp"  # Fd itself

LEVEL = re.compile(r"// Level (\d+)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
PUBLIC = "include/ringdns/"

Room = namedtuple("Room", "name level")


def listed(root):
    """The files of the tree: what git knows or would add, or all where there is no git."""
    if os.path.exists(os.path.join(root, ".git")):
        done = subprocess.run(["git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard"],
                              capture_output=True, text=True)
        if done.returncode == 0:
            return sorted(path for path in done.stdout.split("\0")
                          if path and os.path.isfile(os.path.join(root, path)))
    paths = []
    for directory, names, files in os.walk(root):
        top = os.path.relpath(directory, root)
        if top == ".":
            names[:] = [n for n in names if n != ".git" and not re.fullmatch(r"build(-.*)?", n)]
        names[:] = [n for n in names if n != "__pycache__"]
        paths += [os.path.normpath(os.path.join(top, file)) for file in files]
    return sorted(paths)


class Tree:
    def __init__(self, root):
        self.root = root
        self.paths = listed(root)
        self.text = {path: self.read(path) for path in self.paths if self.is_text(path)}
        self.code = [path for path in self.text
                     if re.fullmatch(r"(src|include)/.*\.[ch]pp", path)]
        self.complaints = []

    @staticmethod
    def is_text(path):
        return re.search(r"\.([ch]pp|py|build|txt|md|\d|wrap|rules|scenario)$", path) or \
            re.fullmatch(r"(scripts|\.ci)/\w+", path)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def complain(self, path, what, line=None):
        self.complaints.append(f"{path}:{line}: {what}" if line else f"{path}: {what}")

    # Rooms

    def level_of(self, path):
        found = LEVEL.match(self.text[path])
        return int(found.group(1)) if found else None

    def includes(self, path):
        """(path in the tree or None, the name as written, line) of each include."""
        for found in INCLUDE.finditer(self.text[path]):
            line = self.text[path].count("\n", 0, found.start(2)) + 1
            name = found.group(2)
            candidates = ["include/" + name, os.path.join(os.path.dirname(path), name)]
            yield next((c for c in candidates if c in self.text), None), name, line

    def headers(self):
        return [path for path in self.code if path.endswith(".hpp")]

    def check_levels_are_stated(self):
        for path in self.headers():
            if path.startswith(PUBLIC) and self.level_of(path) is None:
                self.complain(path, "the first line does not state a level (// Level N: ...)", 1)

    def room_of(self, path):
        stem = os.path.splitext(os.path.basename(path))[0]
        if path.startswith(PUBLIC):
            return Room(stem, self.level_of(path))
        public = {os.path.basename(p)[:-4]: p for p in self.headers() if p.startswith(PUBLIC)}
        named = [name for name in public if stem == name or stem.startswith(name + "_")]
        if named:
            name = max(named, key=len)
            return Room(name, self.level_of(public[name]))
        own = self.level_of(path)
        included = [t for t, _, _ in self.includes(path) if t in public.values()]
        if own is not None:  # it belongs to the public header of its level, or stands alone
            included = [t for t in included if self.level_of(t) == own]
            return self.room_of(included[0]) if included else Room(stem, own)
        included = [t for t in included if self.level_of(t) is not None]
        if not included:
            return Room(stem, None)
        return self.room_of(max(included, key=self.level_of))

    def check_includes(self):
        for path in self.code:
            room = self.room_of(path)
            own = self.level_of(path)
            if room.level is None:
                if path.endswith(".cpp") and self.text[path].strip():
                    self.complain(path, "belongs to no room: it includes no header that has a level")
                continue
            if own is not None and own != room.level:
                self.complain(path, f"states level {own}, but its room {room.name} has level "
                                    f"{room.level}", 1)
            for target, name, line in self.includes(path):
                if target is None:
                    if name.startswith("ringdns/"):
                        self.complain(path, f"includes {name}, which is not there", line)
                    continue
                other = self.room_of(target)
                if other.level is None or other.name == room.name or other.level < room.level:
                    continue
                way = "sideways" if other.level == room.level else "upwards"
                self.complain(path, f"includes {way}: {name} is of level {other.level}, "
                                    f"room {room.name} of level {room.level}", line)

    def check_kernel_headers(self):
        for path in self.code:
            for _, name, line in self.includes(path):
                for header, allowed in KERNEL:
                    if header.fullmatch(name) and not allowed.fullmatch(path):
                        self.complain(path, f"includes <{name}>: that belongs below the seam", line)

    def check_public_interfaces(self):
        for path in self.headers():
            if not path.startswith(PUBLIC) or path == KNOWS_DESCRIPTORS:
                continue
            for number, line in enumerate(self.text[path].splitlines(), 1):
                if RAW_DESCRIPTOR.search(line.split("//")[0]):
                    self.complain(path, "a raw descriptor in an interface: use Fd", number)

    # Shape

    def check_sizes(self):
        for path in self.code:
            lines = len(self.text[path].splitlines())
            if lines > LONGEST:
                self.complain(path, f"{lines} lines, more than {LONGEST}")

    def check_top_level(self):
        for top in sorted({path.split("/")[0] for path in self.paths}):
            if top not in TOP_LEVEL and not top.startswith("."):
                self.complain(top, "is outside the agreed top level")

    def check_nothing_is_left_open(self):
        for path, text in self.text.items():
            if re.fullmatch(r"scripts/tidy\.py|tests/project/tidy_test\.py", path):
                continue  # which name the words
            for number, line in enumerate(text.splitlines(), 1):
                found = LEFT_OPEN.search(line)
                if found:
                    self.complain(path, f"left open: {found.group(0)}", number)

    def check_the_table_of_rooms(self):
        """src/README.md's rows `| N | header | sources |` agree with the code."""
        page = "src/README.md"
        if page not in self.text:
            return self.complain(page, "is missing: it explains the rooms")
        shown = {}
        rows = re.findall(r"^\| *(\d+) *\|([^|\n]*)\|([^|\n]*)\|", self.text[page], re.M)
        for level, header, sources in rows:
            names = [PUBLIC + name for name in header.split()]
            names += ["src/" + name for name in re.split(r"[,\s]+", sources) if name]
            for name in names:  # which may be a pattern: io_uring*
                found = [p for p in self.code if fnmatch.fnmatchcase(p, name)]
                if not found:
                    self.complain(page, f"names {name}, which is not there")
                shown.update({path: int(level) for path in found})
        for path in self.code:
            level = self.room_of(path).level
            if path not in shown:
                self.complain(page, f"does not name {path}")
            elif level is not None and shown[path] != level:
                self.complain(page, f"puts {path} at level {shown[path]}, it is of level {level}")

    def check(self):
        self.check_levels_are_stated()
        self.check_includes()
        self.check_kernel_headers()
        self.check_public_interfaces()
        self.check_sizes()
        self.check_top_level()
        self.check_nothing_is_left_open()
        self.check_the_table_of_rooms()
        return self.complaints


def main(arguments):
    root = arguments[0] if arguments else os.path.join(os.path.dirname(__file__), "..")
    tree = Tree(os.path.abspath(root))
    for complaint in tree.check():
        print(complaint)
    if not tree.code:
        print("no code found")
        return 1
    if not tree.complaints:
        print(f"tidy: {len(tree.code)} source files in their rooms")
    return 1 if tree.complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
