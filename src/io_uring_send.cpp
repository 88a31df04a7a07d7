#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>

#include "io_sockets.hpp"
#include "io_uring_datagrams.hpp"

namespace ringdns {

namespace {

constexpr size_t most_segments = 64;  // UDP_MAX_SEGMENTS of the older kernels
constexpr size_t longest_run = 65507;
constexpr size_t longest_segment = 1200;  // longer ones may not fit a path, and gain less
constexpr int send_flags = MSG_DONTWAIT | MSG_NOSIGNAL;

bool back_pressure(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

bool together(const Datagram& a, const Datagram& b) {
  return a.socket == b.socket && a.to == b.to;
}

// Socket, destination, then length from the longest down. Destinations are told apart by where
// the caller keeps them: two copies of one address only miss a chance.
uint64_t grouping_key(const Datagram& datagram) {
  uint64_t destination = reinterpret_cast<uintptr_t>(datagram.to) / alignof(Address);
  uint64_t length = std::min<size_t>(datagram.bytes.size(), longest_segment + 1);
  return uint64_t{datagram.socket.v} << 54 | (destination & 0x7ff'ffff'ffff) << 11 |
         (longest_segment + 1 - length);
}

}  // namespace

void RingDatagrams::send(std::span<const Datagram> batch) {
  size_t start = datagrams_.size();
  datagrams_.insert(datagrams_.end(), batch.begin(), batch.end());
  std::span<Datagram> added(datagrams_.data() + start, batch.size());
  if (features_.segmentation && batch.size() > 1) group(added);
  for (size_t at = 0; at < added.size();) {
    uint16_t count = run_length(added.subspan(at));
    sent_.push_back({static_cast<uint32_t>(start + at), count, 0, false});
    hand_over(static_cast<uint32_t>(sent_.size() - 1));
    at += count;
  }
}

// Brings together what may leave together. Order among the datagrams of one destination is kept
// where they have one length; UDP promises none.
void RingDatagrams::group(std::span<Datagram> batch) {
  keys_.clear();
  bool sorted = true;
  for (uint32_t i = 0; i < batch.size(); ++i) {
    keys_.push_back({grouping_key(batch[i]), i});
    sorted = sorted && (i == 0 || keys_[i - 1].key <= keys_[i].key);
  }
  if (sorted) return;
  std::sort(keys_.begin(), keys_.end(), [](const Key& a, const Key& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  });
  ordered_.assign(batch.begin(), batch.end());
  for (size_t i = 0; i < batch.size(); ++i) batch[i] = ordered_[keys_[i].index];
}

// How many from the front are one send: equally long ones, and one shorter as the last.
uint16_t RingDatagrams::run_length(std::span<const Datagram> rest) const {
  const Datagram& first = rest[0];
  size_t segment = first.bytes.size();
  if (!sockets_[first.socket.v].segmentation || segment == 0 || segment > longest_segment)
    return 1;
  size_t most = std::min({rest.size(), most_segments, longest_run / segment});
  size_t count = 1;
  while (count < most && together(rest[count], first) && rest[count].bytes.size() == segment)
    ++count;
  bool tail = count < most && together(rest[count], first) && !rest[count].bytes.empty() &&
              rest[count].bytes.size() < segment;
  return static_cast<uint16_t>(count + (tail ? 1 : 0));
}

void RingDatagrams::hand_over(uint32_t index) {
  const Sent& sent = sent_[index];
  const Datagram& first = datagrams_[sent.first];
  if (frames_used_ == frames_.size() || vectors_used_ + most_segments > vectors_.size()) {
    ring_.submit();  // a datagram is sent, or has failed, within the call: MSG_DONTWAIT
    frames_used_ = vectors_used_ = 0;
  }
  io_uring_sqe* entry = ring_.entry();
  if (sent.count == 1 && features_.send_to) {
    io_uring_prep_send(entry, 0, first.bytes.data(), first.bytes.size(), send_flags);
    io_uring_prep_send_set_addr(entry, first.to->data(),
                                static_cast<uint16_t>(first.to->size()));
  } else {
    hand_over_message(entry, sent);
  }
  set_target(entry, sockets_[first.socket.v], first.socket.v);
  if (features_.skip_success) entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  ring_.hand_over(entry, Op::datagram_send, index, turn_);
}

void RingDatagrams::hand_over_message(io_uring_sqe* entry, const Sent& sent) {
  Frame& frame = frames_[frames_used_++];
  std::span<iovec> vectors(vectors_.data() + vectors_used_, sent.count);
  vectors_used_ += sent.count;
  for (size_t i = 0; i < sent.count; ++i) {
    Bytes bytes = datagrams_[sent.first + i].bytes;
    vectors[i] = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  }
  const Address* to = datagrams_[sent.first].to;
  frame.header = {};
  frame.header.msg_name = const_cast<sockaddr*>(to->data());
  frame.header.msg_namelen = to->size();
  frame.header.msg_iov = vectors.data();
  frame.header.msg_iovlen = vectors.size();
  if (sent.count > 1) {
    frame.header.msg_control = frame.control.data();
    frame.header.msg_controllen = frame.control.size();
    cmsghdr* control = CMSG_FIRSTHDR(&frame.header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t segment = static_cast<uint16_t>(vectors[0].iov_len);
    std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
  }
  io_uring_prep_sendmsg(entry, 0, &frame.header, send_flags);
}

// ---- What fails

void RingDatagrams::on_send(const Finished& finished) {
  if (finished.result >= 0 || finished.mark.generation != (turn_ & 0xffffff)) return;
  // A pending error is taken by one call; each round sends at least the first of those left.
  constexpr int most_rounds = 8;
  uint32_t index = finished.mark.index;
  Sent sent = sent_[index];
  uint32_t socket = datagrams_[sent.first].socket.v;
  int error = -finished.result;
  if (may_be_pending_error(error)) {
    drain_errors(socket);
    if (sent.again < (error == ECONNREFUSED ? most_rounds : 1)) {
      ++sent_[index].again;
      return to_send_again_.push_back(index);
    }
  }
  // The destination was the reason, not that it was a run.
  if (sent.of_run && error == EINVAL) sockets_[socket].segmentation = true;
  if (sent.count == 1 || back_pressure(error)) return fail(sent, error);
  // A path that cannot cut runs: no checksum offload (EIO), a transform on the way (EINVAL).
  if (error == EIO || error == EINVAL) sockets_[socket].segmentation = false;
  for (uint32_t i = 0; i < sent.count; ++i) {
    to_send_again_.push_back(static_cast<uint32_t>(sent_.size()));
    sent_.push_back({sent.first + i, 1, 0, true});
  }
}

void RingDatagrams::fail(const Sent& sent, int error) {
  // Refused is what others were: this one has not left the machine.
  if (error == ECONNREFUSED) error = EAGAIN;
  for (uint32_t i = 0; i < sent.count; ++i) {
    Completion completion{};
    completion.event = Event::send_failed;
    completion.result = -error;
    completion.token = datagrams_[sent.first + i].token;
    done_.push_back(completion);
  }
}

bool RingDatagrams::send_again() {
  if (to_send_again_.empty() || ending_) return false;
  for (uint32_t index : to_send_again_) hand_over(index);
  to_send_again_.clear();
  return true;
}

void RingDatagrams::end_turn() {
  datagrams_.clear();
  sent_.clear();
  to_send_again_.clear();
  frames_used_ = vectors_used_ = 0;
  ++turn_;
}

}  // namespace ringdns
