"""What becomes of every input line is told, and what cannot be told ends the run: --unresolved, the
closing account, writes that fail, and checkpoints that do not fit."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter

import support

RULES = """
*.fail.test.    rcode SERVFAIL
*.silent.test.  drop
*.test.         answer A hash
"""


class Accounts(support.Case):
    def setUp(self):
        super().setUp()
        (self.server,) = self.responder(RULES)
        self.unresolved = self.path("unresolved")
        self.checkpoint = self.path("checkpoint")
        self.out = self.path("out")

    def resolve(self, names, *arguments, **kwargs):
        return self.run_ringdns("-r", self.server, "-o", "S", "-c", "2", "-i", "100", *arguments,
                                stdin=names, **kwargs)

    def lines(self, path):
        with open(path) as file:
            return file.read().splitlines()

    def assertFails(self, done, message):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(message, done.stderr.decode())

    # --unresolved

    def test_unresolved_lines_are_as_given_and_can_be_fed_back(self):
        lines = ["a.test", "  MX  b.fail.test. \t", "c.silent.test\r", "d.fail.test", "d.fail.test",
                 "e#f.fail.test", "#", "aaaa #", "b..test", "# a comment", "  ",
                 "g.test # and one more", "\\035.fail.test", "x" * 70000]
        done = self.resolve("\n".join(lines), "--unresolved", self.unresolved)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 2)
        first = self.lines(self.unresolved)
        failed = "  # MAXRETRIES after 2 tries"
        long = f'# INVALID line 14: line longer than 65536 octets: "{"x" * 60}..."'
        self.assertEqual(Counter(first), Counter([
            "MX  b.fail.test." + failed, "c.silent.test  # TIMEOUT after 2 tries",
            "d.fail.test" + failed, "d.fail.test" + failed, "e#f.fail.test" + failed, "#" + failed,
            "aaaa #" + failed, '# INVALID line 9: empty label: "b..test"',
            "\\035.fail.test" + failed, long]))
        again = self.resolve("\n".join(first), "--unresolved", self.unresolved)
        self.assertEqual(again.stdout, b"")
        self.assertEqual(Counter(self.lines(self.unresolved)),
                         Counter(line for line in first if not line.startswith("# INVALID")))

    def test_with_several_types_the_failed_ones_are_told(self):
        lines = f"a.fail.test {self.server}\nMX b.fail.test\n192.0.2.1 {self.server}\nc.test\n"
        arguments = ["-t", "A,PTR", "--extended-input", "--unresolved", self.unresolved]
        failed = "  # MAXRETRIES after 2 tries"
        expected = Counter([
            f"A a.fail.test {self.server}{failed}", f"PTR a.fail.test {self.server}{failed}",
            f"MX b.fail.test{failed}", f"A 192.0.2.1. {self.server}{failed}",
            f"PTR 1.2.0.192.in-addr.arpa. {self.server}{failed}"])
        self.resolve(lines, *arguments)
        first = self.lines(self.unresolved)
        self.assertEqual(Counter(first), expected)
        self.resolve("\n".join(first), *arguments)
        self.assertEqual(Counter(self.lines(self.unresolved)), expected)

    def test_interrupted_lines_are_unresolved(self):
        process = self.start_ringdns("-r", self.server, "-i", "3600000", "--unresolved",
                                     self.unresolved, "-o", "S", "-q", stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
        process.stdin.write(b"a.silent.test\nb.test\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.lines(self.unresolved),
                         ["a.silent.test  # INTERRUPTED after 0 tries"])

    def test_processes_write_a_file_each(self):
        names = [f"n{i}.{'fail.' if i % 3 == 0 else ''}test" for i in range(3000)]
        # None is silent: a busy machine is to have its time.
        done = self.resolve("\n".join(names), "--processes", "2", "--unresolved", self.unresolved,
                            "-i", "5000")
        self.assertEqual(done.returncode, 0, done.stderr)
        parts = [self.lines(self.unresolved + part) for part in "01"]
        self.assertEqual([len(part) for part in parts], [500, 500])
        self.assertEqual(Counter(line.split()[0] for part in parts for line in part),
                         Counter(name for name in names if "fail" in name))

    # The account

    def test_the_account_is_told_and_balances(self):
        lines = ["a.test", "a.test", "b.fail.test", "c..test", "two words", "# none", "", "MX d.test"]
        for processes in ("1", "3"):
            with self.subTest(processes=processes):
                run = self.count(self.server, lines, "-t", "A,TXT", "-c", "2", "--processes",
                                 processes, "--unresolved", self.unresolved)
                self.assertIn(b"accounts  9 due = 5 answered + 2 failed + 2 invalid\n", run.stderr)
                stats = run.stats
                self.assertEqual((stats["lines"], stats["due"], stats["unresolved"], stats["open"]),
                                 (6, 9, 2, 0))

    def test_the_account_counts_what_a_signal_left(self):
        stats = self.path("stats")
        process = self.start_ringdns("-r", self.server, "-i", "3600000", "--stats", stats, "-s", "2",
                                     "-t", "A,MX,TXT", "--checkpoint", self.checkpoint, "--root",
                                     stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"a.silent.test\nb.silent.test\n")
        process.stdin.flush()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn(b"accounts  3 due = 0 answered + 2 failed + 0 invalid + 1 without outcome; "
                      b"2 of failed are left to --resume", err)
        self.assertIn("next 1 2", self.lines(self.checkpoint))

    # Writes that fail

    def test_every_file_that_cannot_be_written_ends_the_run(self):
        names = self.write("names", "".join(f"n{i}.fail.test\nn..{i}\n" for i in range(3000)))
        for io in ("io_uring", "epoll"):
            for option, what in (("--unresolved", "lines"), ("-l", "messages"), ("-w", "results")):
                with self.subTest(io=io, option=option):
                    done = self.run_ringdns("-r", self.server, "--io", io, "-o", "Je", "-s", "10",
                                            "-c", "2", option, "/dev/full", names)
                    self.assertFails(done, "writing to /dev/full failed: No space left on device; ")
                    self.assertRegex(done.stderr, f"[1-9][0-9]* {what} were not written".encode())
        done = self.resolve("a.test\n", "--stats", "/dev/full")
        self.assertFails(done, "writing to /dev/full failed: No space left on device")

    def test_a_checkpoint_that_cannot_be_written_ends_the_run(self):
        for arguments in (["--root"], []):
            directory = self.path("gone" + "".join(arguments))
            os.mkdir(directory)
            path = os.path.join(directory, "checkpoint")
            process = self.start_ringdns(
                "-r", self.server, *arguments, "--checkpoint", path, "--checkpoint-interval", "1",
                "-o", "S", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
            in_turn = os.geteuid() == 0 and not arguments
            # Without privileges to drop, the directory is needed. Else only room.
            lines = "a.test\n" + "b.silent.test\n" * (30000 if in_turn else 1)
            process.stdin.write(b"a.test\n")
            process.stdin.flush()
            process.stdout.readline()
            time.sleep(0.1)  # the checkpoint of it is made, and none more while nothing happens
            if not in_turn:
                shutil.rmtree(directory)
            _, err = process.communicate(lines.encode(), timeout=support.PATIENCE)
            self.assertEqual(process.returncode, 1, err)
            reason = "File too large" if in_turn else "No such file or directory"
            self.assertIn(f"writing to {path} failed: {reason}; ".encode(), err)

    def test_a_full_file_ends_with_a_whole_line_and_the_run_can_go_on(self):
        names = [f"n{i}.test" for i in range(5000)]
        path = self.write("names", "\n".join(names))
        for io in ("io_uring", "epoll"):
            with self.subTest(io=io):
                arguments = ["-r", self.server, "--io", io, "-o", "S", "-w", self.out,
                             "--checkpoint", self.checkpoint, "--checkpoint-interval", "5", path]
                done = subprocess.run(
                    [support.RINGDNS, *arguments], capture_output=True, timeout=support.PATIENCE,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000)))
                self.assertFails(done, f"writing to {self.out} failed: File too large; ")
                with open(self.out, "rb") as file:
                    content = file.read()
                self.assertTrue(content == b"" or content.endswith(b"\n"))
                self.assertLessEqual(len(content), 50000)
                self.assertRegex(done.stderr, rb"; [1-9][0-9]* results were not written")
                done = self.run_ringdns(*arguments, "--resume")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(Counter(line.split()[0] for line in self.lines(self.out)),
                                 Counter(name + "." for name in names))

    # Checkpoints that do not fit

    def half_way(self, *arguments, names="names"):
        """A run that a signal ends after some lines of a list."""
        path = self.write(names, "".join(f"n{i}.test\n" for i in range(100000)))
        process = self.start_ringdns("-r", self.server, "-o", "S", "-w", self.out, "-q", "--root",
                                     "--checkpoint", self.checkpoint, *arguments, path,
                                     stderr=subprocess.PIPE)
        support.wait_until(lambda: os.path.exists(self.out) and os.path.getsize(self.out), "output")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=support.PATIENCE)
        self.assertEqual(process.returncode, 130)
        return path

    def resume(self, *arguments, out=True, **how):
        return self.run_ringdns("-r", self.server, "-o", "S", "--root", "--checkpoint",
                                self.checkpoint, "--resume", *(["-w", self.out] if out else []),
                                *arguments, **how)

    def test_another_list_or_another_run_is_refused_and_nothing_is_changed(self):
        path = self.half_way()
        with open(self.out, "rb") as file:
            before = file.read()
        with open(path) as file:
            names = file.read()
        longer = self.write("longer", names + "z.test\n")
        other = self.write("other", "x" + names[1:])
        cases = [([longer], "was made of another list of names"),
                 ([other], "was made of another list of names"),
                 (["-t", "MX", path], 'was made with "-t A -o S", not with "-t MX -o S"'),
                 (["-o", "J", path], 'not with "-t A -o J"'),
                 (["--extended-input", path], "--extended-input"),
                 (["--filter", "OK", path], "--filter NOERROR"),
                 (["--unresolved", self.unresolved, path], "--unresolved"),
                 (["--processes", "2", path], "there is no checkpoint, but ")]
        for i in "01":
            self.write("out" + i, "something\n")
        for arguments, message in cases:
            with self.subTest(arguments=arguments):
                self.assertFails(self.resume(*arguments), message)
                with open(self.out, "rb") as file:
                    self.assertEqual(file.read(), before)
        done = self.resume(stdin=names)  # a list that was a file
        self.assertFails(done, "was made of another list of names")
        self.assertEqual(self.resume(path).returncode, 0)

    def test_another_stream_is_refused(self):
        names = [f"n{i}.test" for i in range(2000)]
        whole = "\n".join(names).encode()
        done = self.resolve(whole, "--checkpoint", self.checkpoint, "--root")
        self.assertEqual(done.returncode, 0, done.stderr)
        kept = self.lines(self.checkpoint)
        for stdin, message in (("\n".join(names[:1000]), "it ends before the line where the check"),
                               ("", "it ends before the line where the checkpoint was made"),
                               ("x" + "\n".join(names), "its lines are not those that")):
            with self.subTest(message=message):
                done = self.resume(out=False, stdin=stdin)
                self.assertFails(done, "cannot resume with this list of names: " + message)
                self.assertEqual(done.stdout, b"")
                self.assertEqual(self.lines(self.checkpoint), kept)
        more = self.resume(out=False, stdin=whole + b"\nmore.test\n")
        self.assertEqual((more.returncode, more.stdout.split()[0]), (0, b"more.test."))

    def test_no_checkpoint_a_damaged_one_or_something_else(self):
        path = self.half_way()
        with open(self.checkpoint) as file:
            good = file.read()
        for content, message in ((good[:-30], "is cut short or damaged"),
                                 (good.replace("next ", "next 9"), "is cut short or damaged"),
                                 (good.replace("checkpoint 1", "checkpoint 9"), "another version"),
                                 ("a.test\nb.test\n", "is no checkpoint"), ("\0" * 99, "is no check")):
            with self.subTest(message=message):
                self.write("checkpoint", content)
                self.assertFails(self.resume(path), f"cannot resume: {self.checkpoint} {message}"
                                 if "another" not in message else message)
        os.remove(self.checkpoint)
        self.assertFails(self.resume(path), f"there is no checkpoint, but {self.out} is not empty")
        self.write("checkpoint", good)
        os.truncate(self.out, 10)
        self.assertFails(self.resume(path), f"{self.out} is shorter than when the checkpoint")

    def test_a_file_that_is_no_checkpoint_is_not_overwritten(self):
        names = self.write("names", "a.test\n")
        for name in ("mine", "other.tmp"):
            path = self.write(name, "precious\n")
            done = self.run_ringdns("-r", self.server, "--checkpoint", path.removesuffix(".tmp"), names)
            self.assertFails(done, f"{path} is there and is no checkpoint: it is not overwritten")
            self.assertEqual(self.lines(path), ["precious"])
        os.mkfifo(self.path("pipe"))
        done = self.run_ringdns("-r", self.server, "--checkpoint", self.path("pipe"), names)
        self.assertFails(done, "there is something that is no plain file")

    def test_resuming_what_was_never_begun_begins_it(self):
        names = self.write("names", "a.test\nb.test\n")
        self.assertEqual(self.resume(names).returncode, 0)
        first = sorted(self.lines(self.out))
        self.assertEqual(len(first), 2)
        self.assertEqual(self.resume(names).returncode, 0)  # and again: there is nothing left to do
        self.assertEqual(sorted(self.lines(self.out)), first)

    def test_a_line_that_a_kill_left_in_halves_is_not_joined(self):
        names = self.write("names", "a.test\nb.test\n")
        with open(self.out, "w") as out:
            subprocess.run([support.RINGDNS, "-r", self.server, "-o", "S", "--checkpoint",
                            self.checkpoint, "--root", names], stdout=out, check=True,
                           stderr=subprocess.DEVNULL)
        for half, kept in ((b"c.te", b"c.te\n"), (b"c.test. A 192.0.2.1\n", b"")):
            with open(self.out, "ab") as out:
                out.write(half)
                out.flush()
                subprocess.run([support.RINGDNS, "-r", self.server, "-o", "S", "--checkpoint",
                                self.checkpoint, "--root", "--resume", names], stdout=out,
                               stderr=subprocess.DEVNULL, check=True)
            with open(self.out, "rb") as file:
                self.assertTrue(file.read().endswith(kept or half))

    def test_options_that_do_not_go_together(self):
        for arguments, message in (
                (["--resume"], "--resume needs a --checkpoint FILE"),
                (["--checkpoint-interval", "5"], "--checkpoint-interval needs a --checkpoint FILE"),
                (["--checkpoint", "-"], "need a file, not -"),
                (["--unresolved", "-"], "need a file, not -"),
                (["--checkpoint", "x", "-w", "x"], "--checkpoint would overwrite -w (x)"),
                (["--unresolved", "x", "-w", "x"], "--unresolved would overwrite -w (x)"),
                (["--checkpoint", "x", "-o", "B"], "--checkpoint with -o B needs -w"),
                (["--checkpoint", "x", "--processes", "2"], "--checkpoint with several --processes")):
            with self.subTest(arguments=arguments):
                self.assertFails(self.run_ringdns("-r", self.server, *arguments), message)

    def test_what_is_read_is_not_overwritten(self):
        names, resolvers = self.write("names", "a.test\n"), self.write("resolvers", self.server)
        os.symlink(names, self.path("link"))
        for option in ("-w", "--unresolved", "--checkpoint", "--stats", "-l"):
            for file in (names, self.path("link"), resolvers):
                with self.subTest(option=option, file=file):
                    self.assertFails(self.run_ringdns("-r", resolvers, option, file, names),
                                     f"{option} would overwrite ")
        done = self.run_ringdns("-r", resolvers, "--checkpoint", self.path("state"), "-w",
                                self.path("state.tmp"), names)
        self.assertFails(done, "--checkpoint would overwrite -w ")
        self.assertEqual(self.lines(names), ["a.test"])
        self.assertEqual(self.lines(resolvers), [self.server])


if __name__ == "__main__":
    support.main()
