"""What the tests of massdns's options share."""

import subprocess

import support
from scripted import Server

NAMES = "a.test\nb.test\nc.test\n"


class OptionsCase(support.Case):
    """What the tests of options need: a server in Python that tells who asked what, and how."""

    def run_at(self, address, *arguments, names=NAMES, **how):
        return self.run_ringdns("--io", self.io, "-r", address, *arguments, stdin=names, **how)

    def server(self, answer=None):
        return Server(self, False, answer or (lambda query: query.reply()))

    def in_flight(self, *arguments, names=NAMES):
        """ringdns while its queries are out, which nobody answers; and the server."""
        server = self.server(lambda query: None)
        process = self.start_ringdns("--io", self.io, "--root", "-q", "-r", server.address, "-i",
                                     support.FOREVER, *arguments, stdin=subprocess.PIPE)
        process.stdin.write(names.encode())
        process.stdin.flush()
        return process, server
