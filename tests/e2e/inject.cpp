// What somebody who took over a running ringdns could make it do: attaches to a process, makes one
// system call in it, prints what became of it ("EPERM", "ok"), and lets the process go on.
//
//     inject PID open PATH | execve PATH | socket FAMILY | exec_memory
//
// Exit code 77: this host cannot do that (another architecture, no right to trace). 75: not now, as
// the process computes.
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

constexpr int not_here = 77, not_now = 75;

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "inject: %s: %s\n", what, std::strerror(errno));
  std::exit(not_here);
}

#if defined(__x86_64__)

struct Call {
  long number = 0;
  unsigned long long arguments[4] = {};
};

void poke(pid_t pid, unsigned long long at, std::string text) {
  text.resize((text.size() / sizeof(long) + 1) * sizeof(long));  // ends in a zero
  for (size_t i = 0; i < text.size(); i += sizeof(long)) {
    long word;
    std::memcpy(&word, text.data() + i, sizeof word);
    if (ptrace(PTRACE_POKEDATA, pid, at + i, word) != 0) give_up("PTRACE_POKEDATA");
  }
}

void wait_for_stop(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) give_up("waitpid");
}

// Runs until the process is about to enter, or has left, a system call.
void to_next_call(pid_t pid) {
  if (ptrace(PTRACE_SYSCALL, pid, 0, 0) != 0) give_up("PTRACE_SYSCALL");
  wait_for_stop(pid);
}

bool was_interrupted(long result) {
  constexpr long first = 512, last = 516;  // the kernel's own ERESTARTSYS to ERESTART_RESTARTBLOCK
  return result == -EINTR || (-result >= first && -result <= last);
}

long make(pid_t pid, Call call, const std::string& path) {
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) give_up("PTRACE_SEIZE");
  if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0) give_up("PTRACE_INTERRUPT");
  wait_for_stop(pid);
  user_regs_struct before{};
  if (ptrace(PTRACE_GETREGS, pid, 0, &before) != 0) give_up("PTRACE_GETREGS");
  constexpr long syscall_instruction = 0x050f;
  if ((ptrace(PTRACE_PEEKTEXT, pid, before.rip - 2, 0) & 0xffff) != syscall_instruction)
    std::exit(not_now);

  constexpr unsigned long long below_red_zone = 4096;
  unsigned long long text = before.rsp - below_red_zone;
  poke(pid, text, path);
  user_regs_struct there = before;
  auto argument = [&](int i) { return call.arguments[i] == ~0ULL ? text : call.arguments[i]; };
  there.rip = before.rip - 2;
  there.rax = static_cast<unsigned long long>(call.number);
  there.orig_rax = ~0ULL;  // nothing is to be restarted
  there.rdi = argument(0), there.rsi = argument(1), there.rdx = argument(2), there.r10 = argument(3);
  there.r8 = ~0ULL, there.r9 = 0;
  if (ptrace(PTRACE_SETREGS, pid, 0, &there) != 0) give_up("PTRACE_SETREGS");
  to_next_call(pid);
  to_next_call(pid);
  user_regs_struct after{};
  if (ptrace(PTRACE_GETREGS, pid, 0, &after) != 0) give_up("PTRACE_GETREGS");
  // Back to before. A call that was interrupted is made again; one that was done is not, for what
  // it did would be lost or done twice.
  if (was_interrupted(static_cast<long>(before.rax))) {
    before.rip -= 2;
    before.rax = before.orig_rax;
  }
  before.orig_rax = ~0ULL;
  if (ptrace(PTRACE_SETREGS, pid, 0, &before) != 0) give_up("PTRACE_SETREGS");
  ptrace(PTRACE_DETACH, pid, 0, 0);
  return static_cast<long>(after.rax);
}

#endif

}  // namespace

int main(int argc, char** argv) {
#if defined(__x86_64__)
  if (argc < 3) return 2;
  pid_t pid = std::atoi(argv[1]);
  std::string_view what = argv[2];
  std::string path = argc > 3 ? argv[3] : "";
  constexpr unsigned long long the_path = ~0ULL;
  Call call;
  if (what == "open") call = {SYS_openat, {static_cast<unsigned>(-100), the_path, 0, 0}};
  else if (what == "execve") call = {SYS_execve, {the_path, 0, 0, 0}};
  else if (what == "socket") call = {SYS_socket, {std::strtoull(argv[3], nullptr, 10), 2, 0, 0}};
  else if (what == "exec_memory")
    call = {SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS}};
  else return 2;
  long result = make(pid, call, path);
  std::printf("%s\n", result >= 0 ? "ok" : strerrorname_np(static_cast<int>(-result)));
  return 0;
#else
  (void)argc, (void)argv;
  errno = ENOSYS;
  give_up("system calls are made on x86-64 only");
#endif
}
