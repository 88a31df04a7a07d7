"""A DNS server that a test scripts in Python, for what only a server's own sockets can tell: the
octets of each query, how they arrived, and what the kernel says of the connection."""

import contextlib
import socket
import struct
import threading

import support

KEEPALIVE = 11
TC = 0x0200


class Query:
    def __init__(self, octets, sender=None):
        self.octets, self.sender = octets, sender
        self.id, self.flags, _, _, _, additional = struct.unpack(">6H", octets[:12])
        labels, at = [], 12
        while octets[at]:
            labels.append(octets[at + 1:at + 1 + octets[at]].decode("latin-1"))
            at += 1 + octets[at]
        self.name = ".".join(labels) + "."
        self.type, self.rr_class = struct.unpack(">2H", octets[at + 1:at + 5])
        self.question = octets[12:at + 5]
        self.edns_size, self.dnssec_ok, self.options = None, False, {}
        if additional:
            at += 5
            assert octets[at:at + 3] == b"\0\0\x29", octets
            self.edns_size, ttl, length = struct.unpack(">HIH", octets[at + 3:at + 11])
            self.dnssec_ok = bool(ttl & 0x8000)
            at += 11
            assert len(octets) == at + length, octets
            while at < len(octets):
                code, size = struct.unpack(">2H", octets[at:at + 4])
                self.options[code] = octets[at + 4:at + 4 + size]
                at += 4 + size

    def reply(self, address="192.0.2.7", *, flags=0, options=None, number=None, question=None):
        """An A record, or with flags=TC none. options: {code: octets} of an OPT record."""
        answers = 0 if flags & TC else 1
        message = struct.pack(">6H", self.id if number is None else number, 0x8180 | flags, 1,
                              answers, 0, options is not None)
        message += self.question if question is None else question
        if answers:
            message += struct.pack(">3HIH", 0xc00c, 1, 1, 300, 4) + socket.inet_aton(address)
        if options is not None:
            data = b"".join(struct.pack(">2H", code, len(value)) + value
                            for code, value in options.items())
            message += struct.pack(">BHHIH", 0, 41, 1232, 0, len(data)) + data
        return message


class Connection:
    """An accepted connection, in the hands of one thread."""

    def __init__(self, stream):
        self.socket = stream
        self.buffered = b""
        self.queries = []
        self.outstanding = {}  # id: query

    def receive(self):
        """What one recv() brings, as whole queries; None at the client's FIN. Blocks."""
        octets = self.socket.recv(1 << 20)
        if not octets:
            return None
        self.buffered += octets
        return self.whole()

    def whole(self):
        queries = []
        while len(self.buffered) >= 2:
            length = struct.unpack(">H", self.buffered[:2])[0]
            if len(self.buffered) < 2 + length:
                break
            query = Query(self.buffered[2:2 + length])
            self.buffered = self.buffered[2 + length:]
            assert query.id not in self.outstanding, "an id is in flight twice"
            self.outstanding[query.id] = query
            self.queries.append(query)
            queries.append(query)
        return queries

    def collect(self, count):
        """The next `count` queries; fewer only at the client's FIN."""
        queries = []
        while len(queries) < count:
            more = self.receive()
            if more is None:
                break
            queries += more
        return queries

    def send(self, *messages):
        for message in messages:
            self.outstanding.pop(struct.unpack(">H", message[:2])[0], None)
        self.socket.sendall(b"".join(struct.pack(">H", len(m)) + m for m in messages))

    def finish(self):
        """FIN, and reads on until the client's: an early close() would make it a reset."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(1 << 20):
            pass

    def quiet(self, seconds=0.3):
        """Watches that nothing comes: too short a watch cannot fail a good client."""
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(support.PATIENCE)


class Server:
    """UDP and TCP on one port. Each accepted connection is given to `converse` in a thread of its
    own; UDP queries are answered by `answer(query)`, by default with TC."""

    def __init__(self, case, converse=None, answer=None, receive_buffer=None, backlog=128):
        self.converse = converse or serve_all
        self.answer = answer or (lambda query: query.reply(flags=TC))
        self.datagrams, self.connections, self.failures = [], [], []
        self.threads = []
        self.port = support.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(backlog)
        case.stack.callback(self.close)
        self.run(self.serve_udp)
        if converse is not False:
            self.run(self.accept)

    def run(self, work, *arguments):
        def guarded():
            try:
                work(*arguments)
            except OSError as error:
                self.failures.append(error)  # a client that resets, or the end of the test
            except BaseException as error:
                self.failures.append(error)
                raise
        thread = threading.Thread(target=guarded, daemon=True)
        self.threads.append(thread)
        thread.start()

    def serve_udp(self):
        while True:
            octets, sender = self.udp.recvfrom(65536)
            if sender is None:  # close()
                return
            query = Query(octets, sender)
            self.datagrams.append(query)
            for reply in as_list(self.answer(query)):
                self.udp.sendto(reply, sender)

    def accept(self):
        while True:
            stream, _ = self.tcp.accept()
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.settimeout(support.PATIENCE)
            connection = Connection(stream)
            self.connections.append(connection)
            self.run(self.converse, connection)

    def errors(self):
        """What went wrong in a conversation, other than its end by the client."""
        return [error for error in self.failures if not isinstance(error, OSError)]

    def close(self):
        for listening in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for connection in self.connections:
            connection.socket.close()


def as_list(replies):
    return [replies] if isinstance(replies, bytes) else replies or []


def serve_all(connection, most=None):
    """Answers every query, until the client ends or `most` are answered."""
    count = 0
    while (queries := connection.receive()) is not None:
        replies = [query.reply() for query in queries][:most and most - count]
        connection.send(*replies)
        count += len(replies)
        if count == most:
            connection.finish()
            break
    connection.socket.close()


def answer_windows(case, sizes, *arguments, then=serve_all):
    """A run against a server that answers a window once it is full, and looks that no more than
    that comes. Returns how many queries each window had."""
    def converse(connection):
        for size in sizes:
            queries = connection.collect(size)
            if not connection.quiet(0.05 if size < 64 else 0.3):
                queries += connection.receive() or []
            seen.append(len(queries))
            connection.send(*[query.reply() for query in queries])
        then(connection)
    seen = []
    server = Server(case, converse)
    run = case.run_names(server, support.names(600), "-o", "S", "--tcp-only", "--tcp-timeout",
                         support.FOREVER, *arguments)
    case.assertEqual((run.stats["answered"], server.errors()), (600, []))
    return seen
