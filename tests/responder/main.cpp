// The scriptable, misbehaving DNS server. README.md documents the plan language.

#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "report.hpp"
#include "udp_server.hpp"

using namespace responder;

namespace {

constexpr const char* usage =
    "usage: responder --plan FILE (--listen ADDR:PORT ... | --servers N) [options]\n"
    "  --plan FILE          what to do with which query (tests/responder/README.md); - is stdin\n"
    "  --listen ADDR:PORT   a loopback address to serve over UDP and TCP; port 0: any free one\n"
    "  --servers N          serve 127.0.1.1, 127.0.1.2, ... all on one port\n"
    "  --port PORT          that port, 0 (any free one) by default\n"
    "  --ports-file FILE    written when all is ready: one address:port a line\n"
    "  --report FILE        counts as JSON, written at the end and on SIGUSR1\n"
    "  --seed N             of all chance (0)\n"
    "  --no-gro             one datagram a packet, neither GRO nor GSO\n";

struct Options {
  std::string plan, ports_file, report;
  std::vector<Address> listen;
  uint64_t servers = 0, seed = 0;
  uint16_t port = 0;
  bool coalesce = true;
};

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "responder: %s\n", text.c_str());
  std::exit(2);
}

uint64_t parse_option(View text, uint64_t most, const char* name) {
  auto value = parse_number(text, most);
  if (!value) fail(std::string(name) + " takes a number up to " + std::to_string(most));
  return *value;
}

Options parse_options(int argc, char** argv) {
  constexpr option table[] = {{"plan", 1, nullptr, 'f'},   {"listen", 1, nullptr, 'l'},
                              {"servers", 1, nullptr, 'n'}, {"port", 1, nullptr, 'p'},
                              {"ports-file", 1, nullptr, 'o'}, {"report", 1, nullptr, 'r'},
                              {"seed", 1, nullptr, 's'},   {"no-gro", 0, nullptr, 'g'},
                              {"help", 0, nullptr, 'h'},   {}};
  constexpr uint64_t most_servers = 60000;
  Options options;
  for (int c; (c = getopt_long(argc, argv, "", table, nullptr)) != -1;) {
    switch (c) {
      case 'f': options.plan = optarg; break;
      case 'l': {
        auto address = parse_loopback(optarg);
        if (!address) fail(std::string(optarg) + " is no loopback address");
        options.listen.push_back(*address);
        break;
      }
      case 'n': options.servers = parse_option(optarg, most_servers, "--servers"); break;
      case 'p': options.port = static_cast<uint16_t>(parse_option(optarg, 65535, "--port")); break;
      case 'o': options.ports_file = optarg; break;
      case 'r': options.report = optarg; break;
      case 's': options.seed = parse_option(optarg, UINT64_MAX, "--seed"); break;
      case 'g': options.coalesce = false; break;
      case 'h': std::fputs(usage, stdout); std::exit(0);
      default: std::fputs(usage, stderr); std::exit(2);
    }
  }
  if (optind != argc || options.plan.empty() || options.listen.empty() == (options.servers == 0)) {
    std::fputs(usage, stderr);
    std::exit(2);
  }
  return options;
}

std::string read_plan(const std::string& path) {
  std::stringstream text;
  std::ifstream file(path == "-" ? "/dev/stdin" : path);
  if (!file || !(text << file.rdbuf())) fail("cannot read " + path);
  return text.str();
}

// No server outlives the test that started it.
void end_with_parent(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) std::exit(0);
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  rlimit wanted{1 << 20, 1 << 20};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Fd open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return Fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

std::vector<Listener> make_listeners(const Options& options, const Plan& plan) {
  std::vector<Address> addresses = options.listen;
  for (size_t number = 1; number <= options.servers; ++number) {
    addresses.push_back(numbered_address(number));
    addresses.back().set_port(options.port);
  }
  auto plans = plan.for_listeners(addresses.size());
  std::vector<Listener> listeners;
  listeners.reserve(addresses.size());
  for (size_t i = 0; i < addresses.size(); ++i)
    listeners.emplace_back(addresses[i], ListenerState(plans[i], options.seed, i + 1));
  std::string error = open_listeners(listeners, options.servers != 0);
  if (!error.empty()) fail(error);
  return listeners;
}

// Sockets of all kinds in one epoll; what an event's data begins with tells which.
class Server {
 public:
  Server(const Options& options, const Plan& plan, std::vector<Listener>& listeners)
      : options_(options), plan_(plan), listeners_(listeners), signals_(open_signals()),
        epoll_(epoll_create1(EPOLL_CLOEXEC)), udp_(listeners, options.coalesce),
        tcp_(listeners, epoll_.get(), connection_tag) {
    add(signals_.get(), signal_tag);
    for (size_t i = 0; i < listeners.size(); ++i) {
      const ListenerSettings& settings = listeners[i].state.plan->settings;
      if (settings.udp == Door::open) add(listeners[i].udp.get(), udp_tag | i);
      if (settings.tcp == Door::open) add(listeners[i].tcp.get(), tcp_tag | i);
    }
  }

  void run() {
    while (!ended_) {
      epoll_event events[512];
      int count = epoll_wait(epoll_.get(), events, std::size(events), patience());
      Instant now = std::chrono::steady_clock::now();
      for (int i = 0; i < count; ++i) dispatch(events[i], now);
      udp_.fire(now);
      tcp_.fire(now);
    }
  }

 private:
  static constexpr uint64_t udp_tag = uint64_t{1} << 56, tcp_tag = uint64_t{2} << 56,
                            connection_tag = uint64_t{3} << 56, signal_tag = uint64_t{4} << 56;

  void add(int fd, uint64_t data) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = data;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll refuses a socket");
  }

  // Milliseconds until the next timer, rounded up; -1: for ever.
  int patience() const {
    Instant next = std::min(udp_.next(), tcp_.next());
    if (next == Instant::max()) return -1;
    Duration left = next - std::chrono::steady_clock::now();
    if (left <= Duration{}) return 0;
    auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::min<int64_t>(ms, 60'000));
  }

  void dispatch(const epoll_event& event, Instant now) {
    uint64_t data = event.data.u64, tag = data & uint64_t{0xff} << 56;
    uint32_t index = static_cast<uint32_t>(data);
    if (tag == udp_tag) udp_.readable(listeners_[index], now);
    else if (tag == tcp_tag) tcp_.acceptable(listeners_[index], now);
    else if (tag == connection_tag) tcp_.ready(data, event.events, now);
    else on_signals();
  }

  void on_signals() {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      ended_ |= info.ssi_signo != SIGUSR1;
      if (options_.report.empty()) continue;
      if (!write_file(options_.report, make_report(plan_, listeners_, tcp_)))
        fail("cannot write " + options_.report);
    }
  }

  const Options& options_;
  const Plan& plan_;
  std::vector<Listener>& listeners_;
  Fd signals_, epoll_;
  UdpServer udp_;
  TcpServer tcp_;
  bool ended_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  pid_t parent = getppid();
  Options options = parse_options(argc, argv);
  end_with_parent(parent);
  raise_descriptor_limit();
  ParsedPlan parsed = parse_plan(read_plan(options.plan));
  if (!parsed.error.empty()) fail(options.plan + ", " + parsed.error);
  std::vector<Listener> listeners = make_listeners(options, parsed.plan);
  Server server(options, parsed.plan, listeners);

  std::string ports;
  for (const Listener& listener : listeners) ports += address_text(listener.address) + "\n";
  if (options.ports_file.empty()) std::fputs(ports.c_str(), stdout), std::fflush(stdout);
  else if (!write_file(options.ports_file, ports)) fail("cannot write " + options.ports_file);
  server.run();
}
