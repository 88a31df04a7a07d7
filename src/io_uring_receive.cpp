#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>

#include "io_sockets.hpp"
#include "io_uring_datagrams.hpp"

namespace ringdns {

namespace {

constexpr uint16_t buffer_group = 0;
constexpr uint32_t most_buffers = 512;
constexpr uint32_t name_size = 32;     // an Address, and the control messages behind it aligned
constexpr uint32_t control_size = 64;  // a UDP_GRO message, and room
static_assert(name_size >= sizeof(Address));
static_assert((sizeof(io_uring_recvmsg_out) + name_size) % alignof(cmsghdr) == 0);
// A merged run of replies may be as long as the longest datagram, and its tail must not be lost.
constexpr uint32_t longest_payload = 65535;
// Not a multiple of a page: buffers at one page offset would compete for the same cache lines.
constexpr uint32_t buffer_size =
    (sizeof(io_uring_recvmsg_out) + name_size + control_size + longest_payload + 63) / 64 * 64;
constexpr uint32_t registered_sockets = 256;
constexpr uint32_t slots_of_first = 32, slots_of_last = 4;
constexpr size_t frame_count = 512, vector_count = 4096;  // sends between two submissions

size_t segment_size(msghdr& message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(control), sizeof size);
    return size > 0 ? static_cast<size_t>(size) : 0;
  }
  return 0;
}

}  // namespace

RingDatagrams::RingDatagrams(Ring& ring, RingFeatures& features, std::vector<Completion>& done)
    : ring_(ring), features_(features), done_(done), frames_(frame_count),
      vectors_(vector_count) {
  receive_header_.msg_namelen = name_size;
  receive_header_.msg_controllen = control_size;
}

bool RingDatagrams::open(uint32_t concurrency) {
  if (features_.multishot) {
    uint32_t count = features_.receive_buffers;
    if (count == 0) count = std::bit_ceil(std::clamp(concurrency, 16u, most_buffers));
    if (!buffers_.open(count, buffer_size)) return false;
    from_.resize(count);
    features_.multishot = buffers_.register_with(ring_, buffer_group) && multishot_works();
  }
  if (features_.registered_files) {
    // Sparse, in the form that every kernel takes.
    std::vector<int> none(registered_sockets, -1);
    features_.registered_files =
        io_uring_register_files(ring_.get(), none.data(), registered_sockets) == 0;
  }
  return true;
}

Io::OpenedSocket RingDatagrams::open_socket(const SocketOptions& options, Token token) {
  UdpSocket opened = open_udp_socket(options, 0);
  if (!opened.fd.valid()) return {{}, opened.error, 0, {}};
  uint32_t index = static_cast<uint32_t>(sockets_.size());
  int fd = opened.fd.get();
  Socket& socket = sockets_.emplace_back();
  socket.token = token;
  socket.registered = features_.registered_files && index < registered_sockets &&
                      io_uring_register_files_update(ring_.get(), index, &fd, 1) == 1;
  if (features_.segmentation) {
    enable_udp_gro(fd);
    socket.segmentation = supports_udp_gso(fd);
  }
  socket.fd = std::move(opened.fd);
  if (features_.multishot) {
    to_arm_.push_back(index);
  } else if (!open_slots(index)) {
    sockets_.pop_back();
    return {{}, ENOMEM, 0, {}};
  }
  return {{index}, 0, opened.receive_buffer, opened.local};
}

void RingDatagrams::set_target(io_uring_sqe* entry, const Socket& socket, uint32_t index) const {
  entry->fd = socket.registered ? static_cast<int>(index) : socket.fd.get();
  if (socket.registered) entry->flags |= IOSQE_FIXED_FILE;
}

void RingDatagrams::prepare() {
  buffers_.recycle();
  errors_used_ = 0;
  if (ending_) return;
  for (uint32_t index : to_arm_) features_.multishot ? arm(index) : arm_slot(index);
  to_arm_.clear();
  for (uint32_t index = 0; index < sockets_.size(); ++index)
    if (sockets_[index].errors_left) drain_errors(index);
}

void RingDatagrams::cancel() {
  ending_ = true;
  for (uint32_t index = 0; index < sockets_.size(); ++index)
    if (sockets_[index].armed) ring_.cancel(Op::datagram_receive, index, 0);
  for (uint32_t index = 0; index < slots_.size(); ++index)
    if (slots_[index].armed) ring_.cancel(Op::datagram_slot, index, 0);
}

// ---- Multishot

void RingDatagrams::arm(uint32_t index) {
  Socket& socket = sockets_[index];
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_recvmsg_multishot(entry, socket.fd.get(), &receive_header_, 0);
  set_target(entry, socket, index);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = buffer_group;
  ring_.hand_over(entry, Op::datagram_receive, index, 0);
  socket.armed = true;
}

void RingDatagrams::on_receive(const Finished& finished) {
  uint32_t index = finished.mark.index;
  Socket& socket = sockets_[index];
  if (!finished.more()) {
    // No buffer was left, the completion queue was full, or the socket had an error to tell.
    socket.armed = false;
    if (!ending_) to_arm_.push_back(index);
  }
  if (finished.has_buffer()) {
    uint16_t id = finished.buffer();
    buffers_.lend(id);
    uint8_t* start = buffers_.at(id);
    auto* out = io_uring_recvmsg_validate(start, finished.result, &receive_header_);
    if (!out) return;
    from_[id] = Address::from_sockaddr(io_uring_recvmsg_name(out),
                                       std::min<size_t>(out->namelen, sizeof(Address)));
    msghdr walked{};
    walked.msg_control =
        static_cast<uint8_t*>(io_uring_recvmsg_name(out)) + receive_header_.msg_namelen;
    walked.msg_controllen = std::min<size_t>(out->controllen, control_size);
    const uint8_t* payload =
        static_cast<const uint8_t*>(io_uring_recvmsg_payload(out, &receive_header_));
    size_t length =
        io_uring_recvmsg_payload_length(out, finished.result, &receive_header_);
    return deliver(socket, {payload, length}, &from_[id], segment_size(walked),
                   out->flags & MSG_TRUNC);
  }
  if (finished.result >= 0 || finished.result == -ENOBUFS || ending_) return;
  ensure(finished.result != -EINVAL, "multishot receives on a datagram socket");
  drain_errors(index);
}

// No bit tells of it: it is tried.
bool RingDatagrams::multishot_works() {
  constexpr Duration patience = std::chrono::seconds(1);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
  Fd here(ends[0]), there(ends[1]);
  if (::send(there.get(), "?", 1, MSG_DONTWAIT) != 1) return false;
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_recvmsg_multishot(entry, here.get(), &receive_header_, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = buffer_group;
  ring_.hand_over(entry, Op::probe, 0, 0);
  ring_.wait(1, patience);
  ring_.cancel(Op::probe, 0, 0);
  bool works = false;
  while (ring_.in_flight() > 0 || ring_.any_finished()) {
    if (!ring_.any_finished()) ring_.wait(1, patience);
    Finished finished;
    while (ring_.take(finished)) {
      if (finished.has_buffer()) buffers_.lend(finished.buffer());
      works = works || (finished.op() == Op::probe && finished.more() && finished.has_buffer());
    }
  }
  return works;
}

// ---- Single receives

bool RingDatagrams::open_slots(uint32_t index) {
  // Several, so that a burst is taken in few turns; fewer where many sockets share the load.
  uint32_t count = std::max(slots_of_last, slots_of_first - std::min(slots_of_first, index));
  Mapping memory;
  if (!memory.open(size_t{count} * buffer_size)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    to_arm_.push_back(static_cast<uint32_t>(slots_.size()));
    Slot& slot = slots_.emplace_back();
    slot.socket = index;
    slot.armed = false;
    slot.bytes = memory.data() + size_t{i} * buffer_size;
  }
  slot_memory_.push_back(std::move(memory));
  return true;
}

void RingDatagrams::arm_slot(uint32_t index) {
  Slot& slot = slots_[index];
  slot.vector = {slot.bytes, longest_payload};
  slot.header = {};
  slot.header.msg_name = const_cast<sockaddr*>(slot.from.data());
  slot.header.msg_namelen = sizeof slot.from;
  slot.header.msg_iov = &slot.vector;
  slot.header.msg_iovlen = 1;
  slot.header.msg_control = slot.control.data();
  slot.header.msg_controllen = slot.control.size();
  io_uring_sqe* entry = ring_.entry();
  io_uring_prep_recvmsg(entry, sockets_[slot.socket].fd.get(), &slot.header, 0);
  set_target(entry, sockets_[slot.socket], slot.socket);
  ring_.hand_over(entry, Op::datagram_slot, index, 0);
  slot.armed = true;
}

void RingDatagrams::on_slot(const Finished& finished) {
  uint32_t index = finished.mark.index;
  Slot& slot = slots_[index];
  slot.armed = false;
  if (ending_) return;
  to_arm_.push_back(index);
  if (finished.result < 0) return drain_errors(slot.socket);
  deliver(sockets_[slot.socket], {slot.bytes, static_cast<size_t>(finished.result)}, &slot.from,
          segment_size(slot.header), slot.header.msg_flags & MSG_TRUNC);
}

// ---- Both

void RingDatagrams::deliver(const Socket& socket, Bytes payload, const Address* from,
                            size_t segment, bool cut) {
  if (ending_) return;
  if (segment == 0) segment = payload.size();
  do {
    Bytes part = payload.first(std::min(segment, payload.size()));
    payload = payload.subspan(part.size());
    Completion completion{};
    completion.event = Event::datagram;
    completion.cut = cut && payload.empty();
    completion.result = static_cast<int32_t>(part.size());
    completion.token = socket.token;
    completion.bytes = part;
    completion.from = from;
    done_.push_back(completion);
    ++received_;
  } while (!payload.empty());
}

// An ICMP error is told by the next call on the socket that fails, ours to receive or ours to
// send; the queue says which datagram it was about.
void RingDatagrams::drain_errors(uint32_t index) {
  Socket& socket = sockets_[index];
  socket.errors_left = false;
  for (;;) {
    if (errors_used_ == errors_.size()) {
      socket.errors_left = true;
      return;
    }
    QueuedErrorBytes& room = errors_[errors_used_];
    auto queued = take_queued_error(socket.fd.get(), room.payload);
    if (!queued) return;
    if (!queued->unreachable) continue;
    ++errors_used_;
    room.to = queued->unreachable->to;
    Completion completion{};
    completion.event = Event::unreachable;
    completion.result = -queued->unreachable->error;
    completion.token = socket.token;
    completion.bytes = queued->unreachable->payload;
    completion.from = &room.to;
    done_.push_back(completion);
  }
}

}  // namespace ringdns
