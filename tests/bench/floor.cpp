// The floor: what asking over UDP costs where nothing else is done. One socket, sendmmsg and
// recvmmsg, replies known by their ids alone, nothing parsed, nothing written.
//
//   floor NAMES WINDOW RESOLVERS    (n0.test. and so on; a file of IPv4 ADDRESS:PORT lines)

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr size_t batch = 256, room = 512;
constexpr long most_window = 32768;
constexpr uint32_t nobody = UINT32_MAX;
constexpr timeval patience{0, 500000};  // then what is missing is asked again
constexpr int most_silences = 20;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::vector<sockaddr_in> read_resolvers(const char* path) {
  std::vector<sockaddr_in> resolvers;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    sockaddr_in to{};
    const size_t colon = line.find(':');
    to.sin_family = AF_INET;
    if (colon != std::string::npos)
      to.sin_port = htons(static_cast<uint16_t>(std::atoi(line.c_str() + colon + 1)));
    if (inet_pton(AF_INET, line.substr(0, colon).c_str(), &to.sin_addr) != 1) fail(line.c_str());
    resolvers.push_back(to);
  }
  if (resolvers.empty()) fail(path);
  return resolvers;
}

int open_socket(size_t window) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int octets = static_cast<int>(window * 1152);  // what the kernel charges a small datagram
  if (fd < 0) fail("socket");
  for (int option : {SO_RCVBUF, SO_RCVBUFFORCE})  // the second as root only
    setsockopt(fd, SOL_SOCKET, option, &octets, sizeof octets);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// With the OPT record that ringdns sends as well.
size_t write_query(uint8_t* at, uint32_t id, uint32_t number) {
  constexpr uint8_t rd_one_question_opt[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 1};
  constexpr uint8_t tail[] = {4, 't', 'e', 's', 't', 0, 0, 1,   0, 1, 0,
                              0, 41,  4,   208, 0,   0, 0, 0, 0, 0};
  at[0] = static_cast<uint8_t>(id >> 8);
  at[1] = static_cast<uint8_t>(id);
  std::memcpy(at + 2, rd_one_question_opt, sizeof rd_one_question_opt);
  char* label = reinterpret_cast<char*>(at + 13);
  *label = 'n';
  char* end = std::to_chars(label + 1, label + 11, number).ptr;
  at[12] = static_cast<uint8_t>(end - label);
  std::memcpy(end, tail, sizeof tail);
  return 13 + at[12] + sizeof tail;
}

class Loop {
 public:
  Loop(uint32_t names, size_t window, std::vector<sockaddr_in> resolvers)
      : names_(names), window_(window), resolvers_(std::move(resolvers)), fd_(open_socket(window)) {
    asked_.fill(nobody);
    for (size_t i = 0; i < batch; ++i) {
      vectors_[i].iov_base = octets_[i].data();
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void run() {
    while (answered_ < names_) {
      while (next_ < names_ && next_ - answered_ < window_) {
        add(free_id(), next_);
        ++next_;
        if (filled_ == batch) send();
      }
      send();
      if (!receive()) ask_again();
    }
  }

  uint64_t asked_again() const { return again_; }

 private:
  uint16_t free_id() {
    while (asked_[++last_id_] != nobody) {}
    return last_id_;
  }

  void add(uint16_t id, uint32_t number) {
    asked_[id] = number;
    vectors_[filled_].iov_len = write_query(octets_[filled_].data(), id, number);
    messages_[filled_].msg_hdr.msg_name = &resolvers_[number % resolvers_.size()];
    messages_[filled_].msg_hdr.msg_namelen = sizeof(sockaddr_in);
    ++filled_;
  }

  void send() {
    for (size_t done = 0; done < filled_;) {
      const int sent = sendmmsg(fd_, &messages_[done], static_cast<unsigned>(filled_ - done), 0);
      if (sent < 0) fail("sendmmsg");
      done += static_cast<size_t>(sent);
    }
    filled_ = 0;
  }

  bool receive() {
    for (size_t i = 0; i < batch; ++i) {
      vectors_[i].iov_len = room;
      messages_[i].msg_hdr.msg_name = nullptr;
      messages_[i].msg_hdr.msg_namelen = 0;
    }
    const int count = recvmmsg(fd_, messages_.data(), batch, MSG_WAITFORONE, nullptr);
    if (count < 0 && errno != EAGAIN && errno != EINTR) fail("recvmmsg");
    for (int i = 0; i < count; ++i) {
      const uint8_t* reply = octets_[static_cast<size_t>(i)].data();
      uint32_t& number = asked_[static_cast<size_t>(reply[0] << 8 | reply[1])];
      if (number == nobody) continue;
      number = nobody;
      ++answered_;
      silences_ = 0;
    }
    return count >= 0;
  }

  void ask_again() {
    if (++silences_ > most_silences) fail("no answers");
    for (size_t id = 0; id < asked_.size(); ++id) {
      if (asked_[id] == nobody) continue;
      add(static_cast<uint16_t>(id), asked_[id]);
      ++again_;
      if (filled_ == batch) send();
    }
    send();
  }

  const uint32_t names_;
  const size_t window_;
  std::vector<sockaddr_in> resolvers_;
  const int fd_;
  std::array<uint32_t, 65536> asked_;  // by id: the number of the name
  std::array<std::array<uint8_t, room>, batch> octets_;
  std::array<iovec, batch> vectors_{};
  std::array<mmsghdr, batch> messages_{};
  size_t filled_ = 0;
  uint32_t next_ = 0, answered_ = 0;
  uint16_t last_id_ = 0;
  uint64_t again_ = 0;
  int silences_ = 0;
};

double seconds(timeval t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

}  // namespace

int main(int argc, char** argv) {
  const long names = argc == 4 ? std::atol(argv[1]) : 0;
  const long window = argc == 4 ? std::atol(argv[2]) : 0;
  if (names < 1 || names >= nobody || window < 1 || window > most_window) {
    std::fprintf(stderr, "usage: floor NAMES WINDOW RESOLVERS (WINDOW: up to %ld)\n", most_window);
    return 2;
  }
  static Loop loop(static_cast<uint32_t>(names), static_cast<size_t>(window),
                   read_resolvers(argv[3]));
  const auto start = std::chrono::steady_clock::now();
  loop.run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  const auto count = static_cast<double>(names);
  std::printf("%.0f names/s, %.2f us CPU a name, %llu asked again\n", count / took.count(),
              cpu / count * 1e6, static_cast<unsigned long long>(loop.asked_again()));
}
