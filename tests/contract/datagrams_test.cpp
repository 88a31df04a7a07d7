// Receiving datagrams, and ICMP errors.
#include <netinet/udp.h>

#include <set>

#include "support.hpp"

using namespace contract;

namespace {

constexpr Token socket_token = token(1, 7);
constexpr Token query_token = token(2, 9);

Io::OpenedSocket open_socket(Driver& driver, sa_family_t family = AF_INET, uint32_t buffer = 0,
                             Token mark = socket_token) {
  SocketOptions options;
  options.bind = loopback(family);
  options.receive_buffer = buffer;
  Io::OpenedSocket socket = driver.io().open_datagram_socket(options, mark);
  REQUIRE(socket.id.valid());
  REQUIRE(socket.local.family() == family);
  REQUIRE(socket.local.port() != 0);
  return socket;
}

// As one send of which the kernel makes segments; false where it cannot.
bool send_segments(const Fd& fd, const Address& to, const std::string& bytes, uint16_t segment) {
  int size = segment;
  if (setsockopt(fd.get(), IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size) != 0) return false;
  send_plain(fd, to, bytes);
  return true;
}

std::string numbered(uint32_t number, size_t length = 60) {
  std::string bytes = pattern(std::max<size_t>(length, 4), number);
  std::memcpy(bytes.data(), &number, 4);
  return bytes;
}

uint32_t number_of(const std::string& bytes) {
  uint32_t number = UINT32_MAX;
  if (bytes.size() >= 4) std::memcpy(&number, bytes.data(), 4);
  return number;
}

}  // namespace

TEST_CASE("a datagram arrives with its socket's token, its sender and its octets") {
  ON_EVERY_IO {
    for (sa_family_t family : {AF_INET, AF_INET6}) {
      Driver driver(implementation);
      Io::OpenedSocket socket = open_socket(driver, family);
      Io::OpenedSocket other = open_socket(driver, family, 0, token(1, 8));
      Fd peer = plain_udp(family), other_peer = plain_udp(family);
      send_plain(peer, socket.local, "to the first");
      send_plain(other_peer, other.local, "to the second");

      Seen first = driver.only(Event::datagram, socket_token);
      CHECK(first.bytes == "to the first");
      CHECK(first.result == 12);
      CHECK(!first.cut);
      CHECK(first.from == local_of(peer));
      Seen second = driver.only(Event::datagram, token(1, 8));
      CHECK(second.bytes == "to the second");
      CHECK(second.from == local_of(other_peer));
      driver.settle();
      CHECK(driver.seen.size() == 2);
    }
  }
}

TEST_CASE("the receive buffer is granted in the unit it was asked for in") {
  ON_EVERY_IO {
    Driver driver(implementation);
    CHECK(open_socket(driver, AF_INET, 100000).receive_buffer == 100000);
    CHECK(open_socket(driver, AF_INET).receive_buffer > 0);
  }
}

TEST_CASE("a socket that cannot be had says why") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Fd taken = plain_udp();
    SocketOptions options;
    options.bind = local_of(taken);
    Io::OpenedSocket socket = driver.io().open_datagram_socket(options, socket_token);
    CHECK(!socket.id.valid());
    CHECK(socket.error == EADDRINUSE);
    options.bind = ipv4("192.0.2.77", 0);
    socket = driver.io().open_datagram_socket(options, socket_token);
    CHECK(!socket.id.valid());
    CHECK(socket.error == EADDRNOTAVAIL);
  }
}

TEST_CASE("datagrams of every size: up to 4096 octets whole, larger ones whole or cut") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Io::OpenedSocket socket = open_socket(driver, AF_INET, 1 << 20);
    Fd peer = plain_udp();
    for (size_t length : {0, 1, 12, 512, 1232, 1500, 4095, 4096, 9000, 65507}) {
      INFO(length);
      driver.seen.clear();
      std::string sent = pattern(length, 3);
      send_plain(peer, socket.local, sent);
      Seen got = driver.only(Event::datagram, socket_token);
      CHECK(got.result == static_cast<int32_t>(got.bytes.size()));
      CHECK(got.bytes == sent.substr(0, got.bytes.size()));
      CHECK(got.cut == (got.bytes.size() < length));
      if (length <= 4096) CHECK(!got.cut);
      CHECK(got.from == local_of(peer));
    }
  }
}

TEST_CASE("a burst that fits the receive buffer arrives whole") {
  ON_EVERY_IO {
    for (int round = 0; round < 3; ++round) {
      Driver driver(implementation, 10000);
      Io::OpenedSocket socket = open_socket(driver, AF_INET, 8 << 20);
      Fd peer = plain_udp();
      uint32_t count = std::min(5000u, socket.receive_buffer / 1300);
      for (uint32_t n = 0; n < count; ++n) send_plain(peer, socket.local, numbered(n));
      auto arrived = [&] { return driver.count(Event::datagram) >= count; };
      CHECK(driver.until(arrived, round == 1 ? 10000 : 0));
      std::set<uint32_t> numbers;
      for (const Seen& one : driver.of(Event::datagram, socket_token)) {
        uint32_t number = number_of(one.bytes);
        CHECK(one.bytes == numbered(number));
        CHECK(one.from == local_of(peer));
        numbers.insert(number);
      }
      CHECK(numbers.size() == count);
      driver.settle();
      CHECK(driver.count(Event::datagram) == count);
    }
  }
}

TEST_CASE("datagrams that the kernel merged arrive one by one") {
  ON_EVERY_KERNEL_IO {
    struct Shape {
      uint16_t segment;
      size_t count, tail;
    };
    for (Shape shape :
         {Shape{100, 64, 0}, {100, 50, 30}, {1, 64, 0}, {1400, 45, 1}, {8000, 8, 5}}) {
      INFO(shape.segment);
      Driver driver(implementation);
      Io::OpenedSocket socket = open_socket(driver, AF_INET, 1 << 20);
      Fd peer = plain_udp();
      std::string all = pattern(shape.segment * shape.count + shape.tail, 5);
      if (!send_segments(peer, socket.local, all, shape.segment)) return;
      size_t expected = shape.count + (shape.tail > 0);
      CHECK(driver.until([&] { return driver.count(Event::datagram) >= expected; }));
      CHECK(driver.count(Event::datagram) == expected);
      std::string joined;
      for (const Seen& one : driver.of(Event::datagram, socket_token)) {
        CHECK(!one.cut);
        CHECK(one.from == local_of(peer));
        CHECK(one.result == static_cast<int32_t>(one.bytes.size()));
        bool is_tail = joined.size() + shape.tail == all.size();
        CHECK(one.bytes.size() == (is_tail && shape.tail ? shape.tail : shape.segment));
        joined += one.bytes;
      }
      CHECK(joined == all);
    }
  }
}

TEST_CASE("after more than the buffers hold, receiving goes on") {
  ON_EVERY_IO {
    Driver driver(implementation, 16);
    Io::OpenedSocket socket = open_socket(driver, AF_INET, 8 << 20);
    Io::OpenedSocket other = open_socket(driver, AF_INET, 0, token(1, 8));
    Fd peer = plain_udp();
    for (int round = 0; round < 3; ++round) {
      driver.seen.clear();
      for (uint32_t n = 0; n < 20000; ++n) send_plain(peer, socket.local, numbered(n));
      send_plain(peer, other.local, "meanwhile");
      CHECK(driver.only(Event::datagram, token(1, 8)).bytes == "meanwhile");
      size_t before;
      do {
        before = driver.seen.size();
        driver.turn();
      } while (driver.seen.size() > before);
      size_t fitting = std::min(20000u, socket.receive_buffer / 1300);
      CHECK(driver.count(Event::datagram, socket_token) >= fitting);
      driver.seen.clear();
      send_plain(peer, socket.local, "afterwards");
      CHECK(driver.only(Event::datagram, socket_token).bytes == "afterwards");
    }
    driver.settle();
  }
}

TEST_CASE("many sockets receive at once, each under its own token") {
  ON_EVERY_IO {
    constexpr uint32_t sockets = 150, each = 20;
    Driver driver(implementation, 10000);
    Fd peer = plain_udp();
    std::vector<Io::OpenedSocket> opened;
    for (uint32_t n = 0; n < sockets; ++n)
      opened.push_back(open_socket(driver, AF_INET, 0, token(1, n)));
    for (uint32_t n = 0; n < each; ++n)
      for (uint32_t s = 0; s < sockets; ++s)
        send_plain(peer, opened[s].local, numbered(s * 100 + n));
    CHECK(driver.until([&] { return driver.seen.size() >= sockets * each; }));
    std::set<uint32_t> numbers;
    for (const Seen& one : driver.seen) {
      CHECK(one.event == Event::datagram);
      CHECK(number_of(one.bytes) / 100 == one.token.slot);
      numbers.insert(number_of(one.bytes));
    }
    CHECK(numbers.size() == sockets * each);
    driver.settle();
  }
}

TEST_CASE("an ICMP error tells where which datagram was going") {
  ON_EVERY_IO {
    for (sa_family_t family : {AF_INET, AF_INET6}) {
      Driver driver(implementation);
      Io::OpenedSocket socket = open_socket(driver, family);
      Address dead = local_of(plain_udp(family));  // closed again at once
      std::string query = pattern(100, 11);
      Datagram datagram{socket.id, query_token, &dead, bytes_of(query)};
      driver.io().send_datagrams({&datagram, 1});
      Seen told = driver.only(Event::unreachable, socket_token);
      CHECK(told.result == -ECONNREFUSED);
      CHECK(told.from == dead);
      CHECK(told.bytes.size() >= 20);  // RFC 792 promises 8 octets of UDP header, Linux quotes more
      CHECK(told.bytes == query.substr(0, told.bytes.size()));
      driver.settle();
      CHECK(driver.seen.size() == 1);
    }
  }
}

TEST_CASE("ICMP errors do no harm to the other traffic of their socket") {
  ON_EVERY_IO {
    for (sa_family_t family : {AF_INET, AF_INET6}) {
      constexpr uint32_t rounds = 20, each = 40;
      Driver driver(implementation);
      Io::OpenedSocket socket = open_socket(driver, family, 1 << 20);
      Fd alive = plain_udp(family, 1 << 20);
      Address living = local_of(alive), dead = local_of(plain_udp(family));
      std::set<uint32_t> arrived;
      uint32_t number = 0;
      for (uint32_t round = 0; round < rounds; ++round) {
        std::vector<std::string> bytes;
        std::vector<Datagram> batch;
        for (uint32_t n = 0; n < 2 * each; ++n) bytes.push_back(numbered(number++, 40 + n % 7));
        for (uint32_t n = 0; n < 2 * each; ++n)
          batch.push_back({socket.id, query_token, n % 2 ? &living : &dead, bytes_of(bytes[n])});
        // All at once, or each on its own, which then meets with the error of the one before.
        if (round % 2)
          driver.io().send_datagrams(batch);
        else
          for (const Datagram& one : batch) driver.io().send_datagrams({&one, 1});
        driver.turn(1ms);
        for (const std::string& got : receive_all_plain(alive)) {
          arrived.insert(number_of(got));
          send_plain(alive, socket.local, got);
        }
      }
      CHECK(arrived.size() == rounds * each);
      CHECK(driver.until([&] { return driver.count(Event::datagram) >= rounds * each; }));
      CHECK(driver.count(Event::datagram) == rounds * each);
      CHECK(driver.count(Event::send_failed) == 0);
      CHECK(driver.count(Event::unreachable) > 0);
      CHECK(driver.count(Event::unreachable) <= rounds * each);
      for (const Seen& one : driver.seen)
        if (one.event == Event::unreachable) CHECK(one.from == dead);
      driver.settle();
    }
  }
}
