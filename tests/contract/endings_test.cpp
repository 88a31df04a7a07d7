// How connections end, and how the whole thing does.
#include <fstream>
#include <sstream>

#include "simulated.hpp"

using namespace contract;

namespace {

constexpr Token connection_token = token(1, 3), write_token = token(2, 4);

struct Connected {
  StreamId id;
  Fd peer;
  Address local;  // our end's
};

StreamId start(Driver& driver, const Address& to, Token mark = connection_token) {
  ConnectOptions options;
  options.to = to;
  Io::OpenedConnection opened = driver.io().connect(options, mark);
  REQUIRE(opened.id.valid());
  return opened.id;
}

Connected connect_to(Driver& driver, const Fd& listener) {
  StreamId id = start(driver, local_of(listener));
  CHECK(driver.only(Event::connected, connection_token).result == 0);
  driver.seen.clear();
  Fd peer = accept_plain(listener);
  Address local = peer_of(peer);
  return {id, std::move(peer), local};
}

// Whether the kernel keeps our end of a connection in TIME_WAIT.
bool in_time_wait(const Address& local, const Address& peer) {
  std::ifstream table("/proc/net/tcp");
  std::string line;
  while (std::getline(table, line)) {
    unsigned port = 0, peer_port = 0, state = 0;
    bool read =
        std::sscanf(line.c_str(), " %*d: %*8x:%x %*8x:%x %x", &port, &peer_port, &state) == 3;
    if (read && port == local.port() && peer_port == peer.port() && state == 6) return true;
  }
  return false;
}

// A listener whose queue is full: further connections get no answer.
struct Blackhole {
  Fd listener = plain_listener(loopback(AF_INET), 0);
  std::vector<Fd> fillers;
  Blackhole() {
    if (simulated()) return;  // there a queue of none suffices
    Address to = local_of(listener);
    for (int n = 0; n < 4; ++n) {
      fillers.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      static_cast<void>(connect(fillers.back().get(), to.data(), to.size()));
    }
  }
};

}  // namespace

TEST_CASE("the peer's FIN is told once; writing goes on; then it is closed") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    REQUIRE(write_all_plain(connection.peer, "the last words"));
    finish_plain(connection.peer);
    CHECK(driver.until([&] {
      return driver.count(Event::received) > 0 && driver.seen.back().result == 0;
    }));
    CHECK(driver.received(connection_token) == "the last words");
    driver.settle();
    std::string text = pattern(16 << 20), got;  // more than fits, so that it has to wait
    driver.io().write(connection.id, bytes_of(text), write_token);
    driver.settle();
    while (got.size() < text.size()) {
      driver.turn(0ms);
      got += read_plain(connection.peer, 1 << 20).bytes;
    }
    CHECK(driver.only(Event::written, write_token).result == 16 << 20);
    CHECK(got == text);
    driver.settle();
    driver.io().close_connection(connection.id, CloseKind::fin);
    driver.only(Event::closed, connection_token);
    size_t ends = 0;
    for (const Seen& one : driver.of(Event::received, connection_token)) ends += one.result <= 0;
    CHECK(ends == 1);
  }
}

TEST_CASE("the peer's reset is told once, as an error") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    std::string text = pattern(16 << 20);
    bool writing = false;
    SUBCASE("idle") {}
    SUBCASE("with a write that waits") {
      writing = true;
      driver.io().write(connection.id, bytes_of(text), write_token);
      driver.settle();
    }
    close_with_reset(connection.peer);
    SUBCASE("with a write that is the first to meet it") {
      if (!writing) driver.io().write(connection.id, bytes_of("too late"), write_token);
      writing = true;
    }
    CHECK(driver.only(Event::received, connection_token).result == -ECONNRESET);
    if (writing) CHECK(driver.only(Event::written, write_token).result < 0);
    driver.settle();
    driver.io().write(connection.id, bytes_of("too late"), token(2, 9));
    CHECK(driver.only(Event::written, token(2, 9)).result < 0);
    driver.io().close_connection(connection.id, CloseKind::reset);
    driver.only(Event::closed, connection_token);
    driver.settle();
    CHECK(driver.count(Event::received) == 1);
    CHECK(driver.seen.back().event == Event::closed);
  }
}

TEST_CASE("closing with a write in flight: the write, then closed, then nothing") {
  ON_EVERY_IO {
    for (CloseKind kind : {CloseKind::reset, CloseKind::fin}) {
      Driver driver(implementation);
      Fd listener = plain_listener(loopback(AF_INET));
      Connected connection = connect_to(driver, listener);
      auto text = std::make_unique<std::string>(pattern(16 << 20));
      driver.io().write(connection.id, bytes_of(*text), write_token);
      driver.settle();
      CHECK(driver.seen.empty());
      driver.io().close_connection(connection.id, kind);
      driver.only(Event::closed, connection_token);
      text.reset();
      write_all_plain(connection.peer, "nobody hears this");
      driver.settle();
      REQUIRE(driver.seen.size() == 2);
      CHECK(driver.seen[0].event == Event::written);
      CHECK(same(driver.seen[0].token, write_token));
      CHECK(driver.seen[0].result < 0);
      CHECK(driver.seen[1].event == Event::closed);
    }
  }
}

TEST_CASE("what arrived but was not yet told is not told after closing") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    REQUIRE(write_all_plain(connection.peer, pattern(10000)));
    connection.peer.reset();
    driver.io().close_connection(connection.id, CloseKind::reset);
    driver.only(Event::closed, connection_token);
    driver.settle();
    CHECK(driver.seen.size() == 1);
  }
}

TEST_CASE("fin is orderly: the peer reads the end, and TIME_WAIT is ours") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    SUBCASE("with nothing left to read") {}
    SUBCASE("with input that nobody waited for") {
      REQUIRE(write_all_plain(connection.peer, pattern(10000)));
    }
    driver.io().close_connection(connection.id, CloseKind::fin);
    driver.only(Event::closed, connection_token);
    CHECK(read_plain(connection.peer).result == 0);
    connection.peer.reset();
    CHECK(driver.until([&] { return in_time_wait(connection.local, local_of(listener)); }));
  }
}

TEST_CASE("what was written before a fin still arrives") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    std::string text = pattern(30000), got;
    driver.io().write(connection.id, bytes_of(text), write_token);
    CHECK(driver.only(Event::written, write_token).result == 30000);
    driver.io().close_connection(connection.id, CloseKind::fin);
    driver.only(Event::closed, connection_token);
    PlainRead one;
    while ((one = read_plain(connection.peer)).result > 0) got += one.bytes;
    CHECK(one.result == 0);
    CHECK(got == text);
  }
}

TEST_CASE("reset is what the peer gets") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    driver.io().close_connection(connection.id, CloseKind::reset);
    driver.only(Event::closed, connection_token);
    CHECK(read_plain(connection.peer).result == -ECONNRESET);
    CHECK(!in_time_wait(connection.local, local_of(listener)));
  }
}

TEST_CASE("a connection that gets no answer is closed in the middle, and told no more") {
  ON_EVERY_IO {
    Blackhole blackhole;
    Driver driver(implementation);
    for (CloseKind kind : {CloseKind::fin, CloseKind::reset}) {
      driver.seen.clear();
      StreamId id = start(driver, local_of(blackhole.listener));
      driver.settle();
      CHECK(driver.seen.empty());
      driver.io().close_connection(id, kind);
      driver.only(Event::closed, connection_token);
      driver.settle();
      CHECK(driver.seen.size() == 1);
    }
    // And before the first wait.
    driver.seen.clear();
    for (const Address& to : {local_of(blackhole.listener), loopback(AF_INET, 1)}) {
      StreamId id = start(driver, to);
      driver.io().close_connection(id, CloseKind::fin);
      CHECK(driver.until([&] { return driver.count(Event::closed) == 1; }));
      driver.settle();
      CHECK(driver.count(Event::connected) == 0);
      driver.seen.clear();
    }
  }
}

TEST_CASE("2,000 connections leave no descriptor behind") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    auto cycle = [&](uint32_t n) {
      driver.seen.clear();
      StreamId id = start(driver, local_of(listener), token(1, n));
      CHECK(driver.only(Event::connected, token(1, n)).result == 0);
      Fd peer = accept_plain(listener);
      switch (n % 4) {
        case 0: break;
        case 1: REQUIRE(write_all_plain(peer, "unread")); break;
        case 2: peer.reset(); break;
        case 3: close_with_reset(peer); break;
      }
      driver.io().close_connection(id, n % 8 < 4 ? CloseKind::reset : CloseKind::fin);
      driver.only(Event::closed, token(1, n));
      CHECK(driver.seen.back().event == Event::closed);
    };
    for (uint32_t n = 0; n < 10; ++n) cycle(n);
    size_t before = open_descriptors();
    for (uint32_t n = 0; n < 2000; ++n) cycle(n);
    CHECK(open_descriptors() == before);
  }
}

TEST_CASE("it may be destroyed with everything in flight, and leaves nothing open") {
  ON_EVERY_KERNEL_IO {
    Blackhole blackhole;
    Fd listener = plain_listener(loopback(AF_INET));
    Pipe silent = make_pipe(), full = make_pipe();
    size_t before = open_descriptors() - 2;  // two of the pipes' ends go to the Io
    auto text = std::make_unique<std::string>(pattern(8 << 20));
    auto space = std::make_unique<std::string>(1000, '\0');
    {
      Driver driver(implementation);
      SocketOptions options;
      options.bind = loopback(AF_INET);
      Io::OpenedSocket socket = driver.io().open_datagram_socket(options, token(5));
      Connected connection = connect_to(driver, listener);
      driver.io().write(connection.id, bytes_of(*text), write_token);
      start(driver, local_of(blackhole.listener), token(1, 9));
      StreamId closing = start(driver, local_of(blackhole.listener), token(1, 10));
      StreamId in = driver.io().open_stream(std::move(silent.read_end));
      StreamId out = driver.io().open_stream(std::move(full.write_end));
      driver.io().read(in, space_of(*space), token(3));
      driver.io().write(out, bytes_of(*text), token(4));
      Fd peer = plain_udp();
      for (int n = 0; n < 100; ++n) send_plain(peer, socket.local, "unread");
      SUBCASE("before it was waited for") {}
      SUBCASE("after") { driver.turn(); }
      Address to = local_of(peer);
      Datagram datagram{socket.id, token(6), &to, bytes_of(*text).first(100)};
      driver.io().send_datagrams({&datagram, 1});
      driver.io().close_connection(closing, CloseKind::fin);
      REQUIRE(write_all_plain(connection.peer, "unread"));
      driver.destroy_io();
    }
    text.reset();
    space.reset();
    CHECK(open_descriptors() == before);
  }
}
