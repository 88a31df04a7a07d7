// The addresses a responder listens on, and their sockets. Loopback only.
#pragma once

#include "respond.hpp"
#include "ringdns/address.hpp"

namespace responder {

using ringdns::Address;
using ringdns::Fd;

struct UdpCounts {
  uint64_t identical_outstanding = 0;  // a question asked again before its delayed answer left
  uint64_t identical_same_port = 0;    // of these, from the same client port
  uint64_t identical_resent = 0;       // of these, under the same id: a retransmission
  uint64_t send_errors = 0;
};

// How connections ended, and how they were used.
struct TcpCounts {
  uint64_t accepts = 0, open_now = 0, open_most = 0, pipelined_most = 0;
  uint64_t fin_by_client = 0, fin_by_server = 0, rst_by_client = 0, rst_by_server = 0;
  // Of the connections that ended:
  uint64_t ended = 0, queries = 0, queries_least = UINT64_MAX, queries_most = 0;
};

struct Listener {
  Listener(Address at, ListenerState of) : address(at), state(std::move(of)) {}
  Address address;
  ListenerState state;
  Fd udp, tcp;
  Fd filler;                   // the connection that fills a blackhole's backlog
  Fd other_port, other_address;  // opened when first used
  UdpCounts udp_counts;
  TcpCounts tcp_counts;

  // The UDP socket that seems to be the source; the listener's own where there is no other.
  int socket_for(Source source);
};

// "127.0.0.1:0", "[::1]:5353", "127.0.0.2"; nothing but loopback.
std::optional<Address> parse_loopback(View text);
std::string address_text(const Address& address);

// The address of server `number` (from 1) of --servers.
Address numbered_address(size_t number);

// Opens UDP and TCP on one port for every listener; where all are to share a port, on the same.
// Ports of 0 are the kernel's to choose. Returns an error, empty when all are open.
std::string open_listeners(std::vector<Listener>& listeners, bool one_port);

}  // namespace responder
