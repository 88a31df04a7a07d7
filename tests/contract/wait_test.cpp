// wait(): deadlines, the clock, and expecting much.
#include <signal.h>
#include <sys/time.h>

#include <thread>

#include "support.hpp"

using namespace contract;

namespace {

Instant now() { return Driver::now(); }

Io::OpenedSocket open_socket(Driver& driver) {
  SocketOptions options;
  options.bind = loopback(AF_INET);
  Io::OpenedSocket socket = driver.io().open_datagram_socket(options, token(1));
  REQUIRE(socket.id.valid());
  return socket;
}

}  // namespace

TEST_CASE("a deadline that is past: a look, no wait, nothing done") {
  ON_EVERY_IO {
    Driver driver(implementation);
    open_socket(driver);
    for (Instant deadline : {Instant{}, now() - 1h, now()})
      for (uint32_t expected : {0u, 1000000u}) {
        Turn turn = driver.io().wait(deadline, expected);
        CHECK(turn.done.empty());
        CHECK(turn.now >= deadline);
      }
  }
}

TEST_CASE("a look finds what is there") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Io::OpenedSocket socket = open_socket(driver);
    Fd peer = plain_udp();
    driver.turn(0ms);
    send_plain(peer, socket.local, "x");
    CHECK(driver.until([&] {
      Turn turn = driver.io().wait(Instant{}, 0);
      return turn.done.size() == 1 && turn.done[0].event == Event::datagram;
    }));
  }
}

TEST_CASE("a wait with a deadline ends by it, much expected or not, and idles until then") {
  ON_EVERY_IO {
    Driver driver(implementation);
    open_socket(driver);
    for (uint32_t expected : {0u, 1000000u}) {
      CHECK(idles([&] {
        Instant deadline = now() + 100ms;
        Turn turn = driver.io().wait(deadline, expected);
        CHECK(turn.done.empty());
        CHECK(turn.now >= deadline);
      }));
    }
    driver.settle();
  }
}

TEST_CASE("a wait without end ends with the first completion") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    Io::OpenedSocket socket = open_socket(driver);
    Fd peer = plain_udp();
    std::thread later([&] {
      std::this_thread::sleep_for(20ms);
      send_plain(peer, socket.local, "x");
    });
    Turn turn = driver.io().wait(Instant::max(), 0);
    later.join();
    REQUIRE(turn.done.size() == 1);
    CHECK(turn.done[0].event == Event::datagram);
  }
}

TEST_CASE("the turn's two clocks are read after the wait, and tell the same moment") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    for (int n = 0; n < 3; ++n) {
      Instant before = now();
      UnixTime wall_before = std::chrono::system_clock::now();
      Turn turn = driver.io().wait(before + 1ms, 0);
      CHECK(turn.now >= before);
      CHECK(turn.now <= now());
      CHECK(turn.wall >= wall_before);
      CHECK(turn.wall <= std::chrono::system_clock::now());
    }
  }
}

TEST_CASE("signals that interrupt a wait do not end it") {
  ON_EVERY_KERNEL_IO {
    struct sigaction action {}, before {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, &before);
    itimerval often{{0, 5000}, {0, 5000}}, never{};
    Driver driver(implementation);
    open_socket(driver);
    setitimer(ITIMER_REAL, &often, nullptr);
    for (uint32_t expected : {0u, 1000u}) driver.turn(100ms, expected);
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &before, nullptr);
    CHECK(driver.seen.empty());
  }
}

// A caller that says it expects much must still get the little that comes.
TEST_CASE("question and answer, one at a time, whatever is said to be expected") {
  ON_EVERY_IO {
    for (uint32_t expected : {0u, 1u, 63u, 64u, 10000u}) {
      Driver driver(implementation, 10000);
      Io::OpenedSocket socket = open_socket(driver);
      Fd peer = plain_udp();
      Address to = local_of(peer);
      for (uint32_t n = 0; n < 100; ++n) {
        std::string text = std::to_string(n);
        Datagram datagram{socket.id, token(2), &to, bytes_of(text)};
        driver.io().send_datagrams({&datagram, 1});
        driver.turn(0ms, expected);
        REQUIRE(receive_plain(peer) == text);
        send_plain(peer, socket.local, text);
        REQUIRE(driver.until([&] { return driver.count(Event::datagram) > n; }, expected));
        CHECK(driver.seen.back().bytes == text);
      }
      CHECK(driver.seen.size() == 100);
    }
  }
}
