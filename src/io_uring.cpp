#include "io_uring.hpp"

#include <algorithm>

#include "io_uring_datagrams.hpp"
#include "io_uring_streams.hpp"

namespace ringdns {

namespace {

// How long to let replies gather. Under load each call is cheaper by what it shares; but the
// time must not become the rate: it is what a part of the replies took to arrive lately.
class Gathering {
 public:
  static constexpr uint32_t least_expected = 64;
  static constexpr Duration longest = std::chrono::milliseconds(1);
  static constexpr Duration shortest = std::chrono::microseconds(20);  // less than it costs

  void saw(uint64_t datagrams, Duration time) {
    datagrams_ = datagrams_ * 7 / 8 + static_cast<double>(datagrams);
    time_ = time_ * 7 / 8 + static_cast<double>(time.count());
  }
  static uint32_t target(uint32_t expected) { return std::min(expected / 4, 256u); }
  Duration time(uint32_t expected) const {
    if (expected < least_expected) return Duration(0);
    double needed = target(expected) * time_ / std::max(datagrams_, 1.0);
    Duration time(static_cast<int64_t>(std::min(needed, static_cast<double>(longest.count()))));
    return time < shortest ? Duration(0) : time;
  }

 private:
  double datagrams_ = 0, time_ = 0;
};

class UringIo final : public Io {
 public:
  explicit UringIo(const RingFeatures& allowed)
      : features_(allowed), datagrams_(ring_, features_, done_),
        streams_(ring_, features_, done_) {}
  ~UringIo() override;

  std::string open(uint32_t concurrency);

  const char* name() const override { return "io_uring"; }
  OpenedSocket open_datagram_socket(const SocketOptions& options, Token token) override {
    return datagrams_.open_socket(options, token);
  }
  void send_datagrams(std::span<const Datagram> batch) override { datagrams_.send(batch); }
  StreamId open_stream(Fd fd) override { return streams_.open_stream(std::move(fd)); }
  void read(StreamId stream, MutableBytes into, Token token) override {
    streams_.read(stream, into, token);
  }
  void write(StreamId stream, Bytes bytes, Token token) override {
    streams_.write(stream, bytes, token);
  }
  void close_stream(StreamId stream) override { streams_.close_stream(stream); }
  OpenedConnection connect(const ConnectOptions& options, Token token) override {
    return streams_.connect(options, token);
  }
  void set_receiving(StreamId connection, bool on) override {
    streams_.set_receiving(connection, on);
  }
  void close_connection(StreamId connection, CloseKind kind) override {
    streams_.close_connection(connection, kind);
  }
  Turn wait(Instant deadline, uint32_t expected) override;

 private:
  void block(Instant deadline, uint32_t expected);
  void dispatch();

  RingFeatures features_;
  std::vector<Completion> done_;
  Ring ring_;  // outlives what is on it
  RingDatagrams datagrams_;
  RingStreams streams_;
  Gathering gathering_;
  Instant now_{};
};

Instant clock_now() { return std::chrono::steady_clock::now(); }

std::string UringIo::open(uint32_t concurrency) {
  constexpr uint32_t least_entries = 64, most_entries = 2048;
  uint32_t entries = features_.queue_entries;
  if (entries == 0) entries = std::bit_ceil(std::clamp(concurrency, least_entries, most_entries));
  std::string why = ring_.open(entries, features_);
  if (!why.empty()) return why;
  if (!datagrams_.open(concurrency) || !streams_.open(concurrency))
    return "no memory to receive into";
  now_ = clock_now();
  return {};
}

// The kernel writes into our memory and the callers' until everything has come back.
UringIo::~UringIo() {
  if (!ring_.is_open()) return;
  constexpr Duration patience = std::chrono::milliseconds(100);
  bool progress = false;
  do {
    if (!progress) {
      datagrams_.cancel();
      streams_.cancel();
    }
    if (ring_.in_flight() > 0) ring_.wait(1, patience);
    progress = ring_.any_finished();
    dispatch();
  } while (ring_.in_flight() > 0);
}

Turn UringIo::wait(Instant deadline, uint32_t expected) {
  done_.clear();
  Instant before = now_;
  uint64_t received_before = datagrams_.received();
  do {
    datagrams_.prepare();
    streams_.prepare();
    if (!done_.empty() || deadline <= now_)
      ring_.look();
    else
      block(deadline, expected);
    dispatch();
    while (datagrams_.send_again()) {
      ring_.look();
      dispatch();
    }
    now_ = clock_now();
  } while (done_.empty() && now_ < deadline);
  datagrams_.end_turn();
  gathering_.saw(datagrams_.received() - received_before, now_ - before);
  return {now_, std::chrono::system_clock::now(), done_};
}

void UringIo::block(Instant deadline, uint32_t expected) {
  Instant now = clock_now();
  Duration gather = std::min(gathering_.time(expected), deadline - now);
  if (gather > Duration(0)) {
    ring_.wait(Gathering::target(expected), gather);
    if (ring_.any_finished()) return;
    now = clock_now();
  }
  if (deadline <= now)
    ring_.look();
  else
    ring_.wait(1, deadline - now);
}

void UringIo::dispatch() {
  Finished finished;
  while (ring_.take(finished)) {
    switch (finished.op()) {
      case Op::none:
      case Op::probe:
      case Op::cancel_datagram: break;
      case Op::datagram_receive: datagrams_.on_receive(finished); break;
      case Op::datagram_slot: datagrams_.on_slot(finished); break;
      case Op::datagram_send: datagrams_.on_send(finished); break;
      case Op::cancel_stream:
      case Op::read:
      case Op::read_poll:
      case Op::connect:
      case Op::connect_poll:
      case Op::receive:
      case Op::receive_single:
      case Op::receive_poll:
      case Op::write:
      case Op::write_poll: streams_.on_finished(finished); break;
    }
  }
}

}  // namespace

IoResult make_io_uring(uint32_t concurrency, const RingFeatures& allowed) {
  auto io = std::make_unique<UringIo>(allowed);
  std::string why = io->open(concurrency);
  if (!why.empty()) return {nullptr, why};
  return {std::move(io), {}};
}

IoResult make_io_uring(uint32_t concurrency) { return make_io_uring(concurrency, RingFeatures{}); }

}  // namespace ringdns
