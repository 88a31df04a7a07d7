// Sockets as every implementation of the seam opens them, and the error queue as it reads it.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "ringdns/io.hpp"

namespace ringdns {

struct UdpSocket {
  Fd fd;
  int error = 0;                // errno, where fd is not valid
  uint32_t receive_buffer = 0;  // bytes granted, in the unit of SO_RCVBUF's argument
  Address local;
};
// Bound, and with a queue of ICMP errors. type_flags: SOCK_NONBLOCK or 0.
UdpSocket open_udp_socket(const SocketOptions& options, int type_flags);

// Datagrams of one sender and length may arrive as one from now on, with their length in a
// UDP_GRO control message. False where the kernel cannot.
bool enable_udp_gro(int fd);
bool supports_udp_gso(int fd);

struct TcpSocket {
  Fd fd;
  int error = 0;
};
// Ready for connect() to options.to, bound where options say so.
TcpSocket open_tcp_socket(const ConnectOptions& options, int type_flags);

// The next close() sends RST and forgets what was not sent yet (SO_LINGER 0).
void set_close_resets(int fd);

// The socket's pending error, which is cleared; 0: none.
int take_socket_error(int fd);

// An ICMP error about a datagram that we sent.
struct Unreachable {
  int error;      // errno
  Address to;     // where the datagram was going
  Bytes payload;  // the start of it, as far as the error quotes it
};
// Takes the oldest message off the error queue of a datagram socket. `into` takes the payload.
// Nothing: the queue is empty.
struct QueuedError {
  std::optional<Unreachable> unreachable;  // nothing: of no interest (a local error)
};
std::optional<QueuedError> take_queued_error(int fd, MutableBytes into);

// What a received MSG_ERRQUEUE message says; also for one received through a ring.
std::optional<Unreachable> parse_queued_error(const msghdr& message, Bytes payload);

// An errno that an earlier datagram's ICMP error may have left on the socket, for the next call
// on it to fail with: that call's own datagram is not concerned and must be sent again.
bool may_be_pending_error(int error);

}  // namespace ringdns
