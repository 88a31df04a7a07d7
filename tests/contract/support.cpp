#include "support.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include <cerrno>

#include "simulated.hpp"

namespace contract {

namespace {
constexpr int moment_ms = 10000;  // for what must come; nothing waits this long in a good run
}

Driver::Driver(const Implementation& implementation, uint32_t concurrency) {
  signal(SIGPIPE, SIG_IGN);
  IoResult made = implementation.make(concurrency);
  INFO(made.why);
  REQUIRE(made.io);
  io_ = std::move(made.io);
}

Instant Driver::now() {
  return simulated() ? simulated()->now() : Instant(std::chrono::steady_clock::now());
}

void Driver::turn(Duration longest, uint32_t expected) {
  if (simulated()) simulated()->sweep();
  Instant deadline = now() + longest;
  Turn turn = io_->wait(deadline, expected);
  bool returned_for_a_reason = !turn.done.empty() || turn.now >= deadline;
  CHECK(returned_for_a_reason);
  CHECK(turn.now >= last_);
  last_ = turn.now;
  for (const Completion& c : turn.done)
    seen.push_back({c.event, c.cut, c.result, c.token,
                    std::string(reinterpret_cast<const char*>(c.bytes.data()), c.bytes.size()),
                    c.from ? *c.from : Address()});
}

bool Driver::until(const std::function<bool()>& done, uint32_t expected) {
  Instant limit = now() + 30s;
  while (!done()) {
    if (now() > limit) return false;
    turn(20ms, expected);
  }
  return true;
}

void Driver::settle() {
  turn(5ms);
  turn(5ms);
  CHECK(idles([&] { turn(60ms); }));
}

std::vector<Seen> Driver::of(Event event, Token token) const {
  std::vector<Seen> found;
  for (const Seen& one : seen)
    if (one.event == event && same(one.token, token)) found.push_back(one);
  return found;
}

size_t Driver::count(Event event) const {
  size_t count = 0;
  for (const Seen& one : seen) count += one.event == event;
  return count;
}

Seen Driver::only(Event event, Token token) {
  REQUIRE(until([&] { return count(event, token) > 0; }));
  std::vector<Seen> found = of(event, token);
  CHECK(found.size() == 1);
  return found.front();
}

std::string Driver::received(Token token) const {
  std::string all;
  for (const Seen& one : seen)
    if (one.event == Event::received && same(one.token, token)) all += one.bytes;
  return all;
}

Address loopback(sa_family_t family, uint16_t port) {
  sockaddr_in6 six{};
  sockaddr_in four{};
  four.sin_family = AF_INET, four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  six.sin6_family = AF_INET6, six.sin6_addr = in6addr_loopback;
  Address address = family == AF_INET ? Address::from_sockaddr(&four, sizeof four)
                                      : Address::from_sockaddr(&six, sizeof six);
  address.set_port(port);
  return address;
}

Address ipv4(const char* text, uint16_t port) {
  sockaddr_in four{};
  four.sin_family = AF_INET;
  REQUIRE(inet_pton(AF_INET, text, &four.sin_addr) == 1);
  Address address = Address::from_sockaddr(&four, sizeof four);
  address.set_port(port);
  return address;
}

Address local_of(const Fd& fd) {
  if (simulated()) return simulated()->local_of(fd);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  REQUIRE(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size) == 0);
  return Address::from_sockaddr(&storage, size);
}

Fd plain_udp(sa_family_t family, uint32_t receive_buffer) {
  if (simulated()) return simulated()->udp(family);
  Fd fd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd.valid());
  int size = static_cast<int>(receive_buffer);
  if (size && setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  Address at = loopback(family);
  REQUIRE(bind(fd.get(), at.data(), at.size()) == 0);
  return fd;
}

void send_plain(const Fd& fd, const Address& to, const std::string& bytes) {
  if (simulated()) return simulated()->send(fd, to, bytes);
  ssize_t sent = sendto(fd.get(), bytes.data(), bytes.size(), 0, to.data(), to.size());
  REQUIRE(sent == static_cast<ssize_t>(bytes.size()));
}

std::optional<std::string> receive_plain(const Fd& fd, Address* from) {
  if (simulated()) return simulated()->receive(fd, from);
  pollfd looked{fd.get(), POLLIN, 0};
  if (poll(&looked, 1, moment_ms) <= 0) return std::nullopt;
  std::string bytes(65536, '\0');
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ssize_t got = recvfrom(fd.get(), bytes.data(), bytes.size(), 0,
                         reinterpret_cast<sockaddr*>(&storage), &size);
  if (got < 0) return std::nullopt;
  if (from) *from = Address::from_sockaddr(&storage, size);
  bytes.resize(static_cast<size_t>(got));
  return bytes;
}

std::vector<std::string> receive_all_plain(const Fd& fd) {
  std::vector<std::string> all;
  if (simulated()) {
    while (auto bytes = simulated()->receive(fd, nullptr)) all.push_back(std::move(*bytes));
    return all;
  }
  std::string bytes(65536, '\0');
  for (ssize_t got; (got = recv(fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) >= 0;)
    all.push_back(bytes.substr(0, static_cast<size_t>(got)));
  return all;
}

Fd plain_listener(const Address& at, int backlog) {
  if (simulated()) return simulated()->listener(at, backlog);
  Fd fd(socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd.valid());
  REQUIRE(bind(fd.get(), at.data(), at.size()) == 0);
  REQUIRE(listen(fd.get(), backlog) == 0);
  return fd;
}

Fd accept_plain(const Fd& listener) {
  if (simulated()) return simulated()->accept(listener);
  pollfd looked{listener.get(), POLLIN, 0};
  REQUIRE(poll(&looked, 1, moment_ms) == 1);
  Fd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(fd.valid());
  return fd;
}

PlainRead read_plain(const Fd& fd, size_t most) {
  if (simulated()) return simulated()->read(fd, most);
  pollfd looked{fd.get(), POLLIN, 0};
  if (poll(&looked, 1, moment_ms) <= 0) return {-ETIMEDOUT, {}};
  std::string bytes(most, '\0');
  ssize_t got = read(fd.get(), bytes.data(), most);
  if (got < 0) return {-errno, {}};
  bytes.resize(static_cast<size_t>(got));
  return {got, bytes};
}

bool write_all_plain(const Fd& fd, std::string_view bytes) {
  if (simulated()) return simulated()->write(fd, bytes);
  while (!bytes.empty()) {
    ssize_t put = write(fd.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return true;
}

void finish_plain(const Fd& fd) {
  if (simulated()) return simulated()->finish(fd);
  REQUIRE(shutdown(fd.get(), SHUT_WR) == 0);
}

void close_with_reset(Fd& fd) {
  if (simulated()) return simulated()->reset(fd);
  linger now{1, 0};
  REQUIRE(setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  fd.reset();
}

Address peer_of(const Fd& fd) {
  if (simulated()) return {};
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  REQUIRE(getpeername(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size) == 0);
  return Address::from_sockaddr(&storage, size);
}

Pipe make_pipe(int flags) {
  if (simulated()) return simulated()->pipe();
  int ends[2];
  REQUIRE(pipe2(ends, flags | O_CLOEXEC) == 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

size_t open_descriptors() {
  DIR* directory = opendir("/proc/self/fd");
  REQUIRE(directory);
  size_t count = 0;
  while (readdir(directory)) ++count;
  closedir(directory);
  return count;
}

int descriptor_of(const Address& local, int type) {
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    int found = 0;
    socklen_t found_size = sizeof found;
    bool is_socket = getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0 &&
                     getsockopt(fd, SOL_SOCKET, SO_TYPE, &found, &found_size) == 0;
    if (is_socket && found == type && Address::from_sockaddr(&storage, size) == local) return fd;
  }
  return -1;
}

std::string pattern(size_t length, uint32_t seed) {
  std::string out(length, '\0');
  uint32_t state = seed * 2654435761u + 1;
  for (char& c : out) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return out;
}

bool idles(const std::function<void()>& wait) {
  // One that spins takes all of what a loaded machine gives it, time after time; an idle one takes
  // next to nothing, but for an accident of accounting now and then.
  constexpr Duration next_to_nothing = 4ms;
  for (int time = 0; time < 3; ++time) {
    Duration before = cpu_time();
    wait();
    if (cpu_time() - before < next_to_nothing) return true;
  }
  return false;
}

Duration cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace contract
