#include "ringdns/sandbox.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "ringdns/address.hpp"  // families

namespace ringdns {

namespace {

// Sanitizers open /proc, fork and trace at any time, the moment of a finding included.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool instrumented = true;
#elif defined(__has_feature)
constexpr bool instrumented = __has_feature(address_sanitizer);
#else
constexpr bool instrumented = false;
#endif

// 0: none is known, and there is no filter.
#if defined(__x86_64__)
constexpr uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr uint32_t architecture = AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr uint32_t architecture = AUDIT_ARCH_RISCV64;
#else
constexpr uint32_t architecture = 0;
#endif

// ---- seccomp

constexpr long always[] = {
    // descriptors that are open already
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_preadv2, SYS_pwritev2, SYS_close, SYS_lseek,
    SYS_fstat, SYS_fcntl, SYS_ftruncate, SYS_fsync, SYS_fdatasync,
    // waiting
    SYS_epoll_ctl, SYS_epoll_pwait,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_poll
    SYS_poll,
#endif
    SYS_ppoll, SYS_io_uring_enter, SYS_io_uring_register, SYS_futex, SYS_sched_yield,
    SYS_nanosleep, SYS_clock_nanosleep, SYS_restart_syscall,
    // sockets
    SYS_bind, SYS_connect, SYS_getsockname, SYS_getsockopt, SYS_setsockopt, SYS_shutdown,
    SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg,
    // memory
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise,
    // time, randomness, the process itself
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_gettid,
    SYS_getuid, SYS_geteuid, SYS_getrusage, SYS_sched_getaffinity, SYS_rt_sigaction,
    SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_exit, SYS_exit_group,
#ifdef SYS_newfstatat
    SYS_newfstatat,  // glibc's fstat
#endif
};

constexpr long to_supervise[] = {SYS_kill, SYS_wait4, SYS_waitid};

// With Landlock only what is beneath the directories that were named.
constexpr long to_replace_files[] = {
    SYS_openat, SYS_unlinkat, SYS_renameat2, SYS_fchmod,
#ifdef SYS_renameat
    SYS_renameat,
#endif
};

// A filter that allows what is added to it, and answers EPERM to the rest.
class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    deny_unless_equal(architecture);
    load(offsetof(seccomp_data, nr));
  }

  void allow(std::span<const long> calls) {
    for (long call : calls) {
      add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
      add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
  }

  // Only with one of these values as that argument; its upper half is not the kernel's concern
  // where the parameter is an int, as all of ours are.
  void allow_with(long call, uint32_t argument, std::span<const uint32_t> values) {
    size_t count = values.size();
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, size8(2 * count + 2)));
    load(argument_at(argument));
    for (uint32_t value : values) {
      add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
      add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    add(BPF_STMT(BPF_RET | BPF_K, denied));
  }

  // Only without these bits in that argument.
  void allow_without(long call, uint32_t argument, uint32_t bits) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4));
    load(argument_at(argument));
    add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    add(BPF_STMT(BPF_RET | BPF_K, denied));
  }

  // Returns an errno.
  int install() {
    add(BPF_STMT(BPF_RET | BPF_K, denied));
    sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : errno;
  }

 private:
  static constexpr uint32_t denied = SECCOMP_RET_ERRNO | EPERM;

  static uint8_t size8(size_t size) { return static_cast<uint8_t>(size); }
  static uint32_t argument_at(uint32_t argument) {
    constexpr uint32_t low_half = std::endian::native == std::endian::little ? 0 : 4;
    return static_cast<uint32_t>(offsetof(seccomp_data, args)) + 8 * argument + low_half;
  }
  void load(size_t offset) {
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
  }
  void deny_unless_equal(uint32_t value) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    add(BPF_STMT(BPF_RET | BPF_K, denied));
  }
  void add(sock_filter instruction) { code_.push_back(instruction); }

  std::vector<sock_filter> code_;
};

std::string restrict_system_calls(const SandboxNeeds& needs) {
  if (architecture == 0) return "no seccomp filter: it does not know this architecture";
  Filter filter;
  filter.allow(always);
  filter.allow_without(SYS_mmap, 2, PROT_EXEC);
  filter.allow_without(SYS_mprotect, 2, PROT_EXEC);
  filter.allow_with(SYS_socket, 0, std::array<uint32_t, 2>{AF_INET, AF_INET6});
  filter.allow_with(SYS_ioctl, 1, std::array<uint32_t, 3>{TCGETS, TIOCGWINSZ, FIONREAD});
  filter.allow_with(SYS_tgkill, 0, std::array<uint32_t, 1>{static_cast<uint32_t>(getpid())});
  if (needs.supervises) filter.allow(to_supervise);
  if (!needs.directories.empty()) filter.allow(to_replace_files);
  int error = filter.install();
  return error ? std::string("no seccomp filter: ") + std::strerror(error) : std::string();
}

// ---- Landlock

// Rights that this machine's headers may not have yet, by the version that brought them.
constexpr uint64_t rights_of_version_1 = (1ULL << 13) - 1;
constexpr uint64_t refer = 1ULL << 13, cut_short = 1ULL << 14, device_ioctl = 1ULL << 15;

uint64_t rights_of(long version) {
  uint64_t rights = rights_of_version_1;
  if (version >= 2) rights |= refer;
  if (version >= 3) rights |= cut_short;
  if (version >= 5) rights |= device_ioctl;
  return rights;
}

std::string restrict_paths(std::span<const int> directories) {
  auto failed = [] { return std::string("no Landlock: ") + std::strerror(errno); };
  long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return failed();
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = rights_of(version);
  Fd rules(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &handled, sizeof handled.handled_access_fs, 0)));
  if (!rules.valid()) return failed();
  for (int directory : directories) {
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = handled.handled_access_fs &
                             (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                              LANDLOCK_ACCESS_FS_REMOVE_FILE | refer | cut_short);
    beneath.parent_fd = directory;
    if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
      return failed();
  }
  return syscall(SYS_landlock_restrict_self, rules.get(), 0) == 0 ? std::string() : failed();
}

}  // namespace

std::vector<std::string> enter_sandbox(const SandboxNeeds& needs) {
  if (instrumented) return {};
  rlimit none{};
  setrlimit(RLIMIT_CORE, &none);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return {std::string("no sandbox: ") + std::strerror(errno)};
  std::vector<std::string> missing;
  for (std::string what : {restrict_paths(needs.directories), restrict_system_calls(needs)})
    if (!what.empty()) missing.push_back(std::move(what));
  return missing;
}

}  // namespace ringdns
