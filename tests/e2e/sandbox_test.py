#!/usr/bin/env python3
"""What a run can no longer do once it resolves: asked of the running process itself, by putting
system calls into it."""

import os
import socket
import subprocess
import time
import unittest

from support import BUILD, DENY_IO_URING, PATIENCE, Case, io_uring_works, main, names

INJECT = os.path.join(BUILD, "tests", "inject")
NOT_HERE, NOT_NOW = 77, 75
RULES = "*.big.test. truncate\n*.test. answer A hash\n"


@unittest.skipIf(os.environ.get("RINGDNS_SANITIZED"), "sanitizers need what a sandbox takes")
class Sandbox:
    def setUp(self):
        super().setUp()
        self.server = self.serve(RULES)

    def started(self, *arguments):
        run = self.live_at(self.server, *arguments)
        run.ask("first.test")
        return run

    def inject(self, run, what, argument=""):
        command = [INJECT, str(run.process.pid), what, str(argument)]
        while True:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            if done.returncode != NOT_NOW:
                break
            time.sleep(0.01)
        if done.returncode == NOT_HERE:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_what_is_not_needed_is_denied_and_the_run_goes_on(self):
        run = self.started()
        for what, argument in (("open", "/etc/passwd"), ("open", self.dir), ("execve", "/bin/true"),
                               ("socket", int(socket.AF_UNIX)), ("socket", int(socket.AF_NETLINK)),
                               ("exec_memory", "")):
            self.assertEqual(self.inject(run, what, argument), "EPERM", (what, argument))
        self.assertEqual(self.inject(run, "socket", int(socket.AF_INET)), "ok")
        self.assertTrue(run.ask("then.test").startswith("then.test. A "))
        self.assertTrue(run.ask("over-tcp.big.test").startswith("over-tcp.big.test. A "))
        self.assertEqual(run.finish(), [])

    def test_without_sandbox_nothing_is_denied(self):
        run = self.started("--no-sandbox")
        for what, argument in (("open", "/dev/null"), ("socket", int(socket.AF_UNIX)),
                               ("exec_memory", "")):
            self.assertEqual(self.inject(run, what, argument), "ok", (what, argument))
        run.finish()

    def test_every_process_of_a_run_is_confined(self):
        run = self.started("--processes", "2")
        run.ask("second.test")  # by the other worker: both are past their start-up
        children = f"/proc/{run.process.pid}/task/{run.process.pid}/children"
        with open(children) as file:
            pids = [str(run.process.pid), *file.read().split()]
        self.assertEqual(len(pids), 3)
        for pid in pids:
            with open(f"/proc/{pid}/status") as file:
                status = file.read()
            self.assertIn("\nNoNewPrivs:\t1\n", status)
            self.assertIn("\nSeccomp:\t2\n", status)
            with open(f"/proc/{pid}/limits") as file:
                core = next(line for line in file if line.startswith("Max core file size"))
            self.assertEqual(core.split()[4:6], ["0", "0"])
        run.send("another.test")
        self.assertTrue(run.line().startswith("another.test. A "))
        self.assertEqual(run.finish(), [])

    def test_no_descriptor_is_left_to_a_program_that_is_executed(self):
        run = self.started()
        folder = f"/proc/{run.process.pid}/fdinfo"
        for fd in map(int, os.listdir(folder)):
            with open(f"{folder}/{fd}") as file:
                flags = int(next(line for line in file if line.startswith("flags:")).split()[1], 8)
            if fd > 2:
                self.assertTrue(flags & os.O_CLOEXEC, os.readlink(f"/proc/{run.process.pid}/fd/{fd}"))
        run.finish()

    def test_files_of_a_run_are_written_in_it(self):
        run = self.count(self.server.address, names(2000) + names(50, "big.test"), "--io", self.io,
                         "-o", "S", "-w", self.path("out"), "-l", self.path("log"))
        self.assertEqual(run.stats["answered"], 2050)
        with open(self.path("out")) as file:
            self.assertEqual(len(file.readlines()), 2050)


@unittest.skipUnless(io_uring_works(), "this host forbids io_uring")
class OnIoUring(Sandbox, Case):
    io = "io_uring"


class OnEpoll(Sandbox, Case):
    io = "epoll"


@unittest.skipIf(os.environ.get("RINGDNS_SANITIZED"), "sanitizers need what a sandbox takes")
class Containers(Case):
    def test_within_another_filter(self):
        server = self.serve(RULES)
        run = self.count(server.address, names(100), "--io", "auto", wrapper=(DENY_IO_URING,))
        self.assertEqual(run.stats["answered"], 100)


if __name__ == "__main__":
    main()
