#include "udp_server.hpp"

#include <netinet/udp.h>

#include <cerrno>

namespace responder {
namespace {

constexpr size_t plain_batch = 512, plain_room = 4096 + 64;
// With GRO a "datagram" is up to 64 KiB of them. The odd stride spreads them over cache sets.
constexpr size_t merged_batch = 64, merged_room = 65536 + 4096 + 64;
constexpr int batches_a_turn = 4;
constexpr size_t most_in_train = 64, most_train_octets = 65000;
constexpr size_t flush_octets = 1 << 20;

// The length of each datagram in what GRO merged, or 0 where it merged nothing.
size_t segment_length(const msghdr& header) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
    int length = 0;
    std::memcpy(&length, CMSG_DATA(c), sizeof length);
    return length > 0 ? static_cast<size_t>(length) : 0;
  }
  return 0;
}

}  // namespace

// How many datagrams from `first` on go to one client as one train: in one piece, of one length,
// only the last may be shorter.
size_t UdpSender::train_at(size_t first) const {
  const Datagram& head = pending_[first];
  size_t count = 1, octets = head.length;
  if (!coalesce_ || head.length == 0) return 1;
  while (first + count < pending_.size() && count < most_in_train) {
    const Datagram& last = pending_[first + count - 1];
    const Datagram& next = pending_[first + count];
    if (last.length != head.length || next.length > head.length || next.length == 0 ||
        next.fd != head.fd || next.offset != last.offset + last.length ||
        octets + next.length > most_train_octets || !(next.to == head.to))
      break;
    octets += next.length;
    ++count;
  }
  return count;
}

size_t UdpSender::flush(const Buffer& bytes) {
  size_t failed = 0;
  for (size_t first = 0; first < pending_.size();) {
    size_t count = 1;
    while (first + count < pending_.size() && pending_[first + count].fd == pending_[first].fd)
      ++count;
    failed += send_run(first, count, bytes);
    first += count;
  }
  pending_.clear();
  return failed;
}

size_t UdpSender::send_run(size_t first, size_t count, const Buffer& bytes) {
  size_t end = first + count;
  trains_.clear();
  while (first < end) {
    size_t length = std::min(train_at(first), end - first);
    trains_.push_back({first, length});
    first += length;
  }
  return send_trains(pending_[trains_[0].first].fd, bytes);
}

size_t UdpSender::send_trains(int fd, const Buffer& bytes) {
  constexpr size_t most = 512;
  mmsghdr headers[most];
  iovec vectors[most];
  alignas(cmsghdr) char controls[most][CMSG_SPACE(sizeof(uint16_t))];
  size_t failed = 0;
  for (size_t done = 0; done < trains_.size();) {
    size_t count = std::min(most, trains_.size() - done);
    for (size_t i = 0; i < count; ++i) {
      const Train& train = trains_[done + i];
      const Datagram& head = pending_[train.first];
      const Datagram& last = pending_[train.first + train.count - 1];
      vectors[i] = {const_cast<uint8_t*>(bytes.bytes().data()) + head.offset,
                    last.offset + last.length - head.offset};
      msghdr& header = headers[i].msg_hdr;
      header = {};
      header.msg_name = const_cast<sockaddr*>(head.to.data());
      header.msg_namelen = head.to.size();
      header.msg_iov = &vectors[i];
      header.msg_iovlen = 1;
      if (train.count == 1) continue;
      header.msg_control = controls[i];
      header.msg_controllen = sizeof controls[i];
      cmsghdr* c = CMSG_FIRSTHDR(&header);
      c->cmsg_level = SOL_UDP;
      c->cmsg_type = UDP_SEGMENT;
      c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      uint16_t length = static_cast<uint16_t>(head.length);
      std::memcpy(CMSG_DATA(c), &length, sizeof length);
    }
    int sent = sendmmsg(fd, headers, static_cast<unsigned>(count), 0);
    if (sent < 0) {
      if (errno == EINTR) continue;
      failed += trains_[done].count;  // this one cannot be sent; the next ones may
      sent = 1;
    }
    done += static_cast<size_t>(sent);
  }
  return failed;
}

UdpServer::UdpServer(std::vector<Listener>& listeners, bool coalesce)
    : coalesce_(coalesce),
      batch_(coalesce ? merged_batch : plain_batch),
      room_(coalesce ? merged_room : plain_room),
      octets_(std::make_unique_for_overwrite<uint8_t[]>(batch_ * room_)),
      headers_(batch_), vectors_(batch_), clients_(batch_), controls_(batch_), sender_(coalesce) {
  for (Listener& listener : listeners) {
    int on = 1;
    if (coalesce_) setsockopt(listener.udp.get(), SOL_UDP, UDP_GRO, &on, sizeof on);
  }
  for (size_t i = 0; i < batch_; ++i) vectors_[i] = {octets_.get() + i * room_, room_};
}

size_t UdpServer::receive(int fd) {
  for (size_t i = 0; i < batch_; ++i) {
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_name = &clients_[i];
    header.msg_namelen = sizeof clients_[i];
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    if (!coalesce_) continue;
    header.msg_control = controls_[i].data();
    header.msg_controllen = sizeof controls_[i];
  }
  int got = recvmmsg(fd, headers_.data(), static_cast<unsigned>(batch_), MSG_DONTWAIT, nullptr);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

void UdpServer::readable(Listener& listener, Instant now) {
  for (int turn = 0; turn < batches_a_turn; ++turn) {
    size_t got = receive(listener.udp.get());
    for (size_t i = 0; i < got; ++i) take(listener, i, now);
    flush(listener);
    if (got < batch_) return;
  }
}

// One received message: a datagram, or several that the kernel merged.
void UdpServer::take(Listener& listener, size_t index, Instant now) {
  const msghdr& header = headers_[index].msg_hdr;
  Bytes all(octets_.get() + index * room_, headers_[index].msg_len);
  Address client = Address::from_sockaddr(&clients_[index], header.msg_namelen);
  size_t each = coalesce_ ? segment_length(header) : 0;
  if (each == 0) each = std::max<size_t>(all.size(), 1);
  do {
    size_t length = std::min(each, all.size());
    take_datagram(listener, all.first(length), client, now);
    all = all.subspan(length);
  } while (!all.empty());
}

void UdpServer::take_datagram(Listener& listener, Bytes packet, const Address& client,
                              Instant now) {
  size_t before = actions_.list.size();
  bool question = on_datagram(listener.state, query_, packet, now, actions_);
  bool delays = false;
  for (size_t i = before; i < actions_.list.size(); ++i)
    delays |= actions_.list[i].delay.count() > 0;
  uint64_t key = 0;
  if (question && (delays || !outstanding_.empty())) [[unlikely]] {
    // The port is kept beside, so that the same question from another port is found as well.
    Bytes host = client.octets();
    key = question_hash(query_);
    for (uint8_t octet : host) key = (key ^ octet) * 0x100000001b3;
    count_identical(listener, client, key);
  }
  for (size_t i = before; i < actions_.list.size(); ++i) {
    const Action& action = actions_.list[i];
    if (action.delay.count() > 0) postpone(listener, action, client, now, delays ? key : 0);
    else sender_.add(listener.socket_for(action.source), client, action.offset, action.length);
    delays &= action.delay.count() == 0;  // the first late send settles the question
  }
  if (actions_.bytes.size() > flush_octets) flush(listener);
}

void UdpServer::count_identical(Listener& listener, const Address& client, uint64_t key) {
  auto found = outstanding_.find(key);
  if (found == outstanding_.end()) return;
  UdpCounts& counts = listener.udp_counts;
  bool same_port = found->second.port == client.port();
  ++counts.identical_outstanding;
  counts.identical_same_port += same_port;
  counts.identical_resent += same_port && found->second.id == query_.id;
}

void UdpServer::postpone(Listener& listener, const Action& action, const Address& client,
                         Instant now, uint64_t question) {
  if (question) {
    Outstanding& entry = outstanding_[question];
    if (entry.count++ == 0) entry.port = client.port(), entry.id = query_.id;
  }
  Bytes bytes = actions_.of(action);
  late_.add(now + action.delay,
            {&listener, action.source, client, question, Octets(bytes.begin(), bytes.end())});
}

void UdpServer::fire(Instant now) {
  Late late;
  Listener* last = nullptr;
  while (late_.take(now, late)) {
    size_t offset = actions_.bytes.size();
    actions_.bytes.append(Bytes(late.bytes));
    sender_.add(late.listener->socket_for(late.source), late.client, offset, late.bytes.size());
    last = late.listener;
    if (late.question) {
      auto entry = outstanding_.find(late.question);
      if (entry != outstanding_.end() && --entry->second.count == 0) outstanding_.erase(entry);
    }
    if (actions_.bytes.size() > flush_octets) flush(*last);
  }
  if (last) flush(*last);
}

void UdpServer::flush(Listener& listener) {
  if (!sender_.empty()) listener.udp_counts.send_errors += sender_.flush(actions_.bytes);
  actions_.clear();
}

}  // namespace responder
