"""What the end-to-end tests share: the binaries, a responder, a run of ringdns.

Meson hands the build directory over in RINGDNS_BUILD. Every server listens on loopback, on a port
that the kernel gave, and is ended by pid when its test ends."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

BUILD = os.environ.get("RINGDNS_BUILD") or os.path.join(os.path.dirname(__file__), "../../build-test")
RINGDNS = os.path.join(BUILD, "ringdns")
RESPONDER = os.path.join(BUILD, "tests", "responder", "responder")
DENY_IO_URING = os.path.join(BUILD, "tests", "deny_io_uring")
# How long a test waits for something that must come. Never a measure of speed.
PATIENCE = 240


def io_uring_works():
    """Whether this host permits io_uring at all; where not, its variants are skipped by name."""
    with tempfile.NamedTemporaryFile("w") as names:
        done = subprocess.run([RINGDNS, "--io", "io_uring", "-r", "127.0.0.1:9", "-q", names.name],
                              capture_output=True, timeout=PATIENCE)
    return done.returncode == 0


class Case(unittest.TestCase):
    """A test with a directory of its own and servers that end with it."""

    maxDiff = 4000

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.dir = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="ringdns-e2e-"))
        os.chmod(self.dir, 0o755)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.path(name), mode) as file:
            file.write(content)
        return self.path(name)

    def responder(self, rules, *arguments, listen=("127.0.0.1:0",)):
        """Starts a responder; returns its addresses."""
        count = len(os.listdir(self.dir))
        plan = self.write(f"plan{count}", rules)
        ports = self.path(f"ports{count}")
        command = [RESPONDER, "--plan", plan, "--ports-file", ports]
        for address in listen:
            command += ["--listen", address]
        process = subprocess.Popen(command + list(arguments), stdin=subprocess.DEVNULL)
        self.stack.callback(end, process)
        return wait_for_lines(ports, process)

    def run_ringdns(self, *arguments, stdin=b"", timeout=PATIENCE, wrapper=()):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        return subprocess.run([*wrapper, RINGDNS, *map(str, arguments)], input=stdin,
                              capture_output=True, timeout=timeout)

    def start_ringdns(self, *arguments, **popen):
        process = subprocess.Popen([RINGDNS, *map(str, arguments)], **popen)
        self.stack.callback(end, process)
        return process


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def wait_for_lines(path, process):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"{process.args[0]} ended at once: {process.returncode}")
        with contextlib.suppress(FileNotFoundError):
            with open(path) as file:
                lines = file.read().split()
            if lines:
                return lines
        time.sleep(0.01)
    raise AssertionError(f"{process.args[0]} did not get ready")


def free_port(address="127.0.0.1"):
    """A port free for UDP and TCP alike. Somebody else may take it in between: retry then."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((address, 0))
            port = udp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
                with contextlib.suppress(OSError):
                    tcp.bind((address, port))
                    return port
    raise AssertionError("no free port")


def summary(stderr):
    """The closing summary as a dict of its first numbers: {'names': 3, 'answered': 2, ...}."""
    figures = {}
    for line in stderr.decode().splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            figures[words[0]] = int(words[1])
    return figures


def main():
    unittest.main(verbosity=2)
