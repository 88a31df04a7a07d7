"""DNS messages, and massdns's binary file of them, as far as a judge of formats needs them. Written
from RFC 1035 and from the layout that the file's header describes."""

import struct
from collections import namedtuple

# section: 0 answer, 1 authority, 2 additional. owner: labels. rdata: octets, as they stand.
Record = namedtuple("Record", "section owner type rr_class ttl rdata")
Stored = namedtuple("Stored", "family address port packet")


class Malformed(Exception):
    pass


def u16(octets, at):
    if at + 2 > len(octets):
        raise Malformed
    return int.from_bytes(octets[at:at + 2], "big")


def read_name(packet, at):
    """The labels of the name at an offset, and the offset behind it."""
    labels, end = [], None
    while True:
        first = u16(packet + b"\0", at) >> 8
        if first >= 0xc0:
            target = u16(packet, at) & 0x3fff
            end = end or at + 2
            if target >= at:
                raise Malformed
            at = target
        elif first >= 64 or at + 1 + first > len(packet):
            raise Malformed
        elif first == 0:
            return labels, end or at + 1
        else:
            labels.append(packet[at + 1:at + 1 + first])
            at += 1 + first
            if sum(map(len, labels)) + len(labels) > 254:
                raise Malformed


class Message:
    """Records are read until the octets end, whatever the counts say."""

    def __init__(self, packet):
        self.packet = packet
        self.flags = u16(packet, 2)
        self.counts = [u16(packet, 4 + 2 * i) for i in range(4)]
        self.name, at = read_name(packet, 12)
        self.type, self.rr_class = u16(packet, at), u16(packet, at + 2)
        self.records = []
        try:
            at += 4
            while at < len(packet):
                at = self.read_record(at)
        except Malformed:
            pass

    def read_record(self, at):
        owner, at = read_name(self.packet, at)
        length = u16(self.packet, at + 8)
        ttl = u16(self.packet, at + 4) << 16 | u16(self.packet, at + 6)
        if at + 10 + length > len(self.packet):
            raise Malformed
        index = len(self.records)
        section = (index >= self.counts[1]) + (index >= self.counts[1] + self.counts[2])
        self.records.append(Record(section, owner, u16(self.packet, at), u16(self.packet, at + 2),
                                   ttl, self.packet[at + 10:at + 10 + length]))
        return at + 10 + length

    def extended_rcode(self):
        high = [record.ttl >> 24 for record in self.records if record.type == 41]
        return (high[0] << 4 if high else 0) | self.flags & 15


class BinaryFile:
    """massdns's: a header that tells how the machine that wrote it lays out what follows. All of
    it is checked: what is left over, or missing, is an error."""

    def __init__(self, octets):
        self.octets, self.at = octets, 0
        assert self.take(8) == b"massdns\0"
        order = {b"\x78\x56\x34\x12": "<", b"\x12\x34\x56\x78": ">"}[self.take(4)]
        assert struct.unpack(order + "I", self.take(4)) == (0,), "version"
        size = {4: "I", 8: "Q"}[self.take(1)[0]]
        number = lambda: struct.unpack(order + size, self.take(struct.calcsize(size)))[0]
        time_size, storage_size, family_at, family_size, port_size = (number() for _ in range(5))
        self.layout = {}  # by the octets of the family: its name, where address and port are
        for name, address_size in (("IPv4", 4), ("IPv6", 16)):
            family = self.take(family_size)
            self.layout[family] = (name, number(), address_size, number())
        self.stored = []
        while self.at < len(octets):
            self.take(time_size)
            server = self.take(storage_size)
            name, address_at, address_size, port_at = \
                self.layout[server[family_at:family_at + family_size]]
            (length,) = struct.unpack(order + "H", self.take(2))
            self.stored.append(Stored(name, server[address_at:address_at + address_size],
                                      int.from_bytes(server[port_at:port_at + port_size], "big"),
                                      self.take(length)))

    def take(self, count):
        taken = self.octets[self.at:self.at + count]
        assert len(taken) == count, "cut short"
        self.at += count
        return taken
