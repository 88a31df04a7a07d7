// Sending datagrams.
#include <map>

#include "support.hpp"

using namespace contract;

namespace {

constexpr Token socket_token = token(1, 7);

SocketId open_socket(Driver& driver, sa_family_t family = AF_INET, Address* local = nullptr) {
  SocketOptions options;
  options.bind = loopback(family);
  options.send_buffer = 4 << 20;
  Io::OpenedSocket socket = driver.io().open_datagram_socket(options, socket_token);
  REQUIRE(socket.id.valid());
  if (local) *local = socket.local;
  return socket.id;
}

// A batch, with the memory that it points into.
struct Batch {
  std::vector<std::string> bytes;
  std::vector<Address> to;
  std::vector<Datagram> datagrams;

  void reserve(size_t count) { bytes.reserve(count), to.reserve(count); }
  void add(SocketId socket, Token mark, const Address& address, std::string text) {
    REQUIRE(bytes.size() < bytes.capacity());
    bytes.push_back(std::move(text));
    to.push_back(address);
    datagrams.push_back({socket, mark, &to.back(), bytes_of(bytes.back())});
  }
};

std::string text_of(uint32_t number, size_t length) {
  std::string text = std::to_string(number) + ":";
  return text + pattern(length > text.size() ? length - text.size() : 0, number);
}

}  // namespace

TEST_CASE("thousands of datagrams handed over at once leave, each once") {
  ON_EVERY_IO {
    for (sa_family_t family : {AF_INET, AF_INET6}) {
      constexpr uint32_t peers = 40, total = 3000;
      Driver driver(implementation, 10000);
      SocketId socket = open_socket(driver, family);
      std::vector<Fd> fds;
      for (uint32_t n = 0; n < peers; ++n) fds.push_back(plain_udp(family, 1 << 20));
      Batch batch;
      batch.reserve(total);
      // Many lengths: what may leave together and what may not, in every mixture.
      for (uint32_t n = 0; n < total; ++n)
        batch.add(socket, token(2, n), local_of(fds[n * 7 % peers]),
                  text_of(n, 10 + n / 9 % 5 * 30));
      driver.io().send_datagrams(batch.datagrams);
      driver.turn();
      driver.settle();
      CHECK(driver.seen.empty());
      std::map<std::string, uint32_t> arrived;
      for (uint32_t peer = 0; peer < peers; ++peer)
        for (const std::string& text : receive_all_plain(fds[peer])) {
          ++arrived[text];
          CHECK(std::stoul(text) * 7 % peers == peer);
        }
      CHECK(arrived.size() == total);
      for (const std::string& text : batch.bytes) CHECK(arrived[text] == 1);
    }
  }
}

TEST_CASE("many datagrams of one length to one destination") {
  ON_EVERY_IO {
    Driver driver(implementation, 10000);
    SocketId socket = open_socket(driver);
    Fd peer = plain_udp(AF_INET, 8 << 20);
    Address to = local_of(peer);
    for (size_t length : {12, 60, 1200, 1201, 1472, 3000}) {
      for (uint32_t count : {2u, 63u, 64u, 65u, 129u}) {
        INFO(length << " x " << count);
        Batch batch;
        batch.reserve(count);
        for (uint32_t n = 0; n < count; ++n) batch.add(socket, token(2, n), to, text_of(n, length));
        driver.io().send_datagrams(batch.datagrams);
        driver.turn(1ms);
        std::map<std::string, uint32_t> arrived;
        while (arrived.size() < count) {
          std::optional<std::string> text = receive_plain(peer);
          REQUIRE(text);
          ++arrived[*text];
        }
        for (const std::string& text : batch.bytes) CHECK(arrived[text] == 1);
      }
    }
    CHECK(receive_all_plain(peer).empty());
    CHECK(driver.seen.empty());
  }
}

TEST_CASE("a path that cannot do GSO loses nothing") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation, 10000);
    Address local;
    SocketId socket = open_socket(driver, AF_INET, &local);
    int fd = descriptor_of(local, SOCK_DGRAM);
    if (fd < 0) return;  // the implementation keeps it where nobody can get at it
    int on = 1;  // without checksums the kernel refuses to segment
    REQUIRE(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) == 0);
    Fd peer = plain_udp(AF_INET, 4 << 20);
    Address to = local_of(peer);
    for (int round = 0; round < 2; ++round) {
      Batch batch;
      batch.reserve(200);
      for (uint32_t n = 0; n < 200; ++n) batch.add(socket, token(2, n), to, text_of(n, 80 + n % 3));
      driver.io().send_datagrams(batch.datagrams);
      std::map<std::string, uint32_t> arrived;
      CHECK(driver.until([&] {
        for (const std::string& text : receive_all_plain(peer)) ++arrived[text];
        return arrived.size() == 200;
      }));
      for (const std::string& text : batch.bytes) CHECK(arrived[text] == 1);
    }
    driver.settle();
    CHECK(driver.seen.empty());
  }
}

TEST_CASE("what cannot leave is told under its own token, and the others leave") {
  ON_EVERY_IO {
    Driver driver(implementation, 10000);
    SocketId socket = open_socket(driver), six = open_socket(driver, AF_INET6);
    Fd peer = plain_udp(AF_INET, 1 << 20), peer_six = plain_udp(AF_INET6, 1 << 20);
    Address good = local_of(peer), good_six = local_of(peer_six);
    Address portless = loopback(AF_INET, 0), broadcast = ipv4("255.255.255.255", 9);
    in6_addr mapped{};
    REQUIRE(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped) == 1);
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6, raw.sin6_addr = mapped, raw.sin6_port = htons(good.port());
    Address foreign = Address::from_sockaddr(&raw, sizeof raw);

    constexpr uint32_t rounds = 30;
    Batch batch;
    batch.reserve(rounds * 6);
    for (uint32_t n = 0; n < rounds; ++n) {
      batch.add(socket, token(2, n), good, text_of(n, 50));
      batch.add(socket, token(3, n), portless, text_of(n, 50));
      batch.add(socket, token(4, n), broadcast, text_of(n, 50));
      batch.add(socket, token(5, n), good, std::string(65535, 'x'));
      batch.add(six, token(6, n), good_six, text_of(n, 50));
      batch.add(six, token(7, n), foreign, text_of(n, 50));
    }
    driver.io().send_datagrams(batch.datagrams);
    CHECK(driver.until([&] { return driver.count(Event::send_failed) >= 4 * rounds; }));
    driver.settle();
    for (uint32_t n = 0; n < rounds; ++n) {
      CHECK(driver.only(Event::send_failed, token(3, n)).result == -EINVAL);
      CHECK(driver.only(Event::send_failed, token(4, n)).result == -EACCES);
      CHECK(driver.only(Event::send_failed, token(5, n)).result == -EMSGSIZE);
      CHECK(driver.only(Event::send_failed, token(7, n)).result == -ENETUNREACH);
    }
    CHECK(driver.seen.size() == 4 * rounds);
    CHECK(receive_all_plain(peer).size() == rounds);
    CHECK(receive_all_plain(peer_six).size() == rounds);
  }
}

TEST_CASE("an empty datagram leaves, and an empty batch is nothing") {
  ON_EVERY_IO {
    Driver driver(implementation);
    SocketId socket = open_socket(driver);
    Fd peer = plain_udp();
    Address to = local_of(peer);
    driver.io().send_datagrams({});
    std::vector<Datagram> batch(3, {socket, token(2), &to, {}});
    driver.io().send_datagrams(batch);
    driver.turn(1ms);
    for (int n = 0; n < 3; ++n) CHECK(receive_plain(peer) == std::string());
    CHECK(driver.seen.empty());
  }
}

TEST_CASE("addresses and octets are free again once the next wait has returned") {
  ON_EVERY_IO {
    Driver driver(implementation);
    SocketId socket = open_socket(driver);
    Fd peer = plain_udp(AF_INET, 1 << 20);
    for (uint32_t n = 0; n < 50; ++n) {
      Address to = local_of(peer);
      std::vector<std::string> texts(3, text_of(n, 80));
      std::vector<Datagram> batch;
      for (std::string& text : texts) batch.push_back({socket, token(2), &to, bytes_of(text)});
      driver.io().send_datagrams(batch);
      batch.assign(3, Datagram{});  // the list itself is not even borrowed
      driver.turn(0ms);
      to = Address();
      for (std::string& text : texts) text.assign(text.size(), '?');
      for (int copy = 0; copy < 3; ++copy) CHECK(receive_plain(peer) == text_of(n, 80));
    }
    CHECK(driver.seen.empty());
  }
}
