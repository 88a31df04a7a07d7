// sim SEED: replays one seed and tells what happens. sim FROM COUNT: runs that many, silently.
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include "run.hpp"

namespace sim {
namespace {

constexpr uint32_t lookups_a_seed = 1000;
uint64_t seed_at_work = 0;

// However it ends: which seed it was, and how to see it again.
void tell_seed() {
  char text[128];
  int length = std::snprintf(text, sizeof text,
                             "sim: seed %llu failed; replay it with: scripts/sim %llu\n",
                             static_cast<unsigned long long>(seed_at_work),
                             static_cast<unsigned long long>(seed_at_work));
  ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(length));
  static_cast<void>(written);
}

void on_signal(int signal) {
  tell_seed();
  ::signal(signal, SIG_DFL);
  raise(signal);
}

// A seed takes some milliseconds; one that takes this long loops, and SIGPROF ends it.
void limit_time() {
  constexpr itimerval limit{{}, {10, 0}};  // of processor time
  setitimer(ITIMER_PROF, &limit, nullptr);
}

int run_many(uint64_t from, uint64_t count) {
  // One in so many is run twice: the same seed is the same run, to the last octet and count.
  constexpr uint64_t twice_every = 20;
  uint64_t lookups = 0, turns = 0;
  Duration time{};
  Instant start = std::chrono::steady_clock::now();
  for (uint64_t seed = from; seed - from < count; ++seed) {
    seed_at_work = seed;
    limit_time();
    Result result = run_seed(seed, lookups_a_seed, false);
    if (seed % twice_every == 0 &&
        run_seed(seed, lookups_a_seed, false).digest != result.digest)
      violation("seed %llu runs differently the second time",
                static_cast<unsigned long long>(seed));
    lookups += result.lookups;
    turns += result.turns;
    time += result.time;
    bool report = count > 100'000 && (seed - from + 1) % 1000 == 0;
    if (!report && seed - from + 1 < count) continue;
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%llu seeds from %llu: %llu lookups, %llu turns, %lld virtual seconds; "
                "%.0f lookups/s\n",
                static_cast<unsigned long long>(seed - from + 1),
                static_cast<unsigned long long>(from), static_cast<unsigned long long>(lookups),
                static_cast<unsigned long long>(turns), static_cast<long long>(time / 1s),
                static_cast<double>(lookups) / took.count());
    std::fflush(stdout);
  }
  return 0;
}

int replay(uint64_t seed) {
  seed_at_work = seed;
  Result result = run_seed(seed, lookups_a_seed, true);
  std::printf("\nseed %llu passes: %llu lookups, %llu turns, digest %016llx\n",
              static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(result.lookups),
              static_cast<unsigned long long>(result.turns),
              static_cast<unsigned long long>(result.digest));
  return 0;
}

}  // namespace
}  // namespace sim

int main(int argc, char** argv) {
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGPROF})
    ::signal(signal, sim::on_signal);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_set_death_callback(sim::tell_seed);
#endif
  uint64_t first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
  if (argc == 2) return sim::replay(first);
  if (argc == 3) return sim::run_many(first, std::strtoull(argv[2], nullptr, 10));
  std::fputs("usage: sim SEED | sim FROM COUNT\n", stderr);
  return 2;
}
