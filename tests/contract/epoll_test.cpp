// What only the epoll implementation can meet with: system calls that fail or are denied. A seccomp
// filter holds for the thread that installs it, so each case has one of its own.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "support.hpp"

using namespace contract;

namespace {

const Implementation epoll{"epoll", [](uint32_t n) { return make_io(IoChoice::epoll, n); }};

// That call fails with that error, in this thread and from now on; if `first` is not negative,
// only where it is the call's first argument. False where the host allows no filters.
bool deny(long call, int error, int first = -1) {
  uint32_t number = static_cast<uint32_t>(call), refuse = SECCOMP_RET_ERRNO;
  uint8_t where_other = first < 0 ? 0 : 1;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(first), 0, where_other),
      BPF_STMT(BPF_RET | BPF_K, refuse | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{sizeof code / sizeof code[0], code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

Io::OpenedSocket open_socket(Driver& driver) {
  SocketOptions options;
  options.bind = loopback(AF_INET);
  Io::OpenedSocket socket = driver.io().open_datagram_socket(options, token(1));
  REQUIRE(socket.id.valid());
  return socket;
}

}  // namespace

TEST_CASE("epoll: a full send buffer is told for each datagram that did not leave") {
  for (int error : {EAGAIN, ENOBUFS}) {
    Driver driver(epoll);
    Io::OpenedSocket full = open_socket(driver), other = open_socket(driver);
    Fd peer = plain_udp(AF_INET, 1 << 20);
    Address to = local_of(peer);
    constexpr uint32_t each = 100;
    std::vector<std::string> texts;
    for (uint32_t n = 0; n < each; ++n) texts.push_back(pattern(20 + n % 9, n));
    bool denied = false;
    std::thread thread([&] {
      denied = deny(SYS_sendmmsg, error, descriptor_of(full.local, SOCK_DGRAM));
      std::vector<Datagram> batch;
      for (uint32_t n = 0; n < each; ++n) {
        batch.push_back({full.id, token(2, n), &to, bytes_of(texts[n])});
        batch.push_back({other.id, token(3, n), &to, bytes_of(texts[n])});
      }
      driver.io().send_datagrams(batch);
    });
    thread.join();
    if (!denied) return;
    driver.turn(0ms);
    CHECK(driver.seen.size() == each);
    for (uint32_t n = 0; n < each; ++n)
      CHECK(driver.only(Event::send_failed, token(2, n)).result == -error);
    std::vector<std::string> arrived = receive_all_plain(peer);
    CHECK(arrived.size() == each);
    CHECK(std::set<std::string>(arrived.begin(), arrived.end()).size() == each);
  }
}

TEST_CASE("epoll: calls that the kernel or a container does not know are done without") {
  for (int error : {ENOSYS, EPERM}) {
    bool denied = true;
    std::thread thread([&] {
      for (long call : {SYS_epoll_pwait2, SYS_preadv2, SYS_pwritev2})
        denied = denied && deny(call, error);
      if (!denied) return;
      Driver driver(epoll);
      Io::OpenedSocket socket = open_socket(driver);
      Pipe in = make_pipe(), out = make_pipe();
      StreamId reading = driver.io().open_stream(std::move(in.read_end));
      StreamId writing = driver.io().open_stream(std::move(out.write_end));
      std::string space(100, '\0'), text = pattern(1 << 20), got;
      driver.io().read(reading, space_of(space), token(4));
      driver.io().write(writing, bytes_of(text), token(5));
      driver.settle();
      CHECK(driver.seen.empty());
      Fd peer = plain_udp();
      send_plain(peer, socket.local, "datagram");
      CHECK(driver.only(Event::datagram, token(1)).bytes == "datagram");
      REQUIRE(write_all_plain(in.write_end, "read"));
      CHECK(driver.only(Event::read, token(4)).result == 4);
      while (got.size() < text.size()) {
        driver.turn(0ms);
        got += read_plain(out.read_end).bytes;
      }
      CHECK(driver.only(Event::written, token(5)).result == 1 << 20);
      CHECK(got == text);
    });
    thread.join();
    if (!denied) return;
  }
}
