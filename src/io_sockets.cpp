#include "io_sockets.hpp"

#include <linux/errqueue.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace ringdns {

namespace {

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int get_option(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : 0;
}

// Past the administrator's limit where privilege allows, else up to it.
void ask_for_buffer(int fd, int forced, int plain, uint32_t bytes) {
  if (bytes == 0) return;
  int value = static_cast<int>(std::min<uint32_t>(bytes, INT_MAX / 2));
  if (!set_option(fd, SOL_SOCKET, forced, value)) set_option(fd, SOL_SOCKET, plain, value);
}

Address local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return Address::from_sockaddr(&storage, size);
}

}  // namespace

UdpSocket open_udp_socket(const SocketOptions& options, int type_flags) {
  UdpSocket out;
  sa_family_t family = options.bind.family();
  Fd fd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC | type_flags, 0));
  if (!fd.valid()) {
    out.error = errno;
    return out;
  }
  ask_for_buffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer);
  ask_for_buffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer);
  if (family == AF_INET6) {
    set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_option(fd.get(), IPPROTO_IPV6, IPV6_RECVERR, 1);
  } else {
    set_option(fd.get(), IPPROTO_IP, IP_RECVERR, 1);
  }
  // Whatever its level says, IPv6 sockets take it, too.
  if (options.foreign) set_option(fd.get(), IPPROTO_IP, IP_FREEBIND, 1);
  if (bind(fd.get(), options.bind.data(), options.bind.size()) != 0) {
    out.error = errno;
    return out;
  }
  // The kernel doubles what it is asked for, and reports it doubled (socket(7)).
  out.receive_buffer = static_cast<uint32_t>(get_option(fd.get(), SOL_SOCKET, SO_RCVBUF)) / 2;
  out.local = local_address(fd.get());
  out.fd = std::move(fd);
  return out;
}

bool enable_udp_gro(int fd) { return set_option(fd, IPPROTO_UDP, UDP_GRO, 1); }

bool supports_udp_gso(int fd) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &size) == 0;
}

TcpSocket open_tcp_socket(const ConnectOptions& options, int type_flags) {
  TcpSocket out;
  Fd fd(socket(options.to.family(), SOCK_STREAM | SOCK_CLOEXEC | type_flags, 0));
  if (!fd.valid()) {
    out.error = errno;
    return out;
  }
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.max_segment) set_option(fd.get(), IPPROTO_TCP, TCP_MAXSEG, options.max_segment);
  // A kernel or an administrator without it: the handshake goes the usual way.
  if (options.fast_open) set_option(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
  if (options.bind.family() != AF_UNSPEC) {
    // The port is then chosen by connect(), so that it need be free towards this peer only.
    if (options.bind.port() == 0) set_option(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (options.foreign) set_option(fd.get(), IPPROTO_IP, IP_FREEBIND, 1);
    if (bind(fd.get(), options.bind.data(), options.bind.size()) != 0) {
      out.error = errno;
      return out;
    }
  }
  out.fd = std::move(fd);
  return out;
}

void set_close_resets(int fd) {
  linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int take_socket_error(int fd) { return get_option(fd, SOL_SOCKET, SO_ERROR); }

std::optional<QueuedError> take_queued_error(int fd, MutableBytes into) {
  iovec vector{into.data(), into.size()};
  Address to;
  alignas(cmsghdr) uint8_t control[512];
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to.data());
  message.msg_namelen = sizeof to;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
  if (got < 0) return std::nullopt;
  return QueuedError{parse_queued_error(message, into.first(static_cast<size_t>(got)))};
}

std::optional<Unreachable> parse_queued_error(const msghdr& message, Bytes payload) {
  if (!(message.msg_flags & MSG_ERRQUEUE) || message.msg_namelen < sizeof(sockaddr_in))
    return std::nullopt;
  msghdr* walked = const_cast<msghdr*>(&message);
  for (cmsghdr* control = CMSG_FIRSTHDR(walked); control; control = CMSG_NXTHDR(walked, control)) {
    bool ours = (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR) ||
                (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR);
    if (!ours || control->cmsg_len < CMSG_LEN(sizeof(sock_extended_err))) continue;
    sock_extended_err error;
    std::memcpy(&error, CMSG_DATA(control), sizeof error);
    // Local ones (EMSGSIZE) were told to the sender by its own call.
    bool icmp = error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
    if (!icmp || error.ee_errno == 0) return std::nullopt;
    return Unreachable{static_cast<int>(error.ee_errno),
                       Address::from_sockaddr(message.msg_name, message.msg_namelen), payload};
  }
  return std::nullopt;
}

bool may_be_pending_error(int error) {
  // What the kernel makes of ICMP and ICMPv6 errors (icmp_err_convert, icmpv6_err_convert).
  switch (error) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case ECONNREFUSED:
    case EMSGSIZE:
    case EOPNOTSUPP:
    case EHOSTDOWN:
    case ENONET:
    case EPROTO:
    case EACCES: return true;
    default: return false;
  }
}

}  // namespace ringdns
