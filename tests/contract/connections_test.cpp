// TCP connections: opening them, and what comes and goes over them.
#include <netinet/tcp.h>

#include <thread>

#include "support.hpp"

using namespace contract;

namespace {

constexpr Token connection_token = token(1, 3), write_token = token(2, 4);

struct Connected {
  StreamId id;
  Fd peer;
};

StreamId start(Driver& driver, const Address& to, Token mark = connection_token) {
  ConnectOptions options;
  options.to = to;
  Io::OpenedConnection opened = driver.io().connect(options, mark);
  REQUIRE(opened.id.valid());
  return opened.id;
}

Connected connect_to(Driver& driver, const Fd& listener, Token mark = connection_token) {
  StreamId id = start(driver, local_of(listener), mark);
  CHECK(driver.only(Event::connected, mark).result == 0);
  return {id, accept_plain(listener)};
}

void finish(Driver& driver, StreamId id, Token mark = connection_token) {
  driver.io().close_connection(id, CloseKind::fin);
  driver.only(Event::closed, mark);
}

}  // namespace

TEST_CASE("a connection is told once, carries both ways, and is closed once") {
  ON_EVERY_IO {
    for (sa_family_t family : {AF_INET, AF_INET6}) {
      Driver driver(implementation);
      Fd listener = plain_listener(loopback(family));
      Connected connection = connect_to(driver, listener);
      driver.settle();
      std::string question = pattern(500), answer = pattern(800, 2);
      driver.io().write(connection.id, bytes_of(question), write_token);
      CHECK(driver.only(Event::written, write_token).result == 500);
      CHECK(read_plain(connection.peer).bytes == question);
      REQUIRE(write_all_plain(connection.peer, answer));
      CHECK(driver.until([&] { return driver.received(connection_token) == answer; }));
      finish(driver, connection.id);
      driver.settle();
      CHECK(driver.count(Event::connected) == 1);
      CHECK(driver.count(Event::closed) == 1);
      CHECK(driver.seen.back().event == Event::closed);
    }
  }
}

TEST_CASE("a refused connection is told, and then only closed") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Address dead = local_of(plain_listener(loopback(AF_INET)));
    StreamId id = start(driver, dead);
    CHECK(driver.only(Event::connected, connection_token).result == -ECONNREFUSED);
    driver.settle();
    driver.io().close_connection(id, CloseKind::fin);
    driver.only(Event::closed, connection_token);
    driver.settle();
    CHECK(driver.seen.size() == 2);
  }
}

TEST_CASE("a connection that cannot even start tells so") {
  ON_EVERY_IO {
    Driver driver(implementation);
    StreamId id = start(driver, ipv4("255.255.255.255", 53));
    CHECK(driver.only(Event::connected, connection_token).result < 0);
    driver.settle();
    finish(driver, id);
    ConnectOptions options;
    options.to = loopback(AF_INET, 53);
    options.bind = ipv4("192.0.2.77", 0);  // no address of this host
    Io::OpenedConnection opened = driver.io().connect(options, token(1, 5));
    CHECK(!opened.id.valid());
    CHECK(opened.error == EADDRNOTAVAIL);
    driver.settle();
    CHECK(driver.seen.size() == 2);
  }
}

TEST_CASE("a connection is made as its options say") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    for (bool fast_open : {false, true, true}) {
      driver.seen.clear();
      ConnectOptions options;
      options.to = local_of(listener);
      options.bind = ipv4("127.0.0.77", 0);
      options.max_segment = 1200;
      options.fast_open = fast_open;
      Io::OpenedConnection opened = driver.io().connect(options, connection_token);
      options = ConnectOptions();  // they were borrowed until the next wait at most
      REQUIRE(opened.id.valid());
      CHECK(driver.only(Event::connected, connection_token).result == 0);
      std::string question = pattern(3000);
      driver.io().write(opened.id, bytes_of(question), write_token);
      CHECK(driver.only(Event::written, write_token).result == 3000);
      Fd peer = accept_plain(listener);
      std::string got;
      while (got.size() < question.size()) got += read_plain(peer).bytes;
      CHECK(got == question);

      sockaddr_storage storage{};
      socklen_t size = sizeof storage;
      REQUIRE(getpeername(peer.get(), reinterpret_cast<sockaddr*>(&storage), &size) == 0);
      Address local = Address::from_sockaddr(&storage, size);
      CHECK(local == ipv4("127.0.0.77", local.port()));
      if (int fd = descriptor_of(local, SOCK_STREAM); fd >= 0) {
        int no_delay = 0;
        size = sizeof no_delay;
        REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size) == 0);
        CHECK(no_delay == 1);
      }
      tcp_info info{};
      size = sizeof info;
      REQUIRE(getsockopt(peer.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
      CHECK(info.tcpi_snd_mss <= 1200);
      finish(driver, opened.id);
    }
  }
}

TEST_CASE("megabytes arrive in order, whatever their segments, while datagrams come and go") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    SocketOptions options;
    options.bind = loopback(AF_INET);
    Io::OpenedSocket socket = driver.io().open_datagram_socket(options, token(5));
    Fd peer = plain_udp();

    const std::string all = pattern(8 << 20);
    std::thread sender([&] {
      size_t at = 0;
      for (size_t step = 1; at < all.size(); step = step * 7 % 50021) {
        if (!write_all_plain(connection.peer, std::string_view(all).substr(at, step))) return;
        at += std::min(step, all.size() - at);
      }
    });
    std::string got;
    got.reserve(all.size());
    uint32_t datagrams = 0, sent = 0;
    CHECK(driver.until([&] {
      for (const Seen& one : driver.seen) {
        if (one.event == Event::received) got += one.bytes;
        if (one.event == Event::datagram) ++datagrams;
        CHECK((one.event != Event::received || one.result > 0));
      }
      driver.seen.clear();
      if (sent == datagrams) send_plain(peer, socket.local, std::to_string(sent++));
      return got.size() >= all.size();
    }));
    sender.join();
    CHECK(got == all);
    CHECK(datagrams > 0);  // how many depends on how much one turn takes in
    finish(driver, connection.id);
  }
}

TEST_CASE("a connection that is not to receive holds its peer up, and only its own") {
  ON_EVERY_KERNEL_IO {
    constexpr size_t much = 32 << 20;  // more than any two socket buffers hold
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET), 8);
    Connected held = connect_to(driver, listener, token(1, 1));
    Connected other = connect_to(driver, listener, token(1, 2));
    driver.io().set_receiving(held.id, false);
    driver.settle();
    std::string all = pattern(much), got;
    std::thread sender([&] { write_all_plain(held.peer, all); });
    auto take = [&] {
      for (const Seen& one : driver.seen)
        if (one.event == Event::received && one.token.slot == 1) got += one.bytes;
    };
    // What goes on meanwhile, and that nothing of the other comes.
    for (int round = 0; round < 20; ++round) {
      REQUIRE(write_all_plain(other.peer, "x"));
      CHECK(driver.until([&] { return driver.received(token(1, 2)).size() > size_t(round); }));
    }
    take();
    CHECK(got.empty());
    // On and off again, many times: nothing is lost, doubled or out of order.
    driver.seen.clear();
    for (int round = 0; round < 50; ++round) {
      driver.io().set_receiving(held.id, round % 2 == 0);
      if (round % 3) driver.settle();
    }
    driver.io().set_receiving(held.id, true);
    CHECK(driver.until([&] {
      take();
      driver.seen.clear();
      return got.size() >= much;
    }));
    sender.join();
    CHECK(got == all);
    driver.io().set_receiving(held.id, false);
    driver.settle();
    finish(driver, held.id, token(1, 1));
    finish(driver, other.id, token(1, 2));
  }
}

TEST_CASE("many connections that all have much to say are all heard") {
  ON_EVERY_IO {
    constexpr uint32_t connections = 150;
    constexpr size_t each = 100000;
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET), 1024);
    std::vector<Connected> all;
    for (uint32_t n = 0; n < connections; ++n)
      all.push_back(connect_to(driver, listener, token(1, n)));
    for (uint32_t n = 0; n < connections; ++n) {
      REQUIRE(write_all_plain(all[n].peer, pattern(each, n)));
      all[n].peer.reset();
    }
    std::vector<std::string> got(connections);
    uint32_t ended = 0;
    CHECK(driver.until([&] {
      for (const Seen& one : driver.seen) {
        if (one.event != Event::received) continue;
        got[one.token.slot] += one.bytes;
        ended += one.result == 0;
      }
      driver.seen.clear();
      return ended == connections;
    }));
    for (uint32_t n = 0; n < connections; ++n) CHECK(got[n] == pattern(each, n));
    for (uint32_t n = 0; n < connections; ++n)
      driver.io().close_connection(all[n].id, n % 2 ? CloseKind::fin : CloseKind::reset);
    CHECK(driver.until([&] { return driver.count(Event::closed) == connections; }));
    driver.settle();
    CHECK(driver.seen.size() == connections);
  }
}

TEST_CASE("a write larger than what the kernel holds goes out as the peer reads") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Fd listener = plain_listener(loopback(AF_INET));
    Connected connection = connect_to(driver, listener);
    std::string text = pattern(16 << 20), got;
    driver.io().write(connection.id, bytes_of(text), write_token);
    driver.settle();
    CHECK(driver.count(Event::written) == 0);
    REQUIRE(write_all_plain(connection.peer, "in between"));
    CHECK(driver.until([&] { return driver.received(connection_token) == "in between"; }));
    CHECK(driver.count(Event::written) == 0);
    while (got.size() < text.size()) {
      driver.turn(0ms);
      PlainRead one = read_plain(connection.peer, 1 << 20);
      REQUIRE(one.result > 0);
      got += one.bytes;
    }
    CHECK(driver.only(Event::written, write_token).result == 16 << 20);
    CHECK(got == text);
    finish(driver, connection.id);
  }
}
