"""Real name servers from Debian's packages, started on loopback with a generated zone."""

import ipaddress
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time

import support

ZONE = "peer.test."
NAMES = 10000


def address_of(number):
    return str(ipaddress.IPv4Address(0xC6120000 + number))  # 198.18.0.0/15, RFC 2544


# One owner each, of every type that these servers load. The owner is the type in lower case.
SAMPLES = [
    "A 192.0.2.1", "A 192.0.2.2", "AAAA 2001:db8::1", "AAAA 2001:db8:0:1::ff",
    "CNAME a.peer.test.", "DNAME elsewhere.test.", "PTR host.peer.test.",
    "MX 10 mail.peer.test.", "MX 65535 .",
    'TXT "plain"', 'TXT "two" "strings with \\"quotes\\" and \\\\ and \\000\\255"', 'TXT ""',
    "SRV 1 2 65535 target.peer.test.", 'CAA 0 issue "ca.example; a=b"', 'CAA 128 iodef "mailto:x@y"',
    'NAPTR 100 50 "s" "http+I2L" "!^.*$!x!" _http._tcp.peer.test.', 'HINFO "CPU" "OS x"',
    "RP admin\\.mail.peer.test. txt.peer.test.", "AFSDB 1 afs.peer.test.", "KX 10 kx.peer.test.",
    "SSHFP 4 2 " + "ab" * 32, "TLSA 3 1 1 " + "cd" * 32, "SMIMEA 3 0 1 " + "ef" * 32,
    'URI 10 1 "https://x.test/a%20b"', "OPENPGPKEY " + "QUJD" * 20, "CERT 1 12345 8 " + "QUJD" * 12,
    "DS 12345 13 2 " + "01" * 32, "CDS 0 0 0 00", "CDNSKEY 0 3 0 AA==",
    "DNSKEY 256 3 13 " + "QUJD" * 16 + "QUI=", "CSYNC 66 3 A NS AAAA",
    "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m",
    "EUI48 00-00-5e-00-53-2a", "EUI64 00-00-5e-ef-10-00-00-2a", "DHCID " + "QUJD" * 8,
    "SVCB 0 alias.peer.test.", 'SVCB 16 svc.peer.test. alpn="h2,h3" port=8443 ipv4hint=192.0.2.1',
    'HTTPS 1 . alpn="h3" ipv6hint=2001:db8::1 ech=QUJD', "SPF \"v=spf1 -all\"",
    "NSEC3PARAM 1 0 5 aabbccdd", "TYPE65280 \\# 4 0a000001",
    "ZONEMD 2018031500 1 1 " + "fe" * 48, "APL 1:192.0.2.0/24 !2:2001:db8::/32",
    "HIP 2 200100107B1A74DF365639CC39F1D578 QUJDREVG rvs.peer.test.",
    "IPSECKEY 10 1 2 192.0.2.38 QUJDREVG", "TALINK h0.peer.test. h2.peer.test.",
    "NID 10 0014:4fff:ff20:ee64", "L32 10 10.1.2.0", "L64 10 2001:0db8:1140:1000",
    "LP 10 l64.peer.test.", "X25 311061700956", "RT 2 relay.peer.test.", "PX 10 a.test. b.test.",
]
# Types that live at the apex only, or make the zone's owner names special.
APEX = {"NSEC3PARAM", "ZONEMD", "CSYNC", "CDS", "CDNSKEY", "DNSKEY", "DS"}


def sample_types(samples):
    return sorted({line.split()[0] for line in samples})


def long_strings(number):
    """The data of a TXT record that 512 octets do not hold."""
    return " ".join([f'"{number}"'] + ['"' + "x" * 200 + '"'] * 3)


def zone_text(samples, serial=1, texts=0):
    """texts: how many names t0, t1, ... have long_strings()."""
    lines = [f"$ORIGIN {ZONE}", "$TTL 300",
             f"@ IN SOA ns.peer.test. host\\.master.peer.test. {serial} 3600 600 86400 60",
             "@ IN NS ns.peer.test.", "ns IN A 127.0.0.1", "sub IN NS ns.sub", "ns.sub IN A 127.0.0.9"]
    for line in samples:
        record_type = line.split()[0]
        lines.append(f"{record_type.lower()} IN {line}")
    strings = " ".join('"' + "x" * 200 + '"' for _ in range(12))
    lines.append(f"big IN TXT {strings}")
    lines += [f"n{i} IN A {address_of(i)}" for i in range(NAMES)]
    lines += [f"t{i} IN TXT {long_strings(i)}" for i in range(texts)]
    return "\n".join(lines) + "\n"


def answers(address, port, name=ZONE, timeout=0.2):
    """Does a server answer the SOA question there?"""
    query = struct.pack(">6H", random.randrange(65536), 0x0100, 1, 0, 0, 0)
    for label in name.rstrip(".").split("."):
        query += bytes([len(label)]) + label.encode()
    query += b"\0\0\6\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        try:
            udp.connect((address, port))
            udp.send(query)
            reply = udp.recv(4096)
        except OSError:
            return False
    return reply[3] & 15 == 0 and struct.unpack(">H", reply[6:8])[0] > 0


class Server:
    """A server in a directory of its own. Started on a free port, again if somebody took it."""

    binary = None
    unknown = set()  # types of SAMPLES that its zone parser does not know

    @classmethod
    def installed(cls):
        return shutil.which(cls.binary, path=os.environ["PATH"] + ":/usr/sbin:/sbin")

    @classmethod
    def available(cls):
        return bool(cls.installed())

    def __init__(self, case, zone, **settings):
        self.settings = settings
        self.dir = os.path.join(case.dir, f"{self.binary}{len(os.listdir(case.dir))}")
        os.mkdir(self.dir)
        # A copy, as AppArmor confines the installed one to the folders of the system's service.
        self.copy = shutil.copy(self.installed(), self.dir)
        self.zone_file = os.path.join(self.dir, "zone")
        with open(self.zone_file, "w") as file:
            file.write(zone)
        for _ in range(5):
            self.port = support.free_port()
            if self.start(case):
                return
        with open(os.path.join(self.dir, "log")) as log:
            raise AssertionError(f"{self.binary} does not start: {log.read()[-2000:]}")

    def replace_zone(self, zone):
        """A new version of the zone; the server reloads it."""
        with open(self.zone_file + ".new", "w") as file:
            file.write(zone)
        os.rename(self.zone_file + ".new", self.zone_file)
        self.process.send_signal(signal.SIGHUP)

    def start(self, case):
        config = os.path.join(self.dir, "config")
        with open(config, "w") as file:
            file.write(self.config())
        with open(os.path.join(self.dir, "log"), "a") as log:
            self.process = process = subprocess.Popen(
                [self.copy, *self.command(config)[1:]], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, cwd=self.dir)
        case.stack.callback(support.end, process)  # again is harmless
        until = time.monotonic() + 60  # and then on another port
        while time.monotonic() < until and process.poll() is None:
            if answers("127.0.0.1", self.port):
                return True
            time.sleep(0.05)
        support.end(process)
        return False

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


class Nsd(Server):
    """settings: transfers, tcp_count, tcp_query_count."""

    binary = "nsd"
    unknown = {"HIP", "TALINK"}

    def command(self, config):
        return ["nsd", "-d", "-c", config]

    def config(self):
        return f"""
server:
  ip-address: 127.0.0.1@{self.port}
  server-count: 1
  tcp-count: {self.settings.get("tcp_count", 100)}
  tcp-query-count: {self.settings.get("tcp_query_count", 0)}
  username: ""
  zonesdir: "{self.dir}"
  database: ""
  pidfile: "{self.dir}/pid"
  xfrdfile: "{self.dir}/xfrd"
  zonelistfile: "{self.dir}/zonelist"
  xfrdir: "{self.dir}"
  ipv4-edns-size: 4096
  ipv6-edns-size: 4096
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {ZONE}
  zonefile: "{self.zone_file}"
  {"provide-xfr: 127.0.0.1 NOKEY" if self.settings.get("transfers") else ""}
"""


class Knot(Server):
    """settings: signed, transfers."""

    binary = "knotd"
    unknown = {"HIP", "TALINK", "PX", "X25"}

    def command(self, config):
        return ["knotd", "-c", config]

    def config(self):
        os.makedirs(os.path.join(self.dir, "db"), exist_ok=True)  # Knot makes none
        signing = "on" if self.settings.get("signed") else "off"
        return f"""
server:
  rundir: "{self.dir}"
  listen: 127.0.0.1@{self.port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "{self.dir}/db"
log:
  - target: stderr
    any: warning
acl:
  - id: transfers
    address: 127.0.0.1
    action: transfer
zone:
  - domain: {ZONE}
    storage: "{self.dir}"
    file: "{self.zone_file}"
    semantic-checks: off
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    dnssec-signing: {signing}
    {"acl: transfers" if self.settings.get("transfers") else ""}
"""


class Unbound(Server):
    """A recursor, whose one authority is another of these servers. settings: authority,
    incoming_num_tcp."""

    binary = "unbound"

    def command(self, config):
        return ["unbound", "-d", "-c", config]

    def config(self):
        return f"""
server:
  interface: 127.0.0.1
  port: {self.port}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-daemonize: no
  use-syslog: no
  chroot: ""
  username: ""
  directory: "{self.dir}"
  pidfile: "{self.dir}/pid"
  num-threads: 1
  incoming-num-tcp: {self.settings.get("incoming_num_tcp", 10)}
  module-config: "iterator"
  local-zone: "test." nodefault
  domain-insecure: "test."
  so-rcvbuf: 0
remote-control:
  control-enable: no
stub-zone:
  name: "peer.test."
  stub-addr: 127.0.0.1@{self.settings["authority"].port}
"""


class Named(Server):
    """BIND. settings: transfers, tcp_clients."""

    binary = "named"
    unknown = {"ZONEMD"}

    def command(self, config):
        return ["named", "-g", "-n", "1", "-c", config]

    def config(self):
        return f"""
options {{
  directory "{self.dir}";
  pid-file "{self.dir}/pid";
  session-keyfile "{self.dir}/session.key";
  managed-keys-directory "{self.dir}";
  listen-on port {self.port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  dnssec-validation no;
  notify no;
  allow-transfer {{ {"any" if self.settings.get("transfers") else "none"}; }};
  tcp-clients {self.settings.get("tcp_clients", 150)};
}};
controls {{ }};
zone "{ZONE}" {{
  type primary;
  file "{self.zone_file}";
  check-names ignore;
  ixfr-from-differences yes;
  max-ixfr-ratio unlimited;
}};
"""


class Dnsdist(Server):
    """A load balancer in front of another of these servers. settings: authority, most_queries."""

    binary = "dnsdist"

    def command(self, config):
        return ["dnsdist", "--supervised", "--disable-syslog", "-C", config]

    def config(self):
        return f"""
setLocal("127.0.0.1:{self.port}")
setSecurityPollSuffix("")
setMaxTCPQueriesPerConnection({self.settings.get("most_queries", 0)})
newServer({{address="{self.settings["authority"].address}"}})
"""
