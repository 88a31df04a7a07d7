#include "ringdns/setup.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <new>

#ifdef __GLIBC__
#include <nss.h>
#endif

#include "ringdns/replaced_file.hpp"  // read_all

namespace ringdns {

namespace {

constexpr id_t nobody_id = 65534;

Outcome<Fd> duplicate(int fd, const char* what) {
  Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return {{}, failure(what, errno)};
  return {std::move(copy), {}};
}

// A static binary, as it is one that no interpreter loaded, must not load the modules that
// /etc/nsswitch.conf names: they are made for the machine's glibc. /etc/passwd has to do there.
void stay_out_of_nss_modules() {
#ifdef __GLIBC__
  if (getauxval(AT_BASE) != 0) return;
  __nss_configure_lookup("passwd", "files");
  __nss_configure_lookup("group", "files");
#endif
}

}  // namespace

std::string failure(const std::string& what, int error) {
  return what + ": " + std::strerror(error);
}

Outcome<Fd> open_input(const std::string& path) {
  if (path == "-") return duplicate(STDIN_FILENO, "stdin is closed");
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return {{}, failure("cannot open " + path, errno)};
  struct stat facts {};
  if (fstat(fd.get(), &facts) == 0 && S_ISDIR(facts.st_mode))
    return {{}, failure("cannot read " + path, EISDIR)};
  return {std::move(fd), {}};
}

Outcome<Fd> open_output(const std::string& path, bool keep) {
  if (path == "-") return duplicate(STDOUT_FILENO, "stdout is closed");
  int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (keep ? O_APPEND : O_TRUNC);
  Fd fd(open(path.c_str(), flags, 0666));
  if (!fd.valid()) return {{}, failure("cannot open " + path + " for writing", errno)};
  return {std::move(fd), {}};
}

Outcome<Fd> open_standard_error() { return duplicate(STDERR_FILENO, "stderr is closed"); }

uint64_t file_size(const Fd& fd) {
  struct stat facts {};
  bool regular = fstat(fd.get(), &facts) == 0 && S_ISREG(facts.st_mode);
  return regular ? static_cast<uint64_t>(facts.st_size) : 0;
}

namespace {

bool same_file(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty() || a == "-" || b == "-") return false;
  struct stat one {}, other {};
  if (stat(a.c_str(), &one) != 0 || stat(b.c_str(), &other) != 0) return a == b;
  return S_ISREG(one.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

std::string shared_file(const Options& options) {
  struct Named {
    const char* what;
    const std::string& path;
  };
  constexpr size_t read = 2;  // of these; the others are written
  std::string next = options.checkpoint.empty() ? "" : options.checkpoint + ".tmp";
  const Named files[] = {{"the list of names", options.names}, {"-r", options.resolvers},
                         {"-w", options.outfile},              {"--unresolved", options.unresolved},
                         {"--checkpoint", options.checkpoint}, {"--checkpoint", next},
                         {"--stats", options.stats_file},      {"-l", options.error_log},
                         {"--resolver-stats", options.resolver_stats_file}};
  for (size_t written = read; written < std::size(files); ++written)
    for (size_t other = 0; other < written; ++other)
      if (same_file(files[written].path, files[other].path))
        return std::string(files[written].what) + " would overwrite " + files[other].what + " (" +
               files[other].path + ")";
  return {};
}

Outcome<ResolverList> read_resolvers(const std::string& source) {
  // Addresses stand on the command line itself where the whole of it reads as such.
  ResolverList given = parse_resolver_commas(source);
  if (!given.addresses.empty() && given.problem_count == 0) return {std::move(given), {}};
  return read_addresses(source, "resolvers");
}

Outcome<ResolverList> read_addresses(const std::string& path, const std::string& what) {
  Outcome<Fd> file = open_input(path);
  if (!file.value) return {{}, what + ": " + file.error};
  std::string text;
  if (int error = read_all(*file.value, text))
    return {{}, what + ": " + failure("cannot read " + (path == "-" ? "stdin" : path), error)};
  return {parse_resolver_list(text), {}};
}

Outcome<Fd> take_signals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return {{}, failure("signalfd", errno)};
  return {std::move(fd), {}};
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string drop_privileges(const Options& options, std::vector<std::string>& notices) {
  if (geteuid() != 0 || options.keep_root) return {};
  stay_out_of_nss_modules();
  Options defaults;
  gid_t gid = nobody_id;
  uid_t uid = nobody_id;
  if (const passwd* entry = getpwnam(options.drop_user.c_str())) {
    uid = entry->pw_uid;
    gid = entry->pw_gid;
  } else if (options.drop_user == defaults.drop_user) {
    notices.push_back("no user " + options.drop_user + " here: dropping to user id 65534");
  } else {
    return "there is no user " + options.drop_user;
  }
  if (const group* entry = getgrnam(options.drop_group.c_str())) {
    gid = entry->gr_gid;
  } else if (options.drop_group == defaults.drop_group) {
    notices.push_back("no group " + options.drop_group + " here: dropping to group id 65534");
    gid = nobody_id;
  } else if (!options.drop_group.empty()) {
    return "there is no group " + options.drop_group;
  }
  if (setgroups(0, nullptr) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
    return failure("cannot drop privileges to " + options.drop_user + ":" + options.drop_group +
                       " (--root keeps them)",
                   errno);
  ensure(setuid(0) != 0, "dropped privileges stay dropped");
  return {};
}

void end_without_memory() {
  std::set_new_handler([] {
    constexpr std::string_view why = "ringdns: out of memory\n";
    [[maybe_unused]] ssize_t told = write(STDERR_FILENO, why.data(), why.size());
    _exit(1);
  });
}

void die_with_parent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

Rng::Seed random_seed() {
  Rng::Seed seed;
  ensure(getrandom(seed.data(), sizeof seed, 0) == sizeof seed, "the kernel gives random bytes");
  return seed;
}

}  // namespace ringdns
