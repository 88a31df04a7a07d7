"""Issue "end to end", 9: bad input. Each test states the message, the exit code, and what still
gets answered."""

import os
import resource
import subprocess
import unittest

import support

RULES = "*.test. answer A hash\n"


class BadInput(support.Case):
    def setUp(self):
        super().setUp()
        (self.server,) = self.responder(RULES)

    def resolve(self, names, *arguments, **kwargs):
        return self.run_ringdns("-r", self.server, "-o", "S", *arguments, stdin=names, **kwargs)

    def assertFails(self, done, message):
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = done.stderr.decode().splitlines()
        self.assertTrue(any(message in line for line in lines), done.stderr)

    def names_answered(self, done):
        return [line.split()[0].decode() for line in done.stdout.splitlines()]

    # Lists

    def test_unreadable_name_list(self):
        self.assertFails(self.run_ringdns("-r", self.server, self.path("absent")),
                         "cannot open " + self.path("absent") + ": No such file or directory")

    def test_a_directory_as_name_list(self):
        self.assertFails(self.run_ringdns("-r", self.server, self.dir), "Is a directory")

    def test_unreadable_resolver_list(self):
        done = self.run_ringdns("-r", self.path("absent"), stdin="a.test\n")
        self.assertFails(done, "resolvers: cannot open " + self.path("absent"))

    def test_no_resolvers_given(self):
        self.assertFails(self.run_ringdns(stdin="a.test\n", *["-q"]), "resolvers")

    def test_empty_name_list(self):
        done = self.resolve("")
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertEqual(support.summary(done.stderr)["names"], 0)

    def test_empty_resolver_list(self):
        done = self.run_ringdns("-r", self.write("resolvers", "# none\n\n"), stdin="a.test\n")
        self.assertFails(done, "no usable resolver")

    def test_only_garbage_resolvers(self):
        done = self.run_ringdns("-r", self.write("resolvers", "hello\n1.2.3\n"), stdin="a.test\n")
        self.assertFails(done, "no usable resolver")
        self.assertIn(b'line 1: not an address: "hello"', done.stderr)

    def test_a_garbage_resolver_line_is_skipped(self):
        resolvers = self.write("resolvers", f"garbage here\n{self.server}\n\xff\xfe\n")
        done = self.run_ringdns("-r", resolvers, "-o", "S", stdin="a.test\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.names_answered(done), ["a.test."])
        self.assertIn(b"line 1: not an address", done.stderr)

    def test_resolvers_from_a_pipe_with_comments_and_crlf(self):
        read, write = os.pipe()
        os.write(write, f"# ours\r\n\r\n{self.server}\r\n{self.server}\r\n".encode())
        os.close(write)
        done = subprocess.run([support.RINGDNS, "-r", f"/dev/fd/{read}", "-o", "S"],
                              input=b"a.test\n", capture_output=True, pass_fds=[read],
                              timeout=support.PATIENCE)
        os.close(read)
        self.assertEqual((done.returncode, self.names_answered(done)), (0, ["a.test."]))

    def test_resolvers_from_stdin(self):
        names = self.write("names", "a.test\n")
        done = self.run_ringdns("-r", "-", "-o", "S", names, stdin=self.server + "\n")
        self.assertEqual((done.returncode, self.names_answered(done)), (0, ["a.test."]))

    # Options

    def test_bad_options_say_which(self):
        for arguments, message in [
            (["--nonsense"], "nonsense"),
            (["-t", "BOGUS"], "BOGUS"),
            (["-o", "X"], "X"),
            (["-o", "SX"], "X"),
            (["-s", "abc"], "abc"),
            (["-s", "0"], "0"),
            (["-c", "300"], "300"),
            (["-i", "-5"], "-5"),
            (["--retry", "NOSUCH"], "NOSUCH"),
            (["--filter", "OK", "--ignore", "NXDOMAIN"], "--ignore"),
            (["--io", "kqueue"], "kqueue"),
            (["-b", "999.0.0.1"], "999.0.0.1"),
            (["--status-format", "xml"], "xml"),
            (["-t"], "t"),
        ]:
            with self.subTest(arguments=arguments):
                done = self.run_ringdns("-r", self.server, *arguments, stdin="a.test\n")
                self.assertFails(done, message)
                self.assertEqual(done.stdout, b"")
                self.assertLessEqual(len(done.stderr.splitlines()), 2, done.stderr)

    def test_no_arguments_is_help_and_failure(self):
        done = self.run_ringdns()
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"--resolvers", done.stderr)

    def test_help_goes_to_stdout_and_succeeds(self):
        for flag in ("--help", "-h"):
            done = self.run_ringdns(flag)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"--resolvers", done.stdout)

    # Outputs

    def test_output_that_cannot_be_opened(self):
        done = self.resolve("a.test\n", "-w", "/nonexistent/out")
        self.assertFails(done, "cannot open /nonexistent/out for writing: No such file or directory")

    def test_full_disk(self):
        for io in ("io_uring", "epoll"):
            with self.subTest(io=io):
                done = self.resolve("a.test\nb.test\n", "-w", "/dev/full", "--io", io)
                self.assertFails(done, "writing to /dev/full failed: No space left on device")
                self.assertRegex(done.stderr, rb"[12] results were not written")

    def test_full_disk_counts_failures_that_were_to_be_written(self):
        done = self.run_ringdns("-r", f"127.0.0.1:{support.free_port()}", "--tcp-only", "-c", "1",
                                "-o", "Je", "-w", "/dev/full", stdin="a.test\nb.test\n")
        self.assertFails(done, "writing to /dev/full failed: No space left on device")
        self.assertIn(b"2 results were not written", done.stderr)

    def test_closed_pipe(self):
        names = self.write("names", "".join(f"n{i}.test\n" for i in range(200000)))
        for io in ("io_uring", "epoll"):
            with self.subTest(io=io):
                done = subprocess.run(
                    ["bash", "-c", '"$0" -r "$1" -o S --io "$3" "$2" | head -1; '
                     'exit ${PIPESTATUS[0]}', support.RINGDNS, self.server, names, io],
                    capture_output=True, timeout=support.PATIENCE)
                self.assertEqual(len(done.stdout.splitlines()), 1)
                self.assertFails(done, "writing to stdout failed: Broken pipe")
                self.assertIn(b"results were not written", done.stderr)

    # Lines

    def test_names_that_cannot_be_asked_are_reported_and_the_rest_answered(self):
        long_label = "x" * 64 + ".test"
        long_name = ".".join(["y" * 50] * 6) + ".test"
        lines = ["a.test", "b..test", long_label, long_name, ".b.test", "two words", "z.test"]
        done = self.resolve("\n".join(lines) + "\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(self.names_answered(done)), ["a.test.", "z.test."])
        for number in (2, 3, 4, 5, 6):
            self.assertIn(f"line {number}: ".encode(), done.stderr)
        self.assertEqual(support.summary(done.stderr)["invalid"], 5)
        self.assertEqual(support.summary(done.stderr)["answered"], 2)

    def test_binary_garbage(self):
        garbage = bytes(range(256)) * 8
        done = self.resolve(b"a.test\n" + garbage + b"\nz.test\n", "-c", "5", "-i", "500")
        self.assertEqual(done.returncode, 0)
        self.assertIn("a.test.", self.names_answered(done))
        self.assertIn("z.test.", self.names_answered(done))

    def test_a_10_mb_line(self):
        done = self.resolve(b"a.test\n" + b"x" * 10_000_000 + b"\nz.test\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(self.names_answered(done)), ["a.test.", "z.test."])
        self.assertIn(b"line 2: line longer than 65536 octets", done.stderr)
        self.assertLess(len(done.stderr), 2000)

    def test_crlf_blanks_trailing_dots_and_no_newline_at_the_end(self):
        done = self.resolve(b"a.test\r\n\r\n  b.test  \r\n\tc.test.\n\n\nd.test")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(self.names_answered(done)),
                         ["a.test.", "b.test.", "c.test.", "d.test."])
        self.assertNotIn("invalid", support.summary(done.stderr))

    def test_case_is_kept(self):
        done = self.resolve("MiXed.tEST\n")
        self.assertEqual(self.names_answered(done), ["MiXed.tEST."])

    def test_many_bad_lines_do_not_flood_stderr(self):
        done = self.resolve("bad..name\n" * 100000 + "a.test\n")
        self.assertEqual(self.names_answered(done), ["a.test."])
        self.assertLess(len(done.stderr), 10000)
        self.assertEqual(support.summary(done.stderr)["invalid"], 100000)

    def test_error_log_keeps_all_complaints(self):
        log = self.path("log")
        self.resolve("bad..name\n" * 1000 + "a.test\n", "-l", log)
        with open(log) as file:
            self.assertEqual(len(file.readlines()), 1000)

    def test_few_descriptors(self):
        names = self.write("names", "".join(f"n{i}.test\n" for i in range(2000)))
        done = subprocess.run(
            [support.RINGDNS, "-r", self.server, "-o", "S", names], capture_output=True,
            timeout=support.PATIENCE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 2000)


if __name__ == "__main__":
    support.main()
