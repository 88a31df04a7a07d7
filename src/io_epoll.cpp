#include "io_epoll.hpp"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

#include "io_epoll_receive.hpp"
#include "io_epoll_send.hpp"
#include "io_epoll_streams.hpp"
#include "io_sockets.hpp"

namespace ringdns {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t socket_mark = uint64_t{1} << 32;  // in epoll_event::data; else a stream

timespec to_timespec(Duration duration) {
  seconds whole = duration_cast<seconds>(duration);
  return {whole.count(), (duration - whole).count()};
}

// Decides how long replies may gather before a turn looks at them: system calls and the kernel's
// work per packet are what a query costs, and both are shared by what is handled together.
class Gathering {
 public:
  Duration pause(uint32_t expected) const {
    constexpr uint32_t many = 64, target_limit = 128, least_gain = 8;
    constexpr Duration longest = milliseconds(1);
    uint32_t target = std::min(expected / 2, target_limit);
    if (expected < many || last_count_ >= target || count_ < 1) return {};
    Duration interval(static_cast<int64_t>(time_ns_ / count_));  // between two replies, lately
    if (interval * least_gain > longest) return {};
    return std::min(interval * target, longest);
  }

  void on_turn(Instant now, size_t count) {
    constexpr double kept = 7.0 / 8;
    if (last_turn_ != Instant{}) {
      count_ = count_ * kept + static_cast<double>(count);
      time_ns_ = time_ns_ * kept + static_cast<double>((now - last_turn_).count());
    }
    last_turn_ = now;
    last_count_ = count;
  }

 private:
  double count_ = 0, time_ns_ = 0;  // of the latest turns, fading
  size_t last_count_ = 0;
  Instant last_turn_{};
};

class EpollIo final : public Io {
 public:
  EpollIo(Fd epoll, const EpollFeatures& features)
      : features_(features), epoll_(std::move(epoll)), receiver_(results_),
        streams_(epoll_.get(), results_, features) {}

  const char* name() const override { return "epoll"; }

  OpenedSocket open_datagram_socket(const SocketOptions& options, Token token) override;
  void send_datagrams(std::span<const Datagram> batch) override {
    sender_.send(batch, sockets_, results_.done);
  }

  StreamId open_stream(Fd fd) override { return streams_.open(std::move(fd)); }
  void read(StreamId id, MutableBytes into, Token token) override {
    streams_.read(id, into, token);
  }
  void write(StreamId id, Bytes bytes, Token token) override { streams_.write(id, bytes, token); }
  void close_stream(StreamId id) override { streams_.close(id); }
  OpenedConnection connect(const ConnectOptions& options, Token token) override {
    return streams_.connect(options, token);
  }
  void set_receiving(StreamId id, bool on) override { streams_.set_receiving(id, on); }
  void close_connection(StreamId id, CloseKind kind) override {
    streams_.close_connection(id, kind);
  }

  Turn wait(Instant deadline, uint32_t expected) override;

 private:
  void gather(Instant deadline, uint32_t expected);
  int poll(Duration timeout);
  void on_event(const epoll_event& event, TurnShare share);

  EpollFeatures features_;
  Fd epoll_;
  TurnResults results_;
  std::vector<Completion> told_;
  std::vector<EpollSocket> sockets_;
  DatagramSender sender_;
  DatagramReceiver receiver_;
  EpollStreams streams_;
  Gathering gathering_;
  std::array<epoll_event, TurnResults::most_events> events_;
};

Io::OpenedSocket EpollIo::open_datagram_socket(const SocketOptions& options, Token token) {
  UdpSocket opened = open_udp_socket(options, SOCK_NONBLOCK);
  if (!opened.fd.valid()) return {{}, opened.error, 0, {}};
  if (features_.gro) enable_udp_gro(opened.fd.get());
  uint32_t index = static_cast<uint32_t>(sockets_.size());
  epoll_event event{EPOLLIN, {.u64 = socket_mark | index}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, opened.fd.get(), &event) != 0)
    return {{}, errno, 0, {}};
  bool gso = features_.gso && supports_udp_gso(opened.fd.get());
  sockets_.push_back({std::move(opened.fd), token, gso});
  return {{index}, 0, opened.receive_buffer, opened.local};
}

Turn EpollIo::wait(Instant deadline, uint32_t expected) {
  results_.start();
  streams_.run_submitted();
  gather(deadline, expected);
  Instant now;
  for (;;) {
    now = std::chrono::steady_clock::now();
    bool look_only = !results_.done.empty() || deadline <= now;
    int count = poll(look_only ? Duration{} : deadline - now);
    for (int at = 0; at < count; ++at) {
      size_t left = static_cast<size_t>(count - at);
      on_event(events_[static_cast<size_t>(at)],
               {results_.free_bytes().size() / left,
                std::max<size_t>(results_.free_datagrams() / left, 1)});
    }
    now = std::chrono::steady_clock::now();
    if (!results_.done.empty() || deadline <= now) break;
  }
  gathering_.on_turn(now, results_.done.size());
  told_.clear();
  std::swap(told_, results_.done);
  return {now, std::chrono::system_clock::now(), told_};
}

void EpollIo::gather(Instant deadline, uint32_t expected) {
  if (!results_.done.empty()) return;
  Duration pause = gathering_.pause(expected);
  if (pause <= Duration{}) return;
  pause = std::min(pause, deadline - std::chrono::steady_clock::now());
  if (pause <= Duration{}) return;
  timespec time = to_timespec(pause);
  nanosleep(&time, nullptr);
}

// The number of events; 0 also where a signal came.
int EpollIo::poll(Duration timeout) {
  int most = static_cast<int>(events_.size());
  timeout = std::min<Duration>(timeout, std::chrono::hours(1));
  if (features_.precise_wait) {
    timespec time = to_timespec(timeout);
    int count = epoll_pwait2(epoll_.get(), events_.data(), most, &time, nullptr);
    // Kernels and containers from before it.
    bool unknown = count < 0 && (errno == ENOSYS || errno == EPERM);
    if (!unknown) return std::max(count, 0);
    features_.precise_wait = false;
  }
  int rounded = static_cast<int>(std::chrono::ceil<milliseconds>(timeout).count());
  return std::max(epoll_wait(epoll_.get(), events_.data(), most, rounded), 0);
}

void EpollIo::on_event(const epoll_event& event, TurnShare share) {
  uint32_t index = static_cast<uint32_t>(event.data.u64);
  if (!(event.data.u64 & socket_mark)) return streams_.on_event(index, event.events, share);
  EpollSocket& socket = sockets_[index];
  if (event.events & EPOLLERR) receiver_.take_errors(socket, share);
  if (event.events & EPOLLIN) receiver_.receive(socket, share);
}

}  // namespace

IoResult make_io_epoll(uint32_t, const EpollFeatures& features) {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return {nullptr, std::string("epoll_create1: ") + std::strerror(errno)};
  return {std::make_unique<EpollIo>(std::move(epoll), features), {}};
}

IoResult make_io_epoll(uint32_t concurrency) { return make_io_epoll(concurrency, {}); }

}  // namespace ringdns
