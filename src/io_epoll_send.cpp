#include "io_epoll_send.hpp"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>

#include "io_sockets.hpp"

namespace ringdns {

namespace {

constexpr uint32_t most_segments = 64;        // UDP_MAX_SEGMENTS of the oldest kernels
constexpr uint32_t most_gso_bytes = 65000;    // a GSO send is one IP packet up to its cutting
constexpr uint32_t longest_segment = 1200;    // fits every path's MTU, which GSO demands
constexpr int most_attempts = 8;

bool local_back_pressure(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

uint32_t hash_of(const Datagram& datagram) {
  uint64_t hash = datagram.socket.v * uint64_t{0x9e3779b97f4a7c15} + datagram.bytes.size();
  hash = (hash ^ datagram.to->port()) * 0xff51afd7ed558ccd;
  Bytes octets = datagram.to->octets();
  for (size_t at = 0; at < octets.size(); at += 4)
    hash = (hash ^ (hash >> 29) ^ load_u32(&octets[at])) * 0xff51afd7ed558ccd;
  return static_cast<uint32_t>(hash >> 32);
}

bool leave_together(const Datagram& a, const Datagram& b) {
  return a.socket == b.socket && a.bytes.size() == b.bytes.size() &&
         (a.to == b.to || *a.to == *b.to);
}

iovec vector_of(const Datagram& datagram) {
  return {const_cast<uint8_t*>(datagram.bytes.data()), datagram.bytes.size()};
}

void address_to(msghdr& header, const Datagram& datagram) {
  header.msg_name = const_cast<sockaddr*>(datagram.to->data());
  header.msg_namelen = datagram.to->size();
}

// 0 or errno.
int send_one(int fd, const Datagram& datagram) {
  iovec vector = vector_of(datagram);
  msghdr header{};
  address_to(header, datagram);
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  for (int attempt = 1;; ++attempt) {
    if (sendmsg(fd, &header, MSG_DONTWAIT) >= 0) return 0;
    bool again = errno == EINTR || (may_be_pending_error(errno) && attempt < most_attempts);
    if (!again) return errno;
  }
}

}  // namespace

DatagramSender::DatagramSender()
    : table_(table_size), next_(batch_limit), headers_(batch_limit), vectors_(batch_limit),
      controls_(batch_limit) {
  groups_.reserve(batch_limit);
  order_.reserve(batch_limit);
  messages_.reserve(batch_limit);
}

void DatagramSender::send(std::span<const Datagram> batch, std::span<EpollSocket> sockets,
                          std::vector<Completion>& failed) {
  failed_ = &failed;
  while (!batch.empty()) {
    chunk_ = batch.first(std::min<size_t>(batch.size(), batch_limit));
    batch = batch.subspan(chunk_.size());
    send_chunk(sockets);
  }
}

void DatagramSender::send_chunk(std::span<EpollSocket> sockets) {
  group(sockets);
  for (size_t at = 0; at < groups_.size(); ++at) {
    if (groups_[at].sent) continue;
    SocketId socket = groups_[at].socket;
    for (size_t other = at; other < groups_.size(); ++other) {
      if (!(groups_[other].socket == socket)) continue;
      groups_[other].sent = true;
      add_messages(groups_[other]);
    }
    flush(sockets[socket.v]);
  }
}

void DatagramSender::group(std::span<const EpollSocket> sockets) {
  groups_.clear();
  std::fill(table_.begin(), table_.end(), none);
  for (uint16_t at = 0; at < chunk_.size(); ++at) {
    const Datagram& datagram = chunk_[at];
    ensure(datagram.socket.v < sockets.size(), "a datagram's socket is open");
    next_[at] = none;
    size_t length = datagram.bytes.size();
    bool groupable = sockets[datagram.socket.v].gso && length > 0 && length <= longest_segment;
    uint16_t alone = none;
    uint16_t& found = groupable ? find_group(datagram) : alone;
    if (found == none) {
      found = static_cast<uint16_t>(groups_.size());
      groups_.push_back({datagram.socket, at, at, 1, false});
      continue;
    }
    Group& group = groups_[found];
    next_[group.last] = at;
    group.last = at;
    ++group.count;
  }
}

uint16_t& DatagramSender::find_group(const Datagram& datagram) {
  uint32_t at = hash_of(datagram) % table_size;
  while (table_[at] != none && !leave_together(chunk_[groups_[table_[at]].first], datagram))
    at = (at + 1) % table_size;
  return table_[at];
}

void DatagramSender::add_messages(const Group& group) {
  size_t length = chunk_[group.first].bytes.size();
  uint16_t most = static_cast<uint16_t>(
      length ? std::clamp<size_t>(most_gso_bytes / length, 1, most_segments) : 1);
  uint16_t at = group.first;
  for (uint16_t left = group.count; left > 0;) {
    Message message{static_cast<uint16_t>(order_.size()), std::min(left, most)};
    msghdr& header = headers_[messages_.size()].msg_hdr;
    header = {};
    address_to(header, chunk_[at]);
    header.msg_iov = &vectors_[message.first];
    header.msg_iovlen = message.count;
    for (uint16_t segment = 0; segment < message.count; ++segment, at = next_[at]) {
      vectors_[order_.size()] = vector_of(chunk_[at]);
      order_.push_back(at);
    }
    if (message.count > 1) {
      SegmentControl& control = controls_[messages_.size()];
      header.msg_control = control.bytes;
      header.msg_controllen = sizeof control.bytes;
      cmsghdr* segments = CMSG_FIRSTHDR(&header);
      segments->cmsg_level = IPPROTO_UDP;
      segments->cmsg_type = UDP_SEGMENT;
      segments->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      uint16_t size = static_cast<uint16_t>(length);
      std::memcpy(CMSG_DATA(segments), &size, sizeof size);
    }
    messages_.push_back(message);
    left = static_cast<uint16_t>(left - message.count);
  }
}

// sendmmsg stops at the message that fails, and tells its error only when that one is the first.
void DatagramSender::flush(EpollSocket& socket) {
  size_t at = 0;
  int attempt = 1;
  while (at < messages_.size()) {
    unsigned count = static_cast<unsigned>(messages_.size() - at);
    int sent = sendmmsg(socket.fd.get(), &headers_[at], count, MSG_DONTWAIT);
    if (sent > 0) {
      at += static_cast<size_t>(sent);
      attempt = 1;
      continue;
    }
    int error = errno;
    if (error == EINTR || (may_be_pending_error(error) && attempt++ < most_attempts)) continue;
    attempt = 1;
    if (error == EAGAIN) {  // the send buffer is full, for all that follow too
      while (at < messages_.size()) fail(messages_[at++], error);
    } else if (messages_[at].count > 1 && !local_back_pressure(error)) {
      send_singly(socket, messages_[at++]);
    } else {
      fail(messages_[at++], error);
    }
  }
  messages_.clear();
  order_.clear();
}

// A GSO send was refused: EIO or EINVAL where the path cannot do it, or what the destination
// deserves. What then leaves singly tells which.
void DatagramSender::send_singly(EpollSocket& socket, const Message& message) {
  for (uint16_t at = message.first; at < message.first + message.count; ++at) {
    const Datagram& datagram = chunk_[order_[at]];
    int error = send_one(socket.fd.get(), datagram);
    if (error == 0)
      socket.gso = false;
    else
      fail(datagram, error);
  }
}

void DatagramSender::fail(const Message& message, int error) {
  for (uint16_t at = message.first; at < message.first + message.count; ++at)
    fail(chunk_[order_[at]], error);
}

void DatagramSender::fail(const Datagram& datagram, int error) {
  failed_->push_back({Event::send_failed, false, -error, datagram.token, {}, nullptr});
}

}  // namespace ringdns
