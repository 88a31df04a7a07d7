// Files, pipes, terminals, sockets and signals as streams.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "support.hpp"

using namespace contract;

namespace {

constexpr Token read_token = token(1, 3), write_token = token(2, 4);

Fd temporary_file(std::string_view content) {
  char path[] = "/tmp/ringdns-contract-XXXXXX";
  Fd fd(mkostemp(path, O_CLOEXEC));
  REQUIRE(fd.valid());
  unlink(path);
  REQUIRE(write_all_plain(fd, content));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

Fd duplicate(const Fd& fd) {
  Fd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  REQUIRE(copy.valid());
  return copy;
}

Fd open_file(const char* path, int flags) {
  Fd fd(open(path, flags | O_CLOEXEC));
  REQUIRE(fd.valid());
  return fd;
}

// Datagrams go to and fro while a stream is stuck: it stalls nobody.
void check_traffic(Driver& driver) {
  SocketOptions options;
  options.bind = loopback(AF_INET);
  Io::OpenedSocket socket = driver.io().open_datagram_socket(options, token(9));
  REQUIRE(socket.id.valid());
  Fd peer = plain_udp();
  Address to = local_of(peer);
  for (uint32_t n = 0; n < 20; ++n) {
    std::string text = "datagram " + std::to_string(n);
    Datagram datagram{socket.id, token(8), &to, bytes_of(text)};
    driver.io().send_datagrams({&datagram, 1});
    size_t before = driver.count(Event::datagram);
    driver.turn(1ms);
    CHECK(receive_plain(peer) == text);
    send_plain(peer, socket.local, text);
    REQUIRE(driver.until([&] { return driver.count(Event::datagram) > before; }));
  }
}

struct Terminal {
  Fd master, slave;
};
Terminal open_terminal() {
  Fd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master.valid() || grantpt(master.get()) != 0 || unlockpt(master.get()) != 0) return {};
  char path[64];
  if (ptsname_r(master.get(), path, sizeof path) != 0) return {};
  return {std::move(master), Fd(open(path, O_RDWR | O_NOCTTY | O_CLOEXEC))};
}

}  // namespace

TEST_CASE("a file is read from its position on, to its end") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    std::string content = pattern(100000);
    Fd file = temporary_file(content);
    lseek(file.get(), 10, SEEK_SET);
    StreamId stream = driver.io().open_stream(std::move(file));
    std::string got;
    for (int32_t result = 1; result > 0;) {
      std::string space(30000, '\0');
      driver.seen.clear();
      driver.io().read(stream, space_of(space), read_token);
      result = driver.only(Event::read, read_token).result;
      if (result > 0) got += space.substr(0, static_cast<size_t>(result));
    }
    CHECK(driver.seen.back().result == 0);
    CHECK(got == content.substr(10));
    driver.io().close_stream(stream);
  }
}

TEST_CASE("a file is written to from its position on, also when it is shared") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    Fd file = temporary_file("");
    Fd view = duplicate(file);
    REQUIRE(write_all_plain(file, "before "));
    StreamId stream = driver.io().open_stream(std::move(file));
    std::string expected = "before ";
    for (uint32_t n = 0; n < 5; ++n) {
      std::string text = pattern(300000, n);
      driver.seen.clear();
      driver.io().write(stream, bytes_of(text), write_token);
      CHECK(driver.only(Event::written, write_token).result == 300000);
      REQUIRE(write_all_plain(view, "between "));  // the position is one for both
      expected += text + "between ";
    }
    driver.io().close_stream(stream);
    std::string got(expected.size() + 1, '\0');
    CHECK(pread(view.get(), got.data(), got.size(), 0) == static_cast<ssize_t>(expected.size()));
    got.resize(expected.size());
    CHECK(got == expected);
  }
}

TEST_CASE("a file that may not grow further is filled, and the error told") {
  constexpr rlim_t limit = 50000;
  ON_EVERY_KERNEL_IO {
    for (bool appending : {false, true}) {
      Driver driver(implementation);
      Fd file = temporary_file("");
      if (appending) fcntl(file.get(), F_SETFL, fcntl(file.get(), F_GETFL) | O_APPEND);
      StreamId stream = driver.io().open_stream(duplicate(file));
      rlimit before{};
      getrlimit(RLIMIT_FSIZE, &before);
      rlimit small{limit, before.rlim_max};
      setrlimit(RLIMIT_FSIZE, &small);
      signal(SIGXFSZ, SIG_IGN);
      std::string text = pattern(40000);
      for (int32_t expected : {40000, -EFBIG, -EFBIG}) {
        driver.seen.clear();
        driver.io().write(stream, bytes_of(text), write_token);
        CHECK(driver.until([&] { return driver.count(Event::written) == 1; }));
        CHECK(driver.seen.at(0).result == expected);
      }
      setrlimit(RLIMIT_FSIZE, &before);
      signal(SIGXFSZ, SIG_DFL);
      std::string content(2 * limit, '\0');
      CHECK(pread(file.get(), content.data(), content.size(), 0) == limit);
      content.resize(limit);
      CHECK(content == text + text.substr(0, limit - text.size()));
      CHECK(lseek(file.get(), 0, SEEK_CUR) == limit);
    }
  }
}

TEST_CASE("devices and directories: full, null, and nothing to read") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    StreamId full = driver.io().open_stream(open_file("/dev/full", O_WRONLY));
    StreamId null = driver.io().open_stream(open_file("/dev/null", O_RDWR));
    StreamId directory = driver.io().open_stream(open_file("/tmp", O_RDONLY));
    std::string text = pattern(100000), space(100, '\0');
    driver.io().write(full, bytes_of(text), token(2, 0));
    driver.io().write(null, bytes_of(text), token(2, 1));
    driver.io().read(null, space_of(space), token(1, 1));
    driver.io().read(directory, space_of(space), token(1, 2));
    CHECK(driver.only(Event::written, token(2, 0)).result == -ENOSPC);
    CHECK(driver.only(Event::written, token(2, 1)).result == 100000);
    CHECK(driver.only(Event::read, token(1, 1)).result == 0);
    CHECK(driver.only(Event::read, token(1, 2)).result == -EISDIR);
    driver.io().write(null, {}, token(2, 3));
    CHECK(driver.only(Event::written, token(2, 3)).result == 0);
  }
}

TEST_CASE("a pipe: what is there, then the end") {
  ON_EVERY_IO {
    for (int flags : {0, O_NONBLOCK}) {
      Driver driver(implementation);
      Pipe pipe = make_pipe(flags);
      StreamId stream = driver.io().open_stream(std::move(pipe.read_end));
      std::string space(1000, '\0');
      driver.io().read(stream, space_of(space), read_token);
      check_traffic(driver);
      CHECK(driver.count(Event::read) == 0);
      REQUIRE(write_all_plain(pipe.write_end, "hello"));
      CHECK(driver.only(Event::read, read_token).result == 5);
      CHECK(space.substr(0, 5) == "hello");

      driver.seen.clear();
      REQUIRE(write_all_plain(pipe.write_end, "the rest"));
      pipe.write_end.reset();
      driver.settle();  // nobody asked for it yet
      driver.io().read(stream, space_of(space), read_token);
      CHECK(driver.only(Event::read, read_token).result == 8);
      for (int again = 0; again < 2; ++again) {
        driver.seen.clear();
        driver.io().read(stream, space_of(space), read_token);
        CHECK(driver.only(Event::read, read_token).result == 0);
      }
      driver.settle();
      driver.io().close_stream(stream);
    }
  }
}

TEST_CASE("a read that waits ends when the pipe's last writer goes") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Pipe pipe = make_pipe();
    StreamId stream = driver.io().open_stream(std::move(pipe.read_end));
    std::string space(1000, '\0');
    driver.io().read(stream, space_of(space), read_token);
    driver.settle();
    pipe.write_end.reset();
    CHECK(driver.only(Event::read, read_token).result == 0);
    driver.settle();
  }
}

TEST_CASE("a write to a pipe that nobody reads any more is EPIPE") {
  ON_EVERY_IO {
    Driver driver(implementation);
    Pipe pipe = make_pipe();
    StreamId stream = driver.io().open_stream(std::move(pipe.write_end));
    std::string text = pattern(1 << 20);
    SUBCASE("closed before") {
      pipe.read_end.reset();
      driver.io().write(stream, bytes_of(text), write_token);
    }
    SUBCASE("closed while the write waits") {
      driver.io().write(stream, bytes_of(text), write_token);
      driver.settle();
      CHECK(driver.seen.empty());
      pipe.read_end.reset();
    }
    CHECK(driver.only(Event::written, write_token).result == -EPIPE);
    driver.settle();
  }
}

TEST_CASE("a full pipe stalls nobody, and the write ends when it is read") {
  ON_EVERY_IO {
    for (int flags : {0, O_NONBLOCK}) {
      Driver driver(implementation);
      Pipe pipe = make_pipe(flags);
      StreamId stream = driver.io().open_stream(std::move(pipe.write_end));
      std::string text = pattern(1 << 20), got;
      driver.io().write(stream, bytes_of(text), write_token);
      check_traffic(driver);
      driver.settle();
      CHECK(driver.count(Event::written) == 0);
      while (got.size() < text.size() && driver.count(Event::written) == 0) {
        got += read_plain(pipe.read_end, 10000).bytes;
        driver.turn(0ms);
      }
      CHECK(driver.only(Event::written, write_token).result == 1 << 20);
      text.assign(text.size(), '?');  // the memory is ours again
      driver.io().close_stream(stream);
      for (PlainRead one; (one = read_plain(pipe.read_end)).result > 0;) got += one.bytes;
      CHECK(got == pattern(1 << 20));
    }
  }
}

TEST_CASE("O_NONBLOCK of an open file that others share is left as it is") {
  ON_EVERY_KERNEL_IO {
    for (int flags : {0, O_NONBLOCK}) {
      Driver driver(implementation);
      Pipe pipe = make_pipe(flags);
      Fd reading = duplicate(pipe.read_end), writing = duplicate(pipe.write_end);
      StreamId in = driver.io().open_stream(std::move(pipe.read_end));
      StreamId out = driver.io().open_stream(std::move(pipe.write_end));
      std::string text = pattern(200000), space(1000, '\0');
      driver.io().write(out, bytes_of(text), write_token);
      driver.io().read(in, space_of(space), read_token);
      driver.only(Event::read, read_token);
      CHECK((fcntl(reading.get(), F_GETFL) & O_NONBLOCK) == flags);
      CHECK((fcntl(writing.get(), F_GETFL) & O_NONBLOCK) == flags);
    }
  }
}

TEST_CASE("a stream that is closed is not heard of again, though its file lives on elsewhere") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    Pipe pipe = make_pipe();
    Fd elsewhere = duplicate(pipe.read_end);
    StreamId stream = driver.io().open_stream(std::move(pipe.read_end));
    std::string space(10, '\0');
    driver.io().read(stream, space_of(space), read_token);
    driver.settle();
    REQUIRE(write_all_plain(pipe.write_end, "more than the ten octets there is room for"));
    CHECK(driver.only(Event::read, read_token).result == 10);
    driver.io().close_stream(stream);
    pipe.write_end.reset();
    driver.settle();
    CHECK(driver.seen.size() == 1);

    Pipe next = make_pipe();  // which may get the same id
    StreamId another = driver.io().open_stream(std::move(next.read_end));
    driver.io().read(another, space_of(space), token(1, 5));
    driver.settle();
    REQUIRE(write_all_plain(next.write_end, "x"));
    CHECK(driver.only(Event::read, token(1, 5)).result == 1);
    CHECK(driver.seen.size() == 2);
  }
}

TEST_CASE("one socket is read from and written to at once") {
  ON_EVERY_KERNEL_IO {
    Driver driver(implementation);
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    Fd peer(ends[1]);
    StreamId stream = driver.io().open_stream(Fd(ends[0]));
    std::string text = pattern(1 << 20), space(1000, '\0'), got;
    driver.io().read(stream, space_of(space), read_token);
    driver.io().write(stream, bytes_of(text), write_token);
    driver.settle();
    CHECK(driver.seen.empty());
    REQUIRE(write_all_plain(peer, "question"));
    CHECK(driver.only(Event::read, read_token).result == 8);
    CHECK(driver.count(Event::written) == 0);
    while (got.size() < text.size()) {
      driver.turn(0ms);
      got += read_plain(peer).bytes;
    }
    CHECK(driver.only(Event::written, write_token).result == 1 << 20);
    CHECK(got == text);
    peer.reset();
    driver.io().read(stream, space_of(space), token(1, 5));
    CHECK(driver.only(Event::read, token(1, 5)).result <= 0);
    driver.io().write(stream, bytes_of(text), token(2, 5));
    CHECK(driver.only(Event::written, token(2, 5)).result == -EPIPE);
    driver.settle();
  }
}

TEST_CASE("signals are read from a signalfd, be it blocking or not") {
  ON_EVERY_KERNEL_IO {
    for (int flags : {0, int{SFD_NONBLOCK}}) {
      Driver driver(implementation);
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGUSR2);
      REQUIRE(sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
      Fd fd(signalfd(-1, &set, flags | SFD_CLOEXEC));
      REQUIRE(fd.valid());
      StreamId stream = driver.io().open_stream(std::move(fd));
      signalfd_siginfo info{};
      MutableBytes space(reinterpret_cast<uint8_t*>(&info), sizeof info);
      for (int time = 0; time < 2; ++time) {
        driver.seen.clear();
        driver.io().read(stream, space, read_token);
        driver.settle();
        CHECK(driver.seen.empty());
        kill(getpid(), SIGUSR2);
        CHECK(driver.only(Event::read, read_token).result == sizeof info);
        CHECK(info.ssi_signo == SIGUSR2);
      }
      driver.settle();
    }
  }
}

TEST_CASE("a terminal: lines in, output out, and one that is stopped stalls nobody") {
  ON_EVERY_KERNEL_IO {
    Terminal terminal = open_terminal();
    if (!terminal.slave.valid()) {
      MESSAGE("no terminal is to be had here");
      return;
    }
    Driver driver(implementation);
    Fd shared = duplicate(terminal.slave);
    StreamId in = driver.io().open_stream(duplicate(terminal.slave));
    StreamId out = driver.io().open_stream(std::move(terminal.slave));
    std::string space(100, '\0'), text(1 << 17, 'x'), got;
    driver.io().read(in, space_of(space), read_token);
    driver.settle();
    REQUIRE(write_all_plain(terminal.master, "typed\n"));
    CHECK(driver.only(Event::read, read_token).result == 6);
    CHECK(space.substr(0, 6) == "typed\n");
    got = read_plain(terminal.master).bytes;  // the echo

    driver.io().write(out, bytes_of(text), write_token);
    check_traffic(driver);
    driver.settle();
    CHECK(driver.count(Event::written) == 0);
    got.clear();
    while (got.size() < text.size()) {
      driver.turn(0ms);
      got += read_plain(terminal.master).bytes;
    }
    CHECK(driver.only(Event::written, write_token).result == 1 << 17);
    CHECK(got == text);
    CHECK((fcntl(shared.get(), F_GETFL) & O_NONBLOCK) == 0);
  }
}
