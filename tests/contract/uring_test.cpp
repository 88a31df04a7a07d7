// What only the io_uring implementation has: kernels that forbid it in parts, queues that overflow.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>
#include <set>
#include <thread>

#include "io_uring.hpp"
#include "io_uring_ring.hpp"
#include "support.hpp"

using namespace contract;

namespace {

enum class Outcome : int { holds, fails, not_possible };
Outcome outcome(bool holds) { return holds ? Outcome::holds : Outcome::fails; }

// In a process of its own, which may spoil its limits and rights.
template <class Body>
bool holds_apart(Body body) {
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(static_cast<int>(body()));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status)) return false;
  Outcome outcome = static_cast<Outcome>(WEXITSTATUS(status));
  if (outcome == Outcome::not_possible) MESSAGE("not possible here");
  return outcome != Outcome::fails;
}

bool deny(uint32_t call, uint32_t error) {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{std::size(rules), rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool ring_is_permitted() { return make_io_uring(16).io != nullptr; }

// One datagram from a socket to itself.
bool carries_a_datagram(Io& io) {
  SocketOptions options;
  options.bind = loopback(AF_INET);
  Io::OpenedSocket socket = io.open_datagram_socket(options, token(1));
  if (!socket.id.valid()) return false;
  Datagram datagram{socket.id, token(2), &socket.local, bytes_of("to myself")};
  io.send_datagrams({&datagram, 1});
  Turn turn = io.wait(std::chrono::steady_clock::now() + 10s, 1);
  return turn.done.size() == 1 && turn.done[0].event == Event::datagram &&
         turn.done[0].bytes.size() == 9;
}

}  // namespace

TEST_CASE("each call of io_uring may be forbidden, and then it says which way") {
  if (!ring_is_permitted()) return;
  struct Case {
    uint32_t call, error;
    const char* words;
  };
  for (Case one : {Case{SYS_io_uring_setup, EPERM, "forbidden"},
                   Case{SYS_io_uring_setup, ENOSYS, "no io_uring"},
                   Case{SYS_io_uring_register, EPERM, "forbidden"},
                   Case{SYS_io_uring_enter, EPERM, "forbidden"}}) {
    CAPTURE(one.call);
    CAPTURE(one.error);
    CHECK(holds_apart([&] {
            if (!deny(one.call, one.error)) return Outcome::not_possible;
            IoResult made = make_io_uring(100);
            bool explained = !made.io && made.why.find(one.words) != std::string::npos &&
                             made.why.find('\n') == std::string::npos;
            IoResult automatic = make_io(IoChoice::automatic, 100);
            bool other = automatic.io && automatic.io->name() == std::string("epoll");
            return outcome(explained && other);
          }));
  }
}

TEST_CASE("a small allowance of locked memory makes small queues, or a reason") {
  if (!ring_is_permitted()) return;
  for (rlim_t allowance : {rlim_t{1} << 20, rlim_t{1} << 16, rlim_t{1} << 12, rlim_t{0}}) {
    CAPTURE(allowance);
    CHECK(holds_apart([&] {
            rlimit limit{allowance, allowance};
            bool lowered = setrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
                           (geteuid() != 0 || setuid(65534) == 0);
            if (!lowered) return Outcome::not_possible;
            IoResult made = make_io_uring(10000);
            return outcome(made.io ? carries_a_datagram(*made.io) : !made.why.empty());
          }));
  }
}

TEST_CASE("a few descriptors are enough to say what is missing") {
  if (!ring_is_permitted()) return;
  for (rlim_t most : {rlim_t{3}, rlim_t{4}, rlim_t{6}, rlim_t{12}}) {
    CAPTURE(most);
    CHECK(holds_apart([&] {
            rlimit limit{most, most};
            if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return Outcome::not_possible;
            IoResult made = make_io_uring(100);
            if (!made.io) return outcome(!made.why.empty());
            SocketOptions options;
            options.bind = loopback(AF_INET);
            Io::OpenedSocket socket = made.io->open_datagram_socket(options, token(1));
            while (socket.id.valid()) socket = made.io->open_datagram_socket(options, token(1));
            return outcome(socket.error == EMFILE);
          }));
  }
}

TEST_CASE("a ring does nothing but what it is for") {
  if (!ring_is_permitted()) return;
  Ring ring;
  RingFeatures features;
  REQUIRE(ring.open(64, features).empty());
  auto result_of = [&](auto prepare) {
    io_uring_sqe* entry = ring.entry();
    prepare(entry);
    ring.hand_over(entry, Op::probe, 0, 0);
    ring.wait(1, 20s);
    Finished finished{};
    REQUIRE(ring.take(finished));
    return finished.result;
  };
  CHECK(result_of([](io_uring_sqe* entry) { io_uring_prep_nop(entry); }) == 0);
  CHECK(result_of([](io_uring_sqe* entry) {
          io_uring_prep_openat(entry, AT_FDCWD, "/dev/null", O_RDONLY, 0);
        }) == -EACCES);
  CHECK(result_of([](io_uring_sqe* entry) {
          io_uring_prep_socket(entry, AF_INET, SOCK_DGRAM, 0, 0);
        }) == -EACCES);
  CHECK(result_of([](io_uring_sqe* entry) {
          io_uring_prep_nop(entry);
          entry->flags |= IOSQE_IO_LINK;
        }) == -EACCES);
  int event = 0;
  CHECK(io_uring_register_eventfd(ring.get(), event) == -EACCES);
}

TEST_CASE("completions that overflow their queue are all told") {
  if (!ring_is_permitted()) return;
  for (bool skip : {true, false}) {
    Driver driver({"", [&](uint32_t) {
                     RingFeatures features;
                     features.queue_entries = 32;
                     features.skip_success = skip;
                     return make_io_uring(16, features);
                   }});
    SocketOptions options;
    options.bind = loopback(AF_INET);
    SocketId socket = driver.io().open_datagram_socket(options, token(1)).id;
    Fd peer = plain_udp(AF_INET, 4 << 20);
    Address good = local_of(peer), bad = loopback(AF_INET, 0);  // port 0: EINVAL
    constexpr uint32_t count = 3000;
    std::vector<Datagram> batch;
    for (uint32_t n = 0; n < count; ++n)
      batch.push_back({socket, token(2, n), n % 10 ? &bad : &good, bytes_of("some octets")});
    driver.io().send_datagrams(batch);
    REQUIRE(driver.until([&] { return driver.count(Event::send_failed) >= count * 9 / 10; }));
    driver.settle();
    std::set<uint32_t> failed;
    for (const Seen& one : driver.seen) {
      CHECK(one.event == Event::send_failed);
      CHECK(one.result == -EINVAL);
      CHECK(one.token.slot % 10 != 0);
      CHECK(failed.insert(one.token.slot).second);
    }
    CHECK(failed.size() == count * 9 / 10);
    CHECK(receive_all_plain(peer).size() == count / 10);
  }
}

TEST_CASE("what must be sent again leaves within the same wait") {
  if (!ring_is_permitted()) return;
  Driver driver({"", [](uint32_t concurrency) { return make_io_uring(concurrency); }});
  SocketOptions options;
  options.bind = loopback(AF_INET);
  Io::OpenedSocket socket = driver.io().open_datagram_socket(options, token(1));
  int on = 1;  // without checksums the kernel refuses to cut a run
  REQUIRE(setsockopt(descriptor_of(socket.local, SOCK_DGRAM), SOL_SOCKET, SO_NO_CHECK, &on,
                     sizeof on) == 0);
  Fd peer = plain_udp();
  Address to = local_of(peer);
  std::thread answering([&] {
    for (int n = 0; n < 5; ++n)
      if (!receive_plain(peer)) return;
    send_plain(peer, socket.local, "all there");
  });
  std::vector<Datagram> batch(5, Datagram{socket.id, token(2), &to, bytes_of("some octets")});
  driver.io().send_datagrams(batch);
  driver.turn(20s, 5);  // ends by the answer alone
  answering.join();
  CHECK(driver.count(Event::datagram) == 1);
  CHECK(driver.count(Event::send_failed) == 0);
}

TEST_CASE("a destination that refuses does not turn coalescing off for the others") {
  if (!ring_is_permitted()) return;
  Driver driver({"", [](uint32_t concurrency) { return make_io_uring(concurrency); }});
  SocketOptions options;
  options.bind = loopback(AF_INET);
  SocketId socket = driver.io().open_datagram_socket(options, token(1)).id;
  Fd peer = plain_udp();
  int on = 1;
  if (setsockopt(peer.get(), IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0) return;
  Address good = local_of(peer), bad = loopback(AF_INET, 0);
  for (const Address* to : {&bad, &good}) {
    std::vector<Datagram> batch(20, Datagram{socket, token(2), to, bytes_of("some octets")});
    driver.io().send_datagrams(batch);
    driver.turn(10ms);
  }
  CHECK(driver.count(Event::send_failed) == 20);
  std::optional<std::string> merged = receive_plain(peer);
  REQUIRE(merged.has_value());
  CHECK(merged->size() == 20 * 11);
}
