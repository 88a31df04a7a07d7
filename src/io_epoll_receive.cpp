#include "io_epoll_receive.hpp"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>

#include "io_sockets.hpp"

namespace ringdns {

namespace {

constexpr size_t landing_size = TurnResults::longest_datagram;
// Beyond the page multiple, lest all the slots compete for the same lines of the cache.
constexpr size_t landing_stride = landing_size + 5 * 64;
constexpr size_t longest_quote = 1280;  // RFC 4443 2.4: an ICMPv6 error is no longer
constexpr size_t most_errors = 256;  // of one socket in one turn
constexpr int most_attempts = 8;

// The length of each datagram in a merged one; 0: it is a single one.
size_t segment_size(const msghdr& header) {
  msghdr* walked = const_cast<msghdr*>(&header);
  for (cmsghdr* control = CMSG_FIRSTHDR(walked); control; control = CMSG_NXTHDR(walked, control)) {
    if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(control), sizeof size);
    return static_cast<size_t>(std::max(size, 0));
  }
  return 0;
}

}  // namespace

DatagramReceiver::DatagramReceiver(TurnResults& results)
    : results_(results),
      landing_(std::make_unique_for_overwrite<uint8_t[]>(batch_limit * landing_stride)),
      headers_(batch_limit), vectors_(batch_limit), addresses_(batch_limit),
      controls_(batch_limit) {
  for (uint32_t slot = 0; slot < batch_limit; ++slot)
    vectors_[slot] = {landing_.get() + slot * landing_stride, landing_size};
}

void DatagramReceiver::receive(EpollSocket& socket, TurnShare share) {
  size_t bytes_before = results_.free_bytes().size(), done_before = results_.done.size();
  for (;;) {
    size_t bytes = bytes_before - results_.free_bytes().size();
    size_t datagrams = results_.done.size() - done_before;
    if (bytes >= share.bytes || datagrams >= share.datagrams) return;
    size_t count = std::min({size_t{batch_limit}, (share.bytes - bytes) / landing_size,
                             results_.free_bytes().size() / landing_size,
                             share.datagrams - datagrams, results_.free_addresses()});
    if (count == 0) return;
    int received = receive_batch(socket.fd.get(), static_cast<uint32_t>(count));
    for (int slot = 0; slot < received; ++slot) deliver(socket, static_cast<uint32_t>(slot));
    if (received < static_cast<int>(count)) return;
  }
}

int DatagramReceiver::receive_batch(int fd, uint32_t count) {
  for (uint32_t slot = 0; slot < count; ++slot) {
    msghdr& header = headers_[slot].msg_hdr;
    header = {};
    header.msg_name = &addresses_[slot];
    header.msg_namelen = sizeof addresses_[slot];
    header.msg_iov = &vectors_[slot];
    header.msg_iovlen = 1;
    header.msg_control = controls_[slot].bytes;
    header.msg_controllen = sizeof controls_[slot].bytes;
  }
  // An ICMP error left on the socket makes the call fail once; what has arrived is still there.
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    int received = recvmmsg(fd, headers_.data(), count, MSG_DONTWAIT, nullptr);
    if (received >= 0) return received;
    if (errno != EINTR && !may_be_pending_error(errno)) return 0;
  }
  return 0;
}

void DatagramReceiver::deliver(const EpollSocket& socket, uint32_t slot) {
  const msghdr& header = headers_[slot].msg_hdr;
  size_t length = headers_[slot].msg_len;
  std::memcpy(results_.free_bytes().data(), vectors_[slot].iov_base, length);
  Bytes bytes = results_.keep_bytes(length);
  const Address* from =
      results_.keep(Address::from_sockaddr(&addresses_[slot], header.msg_namelen));
  size_t segment = segment_size(header);
  do {
    Bytes one = segment ? bytes.first(std::min(segment, bytes.size())) : bytes;
    bytes = bytes.subspan(one.size());
    bool cut = bytes.empty() && (header.msg_flags & MSG_TRUNC);
    results_.done.push_back(
        {Event::datagram, cut, static_cast<int32_t>(one.size()), socket.token, one, from});
  } while (!bytes.empty());
}

void DatagramReceiver::take_errors(EpollSocket& socket, TurnShare share) {
  for (size_t count = 0; count < std::min(share.datagrams, most_errors); ++count) {
    MutableBytes space = results_.free_bytes();
    if (space.size() < longest_quote || results_.free_addresses() == 0) return;
    auto queued = take_queued_error(socket.fd.get(), space.first(longest_quote));
    if (!queued) {
      // What did not fit into the queue still stands on the socket.
      take_socket_error(socket.fd.get());
      return;
    }
    if (!queued->unreachable) continue;
    Bytes payload = results_.keep_bytes(queued->unreachable->payload.size());
    results_.done.push_back({Event::unreachable, false, -queued->unreachable->error, socket.token,
                             payload, results_.keep(queued->unreachable->to)});
  }
}

}  // namespace ringdns
