// The contract suite's tools: every implementation of the seam by name, a driver that takes notes
// of all completions, and plain sockets for it to talk to.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "ringdns/io.hpp"

namespace contract {

using namespace ringdns;
using namespace std::chrono_literals;

struct Implementation {
  std::string name;
  std::function<IoResult(uint32_t concurrency)> make;
  bool simulated = false;
};
// Those that this host permits; the others are named on stderr, once.
const std::vector<Implementation>& implementations();

// While it lives, peers (plain_udp() ...) are such as the implementation can talk to.
struct Surroundings {
  explicit Surroundings(const Implementation& implementation);
  ~Surroundings();
  Surroundings(const Surroundings&) = delete;
  explicit operator bool() const { return true; }
};

#define ON_EVERY_IO                                                       \
  for (const contract::Implementation& implementation : implementations()) \
  SUBCASE(implementation.name.c_str())                                     \
  if (contract::Surroundings surroundings{implementation})
// For what only a kernel has: files, terminals, threads beside it, its own tables.
#define ON_EVERY_KERNEL_IO                                                \
  for (const contract::Implementation& implementation : implementations()) \
  if (!implementation.simulated)                                           \
  SUBCASE(implementation.name.c_str())                                     \
  if (contract::Surroundings surroundings{implementation})

constexpr Token token(uint8_t kind, uint32_t slot = 0) { return {slot, slot % 1000, kind}; }
inline bool same(Token a, Token b) {
  return a.slot == b.slot && a.generation == b.generation && a.kind == b.kind;
}

// A completion, kept beyond its turn.
struct Seen {
  Event event;
  bool cut;
  int32_t result;
  Token token;
  std::string bytes;
  Address from;
};

class Driver {
 public:
  explicit Driver(const Implementation& implementation, uint32_t concurrency = 1000);

  Io& io() { return *io_; }
  static Instant now();  // by the clock that the implementation waits by
  void destroy_io() { io_.reset(); }

  // One wait, of which the notes are taken.
  void turn(Duration longest = 50ms, uint32_t expected = 0);
  // Turns until it is true; false if that takes absurdly long.
  bool until(const std::function<bool()>& done, uint32_t expected = 0);
  // Turns for a while in which nothing is expected: it must be idle, too.
  void settle();

  std::vector<Seen> of(Event event, Token token) const;
  size_t count(Event event) const;
  size_t count(Event event, Token token) const { return of(event, token).size(); }
  // The only completion of that kind.
  Seen only(Event event, Token token);
  std::string received(Token token) const;  // what a connection received so far, joined

  std::vector<Seen> seen;

 private:
  std::unique_ptr<Io> io_;
  Instant last_{};
};

Address loopback(sa_family_t family, uint16_t port = 0);
Address ipv4(const char* text, uint16_t port);
Address local_of(const Fd& fd);

Fd plain_udp(sa_family_t family = AF_INET, uint32_t receive_buffer = 0);
void send_plain(const Fd& fd, const Address& to, const std::string& bytes);
// The next datagram, or nothing if none comes within a moment.
std::optional<std::string> receive_plain(const Fd& fd, Address* from = nullptr);
std::vector<std::string> receive_all_plain(const Fd& fd);  // what is there now

Fd plain_listener(const Address& at, int backlog = 128);
Fd accept_plain(const Fd& listener);
// Nothing: no octet came within a moment. An errno comes as a negative number.
struct PlainRead {
  ssize_t result;
  std::string bytes;
};
PlainRead read_plain(const Fd& fd, size_t most = 65536);
bool write_all_plain(const Fd& fd, std::string_view bytes);
void finish_plain(const Fd& fd);        // FIN
void close_with_reset(Fd& fd);          // RST
Address peer_of(const Fd& fd);          // simulated: none

struct Pipe {
  Fd read_end, write_end;
};
Pipe make_pipe(int flags = 0);

size_t open_descriptors();
// Our process's descriptor of the socket bound to that address; -1: none.
int descriptor_of(const Address& local, int type);

std::string pattern(size_t length, uint32_t seed = 1);
inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline MutableBytes space_of(std::string& text) {
  return {reinterpret_cast<uint8_t*>(text.data()), text.size()};
}

Duration cpu_time();  // of this process so far
// Whether it spends its time asleep; called up to three times.
bool idles(const std::function<void()>& wait);

}  // namespace contract
