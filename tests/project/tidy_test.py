"""scripts/tidy: small trees with one fault each, and the tree that this file is in."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
TIDY = os.path.join(ROOT, "scripts", "tidy.py")

SOUND = {
    "meson.build": "",
    "README.md": "",
    "src/README.md": "| 0 | base.hpp | | ids |\n"
                     "| 1 | io.hpp | io_epoll.cpp, io_sockets.hpp | the seam |\n"
                     "| 1 | input.hpp | input.cpp | lines |\n"
                     "| 2 | transport.hpp | udp.cpp | queries |\n"
                     "| 3 | | main.cpp | wiring |\n",
    "include/ringdns/base.hpp": "// Level 0: words.\nstruct Fd { explicit Fd(int fd); };\n",
    "include/ringdns/io.hpp": '// Level 1: the seam.\n#include "ringdns/base.hpp"\n',
    "include/ringdns/input.hpp": '// Level 1: lines.\n#include "ringdns/base.hpp"\n',
    "include/ringdns/transport.hpp": '// Level 2: queries.\n#include "ringdns/io.hpp"\n',
    "src/io_sockets.hpp": '#include <sys/socket.h>\n#include "ringdns/io.hpp"\n',
    "src/io_epoll.cpp": '#include <sys/epoll.h>\n#include "io_sockets.hpp"\n'
                        '#include "ringdns/io.hpp"\n',
    "src/input.cpp": '#include "ringdns/input.hpp"\n#include <cstring>\n',
    "src/udp.cpp": '#include "ringdns/transport.hpp"\n#include "ringdns/input.hpp"\n',
    "src/main.cpp": '// Level 3: wiring.\n#include "ringdns/transport.hpp"\n',
}


def tidy(root):
    return subprocess.run([sys.executable, TIDY, root], capture_output=True, text=True)


class Tidy(unittest.TestCase):
    def complaints(self, **changes):
        """Of the sound tree with some files changed: name=content, None removes."""
        with tempfile.TemporaryDirectory() as root:
            files = {**SOUND, **changes.pop("files", {})}
            for path, content in files.items():
                if content is None:
                    continue
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w") as file:
                    file.write(content)
            done = tidy(root)
        lines = done.stdout.splitlines()
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 1 if lines and "in their rooms" not in lines[-1] else 0)
        return [line for line in lines if "in their rooms" not in line]

    def check(self, files, *expected):
        self.assertEqual(self.complaints(files=files), list(expected))

    def test_a_sound_tree(self):
        self.check({})

    def test_this_tree(self):
        done = tidy(ROOT)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_an_include_upwards(self):
        self.check({"include/ringdns/io.hpp": '// Level 1: x\n#include "ringdns/transport.hpp"\n'},
                   "include/ringdns/io.hpp:2: includes upwards: ringdns/transport.hpp is of level 2, "
                   "room io of level 1")

    def test_an_include_sideways(self):
        self.check({"include/ringdns/input.hpp": '// Level 1: x\n#include "ringdns/io.hpp"\n'},
                   "include/ringdns/input.hpp:2: includes sideways: ringdns/io.hpp is of level 1, "
                   "room input of level 1")

    def test_a_source_that_includes_sideways(self):
        self.check({"src/input.cpp": '#include "ringdns/input.hpp"\n\n#include "ringdns/io.hpp"\n'},
                   "src/input.cpp:3: includes sideways: ringdns/io.hpp is of level 1, room input of "
                   "level 1")

    def test_an_internal_header_of_another_room(self):
        self.check({"src/udp.cpp": '#include "ringdns/transport.hpp"\n',
                    "src/input.cpp": '#include "ringdns/input.hpp"\n#include "io_sockets.hpp"\n'},
                   "src/input.cpp:2: includes sideways: io_sockets.hpp is of level 1, room input of "
                   "level 1")

    def test_a_header_without_a_level(self):
        self.check({"include/ringdns/base.hpp": "struct Fd {};\n"},
                   "include/ringdns/base.hpp:1: the first line does not state a level "
                   "(// Level N: ...)")

    def test_a_level_that_is_not_the_rooms(self):
        self.check({"src/input.cpp": '// Level 2: x\n#include "ringdns/input.hpp"\n'},
                   "src/input.cpp:1: states level 2, but its room input has level 1")

    def test_a_source_of_no_room(self):
        self.check({"src/input.cpp": None, "src/stray.cpp": "int f();\n",
                    "src/README.md": SOUND["src/README.md"].replace("input.cpp", "stray.cpp")},
                   "src/stray.cpp: belongs to no room: it includes no header that has a level")

    def test_an_include_that_is_not_there(self):
        self.check({"src/input.cpp": '#include "ringdns/input.hpp"\n#include "ringdns/gone.hpp"\n'},
                   "src/input.cpp:2: includes ringdns/gone.hpp, which is not there")

    def test_kernel_headers_above_the_seam(self):
        self.check({"src/udp.cpp": '#include <liburing.h>\n#include <sys/epoll.h>\n'
                                   '#include <sys/socket.h>\n#include "ringdns/transport.hpp"\n'},
                   "src/udp.cpp:1: includes <liburing.h>: that belongs below the seam",
                   "src/udp.cpp:2: includes <sys/epoll.h>: that belongs below the seam",
                   "src/udp.cpp:3: includes <sys/socket.h>: that belongs below the seam")

    def test_a_raw_descriptor_in_an_interface(self):
        self.check({"include/ringdns/io.hpp": "// Level 1: x\n// int fd in a comment\n"
                                              "void adopt(int fd);\n"},
                   "include/ringdns/io.hpp:3: a raw descriptor in an interface: use Fd")

    def test_a_long_file(self):
        sound = SOUND["src/input.cpp"]
        self.check({"src/input.cpp": sound + "\n" * (450 - sound.count("\n"))})
        self.check({"src/input.cpp": sound + "\n" * (451 - sound.count("\n"))},
                   "src/input.cpp: 451 lines, more than 450")

    def test_a_stray_folder(self):
        self.check({"docs/page.md": "", ".ci/run": "", "LICENSE": ""},
                   "docs: is outside the agreed top level")

    def test_what_is_left_open(self):
        self.check({"src/input.cpp": SOUND["src/input.cpp"] + "// TODO: x\n", "scripts/go": "# FIXME\n",
                    "tests/a_test.py": "# mastodon\n"},
                   "scripts/go:1: left open: FIXME", "src/input.cpp:3: left open: TODO")

    def test_the_table_of_rooms(self):
        table = SOUND["src/README.md"]
        self.check({"src/README.md": table.replace("| 2 | transport", "| 3 | transport")},
                   "src/README.md: puts include/ringdns/transport.hpp at level 3, it is of level 2",
                   "src/README.md: puts src/udp.cpp at level 3, it is of level 2")
        self.check({"src/README.md": table.replace("input.cpp", "")},
                   "src/README.md: does not name src/input.cpp")
        self.check({"src/README.md": table.replace("udp.cpp", "udp.cpp, tcp.cpp")},
                   "src/README.md: names src/tcp.cpp, which is not there")
        self.check({"src/README.md": table.replace("io_epoll.cpp, io_sockets.hpp", "io_*")})
        self.check({"src/README.md": None}, "src/README.md: is missing: it explains the rooms")


if __name__ == "__main__":
    unittest.main(verbosity=2)
