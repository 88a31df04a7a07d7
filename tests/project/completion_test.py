"""What `--completion` writes, loaded into the shells themselves. One that is missing is skipped."""

import contextlib
import os
import pty
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from manual_test import run

BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"

# (the words before the cursor, some of what must be offered, what must not)
CASES = [
    (["--tc"], {"--tcp-only", "--tcp-mss", "--tcp-raw"}, {"--type", "-t"}),
    (["-q", "--retr"], {"--retry"}, {"--resolvers"}),
    (["-t", "AA"], {"AAAA"}, {"A", "MX"}),
    (["-t", "MX,CAA"], {"MX,CAA"}, {"CAA", "MX,A"}),
    (["--types", "DNSK"], {"DNSKEY"}, {"DS"}),
    (["-o", "J"], {"J", "Ja", "Je"}, {"S", "L"}),
    (["--filter", "NX"], {"NXDOMAIN", "NXRRSET"}, {"NOERROR"}),
    (["--retry", "SERVFAIL,REF"], {"SERVFAIL,REFUSED"}, {"REFUSED"}),
    (["--retry", "nev"], {"never"}, {"NOERROR"}),
    (["-s", "a"], {"auto"}, {"file-of-names"}),
    (["--io", "ep"], {"epoll"}, {"auto", "io_uring"}),
    (["--status-format", "j"], {"json"}, {"ansi"}),
    (["--drop-user", "roo"], {"root"}, {"file-of-names"}),
    (["-r", "file-of"], {"file-of-names"}, set()),
    (["-w", "file-of"], {"file-of-names"}, set()),
    (["-q", "file-of"], {"file-of-names"}, set()),
    (["-i", "file-of"], set(), {"file-of-names"}),  # a number is asked for
]

# Makes the key ^T write what zsh's completion offers at the cursor into a file, with an empty line
# behind. compadd is how every completion function offers; with -O, -A or -D it only computes.
ZSH = r"""
PS1= PS2= RPS1=
fpath=($PWD $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
  [[ ${@[1,(i)(-|--)]} == *-[OAD]\ * ]] ||
    { builtin compadd -A hits "$@"; print -l -- $hits >>offered }
  builtin compadd "$@"
}
tell() { local -a hits; _main_complete; print >>offered }
zle -C tell list-choices tell
bindkey '^T' tell
print >>offered
"""


def program(name):
    return unittest.skipUnless(shutil.which(name), f"{name} is not installed")


class Completion(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ringdns-completion-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.write("file-of-names", "")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def script(self, shell, name):
        done = run("--completion", shell)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return self.write(name, done.stdout)

    def environment(self):
        """With nothing of the user's own configuration."""
        return {**os.environ, "HOME": self.dir, "ZDOTDIR": self.dir, "XDG_CONFIG_HOME": self.dir,
                "XDG_DATA_HOME": self.dir, "TERM": "dumb", "LC_ALL": "C"}

    def shell(self, *command):
        done = subprocess.run(command, cwd=self.dir, env=self.environment(), capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=240)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def check_cases(self, offered):
        """offered(words): what the shell offers for the last of them."""
        for command in ("ringdns", "massdns"):
            for words, wanted, unwanted in CASES:
                with self.subTest(command=command, words=words):
                    found = offered([command, *words])
                    self.assertLessEqual(wanted, found)
                    self.assertFalse(unwanted & found, found)

    def test_a_shell_that_is_not_known(self):
        done = run("--completion", "tcsh")
        self.assertEqual(done.returncode, 1)
        self.assertIn('"tcsh" is not a shell', done.stderr)

    @program("bash")
    def test_bash(self):
        script = self.script("bash", "ringdns.bash")

        def offered(words):
            answer = self.shell("bash", "--norc", "-c", r"""
                source "$0"
                COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
                way=$(complete -p "$1") && [[ $way =~ -F\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" "$1"
                printf '%s\n' "${COMPREPLY[@]}" """, script, *words)
            return set(answer.splitlines())

        self.check_cases(offered)
        # As bash splits --option=value.
        self.assertEqual(offered(["ringdns", "--io", "=", "ep"]), {"epoll"})
        self.assertEqual(offered(["ringdns", "--io", "="]), {"auto", "io_uring", "epoll"})
        self.assertEqual(offered(["ringdns", "-"]) & {"-t", "--help"}, {"-t", "--help"})

    @unittest.skipUnless(os.path.exists(BASH_COMPLETION), "bash-completion is not installed")
    def test_bash_completion_loads_it_by_the_name_of_the_command(self):
        folder = self.path("bash-completion/completions")
        os.makedirs(folder)
        self.script("bash", os.path.join(folder, "ringdns.bash"))
        os.symlink("ringdns.bash", os.path.join(folder, "massdns.bash"))
        for command in ("ringdns", "massdns"):
            found = self.shell("bash", "--norc", "-c", 'source "$0"; _completion_loader "$1"; '
                               'complete -p "$1"', BASH_COMPLETION, command)
            self.assertEqual(found, f"complete -F _ringdns {command}\n")

    @program("shellcheck")
    def test_bash_script_is_clean(self):
        self.shell("shellcheck", "-s", "bash", self.script("bash", "ringdns.bash"))

    @program("fish")
    def test_fish(self):
        script = self.script("fish", "ringdns.fish")
        self.shell("fish", "--no-execute", script)

        def offered(words):
            line = " ".join(words)
            answer = self.shell("fish", "--no-config", "-c",
                                "source $argv[1]; complete -C $argv[2]", script, line)
            return {option.split("\t")[0] for option in answer.splitlines()}

        self.check_cases(offered)
        self.assertEqual(offered(["ringdns", "--io=ep"]), {"--io=epoll"})

    @program("zsh")
    def test_zsh(self):
        self.shell("zsh", "-n", self.script("zsh", "_ringdns"))
        terminal, end = pty.openpty()
        self.addCleanup(os.close, terminal)
        zsh = subprocess.Popen(["zsh", "-f", "-i"], cwd=self.dir, start_new_session=True,
                               env=self.environment(), stdin=end, stdout=end, stderr=end)
        os.close(end)
        self.addCleanup(lambda: (zsh.kill(), zsh.wait()))
        drain = threading.Thread(target=self.drain, args=(terminal,), daemon=True)
        drain.start()

        def answer_to(keys):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path("offered"))
            os.write(terminal, keys.encode())
            until = time.monotonic() + 240
            while time.monotonic() < until:
                with contextlib.suppress(FileNotFoundError), open(self.path("offered")) as file:
                    text = file.read()
                    if text == "\n" or text.endswith("\n\n"):
                        return set(text.split())
                time.sleep(0.01)
            self.fail("zsh does not complete")

        def offered(words):
            before = re.sub("[^,]*$", "", words[-1])  # zsh offers the items of a list by themselves
            return {before + word for word in answer_to("\x15" + " ".join(words) + "\x14")}

        self.write("setup", ZSH)
        answer_to("source ./setup\n")
        self.check_cases(offered)

    def drain(self, terminal):
        with contextlib.suppress(OSError):  # the terminal is gone
            while os.read(terminal, 65536):
                pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
