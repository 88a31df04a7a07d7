// The pace of one resolver against made-up ones, in virtual time.
#include <doctest/doctest.h>

#include <deque>
#include <vector>

#include "ringdns/pace.hpp"
#include "ringdns/rng.hpp"

using namespace ringdns;
using namespace std::chrono_literals;

namespace {

constexpr Duration rtt = 2ms, patience = 500ms;

// What a resolver does with a query that comes now.
struct Server {
  double limit = 0;        // queries a second that it answers; 0: all
  bool refuses = false;    // what is beyond; else it is silent
  double loss = 0;         // at random
  double credit = 0;
  Instant filled{};
  Rng rng{Rng::Seed{}};

  TryOutcome take(Instant now) {
    if (rng.below(1000) < loss * 1000) return TryOutcome::silent;
    if (limit == 0) return TryOutcome::useful;
    credit = std::min(credit + limit * std::chrono::duration<double>(now - filled).count(), limit / 10);
    filled = now;
    if (credit < 1) return refuses ? TryOutcome::refused : TryOutcome::silent;
    credit -= 1;
    return TryOutcome::useful;
  }
};

struct Sum {
  uint64_t sent = 0, useful = 0;
};

// Asks as much as the pace permits from `from` to `to`; sums what was sent in the last `seconds`.
class Run {
 public:
  explicit Run(Server server, double limit = 0) : server_(server) {
    now_ = Instant(1s);
    pace_.start(limit, 10'000, now_);
  }

  Sum go(Duration length) {
    Sum sum;
    for (Instant end = now_ + length; now_ < end; now_ += 1ms) {
      for (auto* queue : {&soon_, &late_})
        while (!queue->empty() && queue->front().at <= now_) {
          auto [at, sent, outcome] = queue->front();
          queue->pop_front();
          sum.useful += outcome == TryOutcome::useful;
          if (pace_.returned(outcome, sent, now_)) ++rests_;
        }
      while (pace_.in_flight() < pace_.window() && pace_.bucket().ready(now_) && sum.sent < most) {
        pace_.sent(now_);
        ++sum.sent;
        TryOutcome outcome = server_.take(now_);
        bool silent = outcome == TryOutcome::silent;
        (silent ? late_ : soon_).push_back({now_ + (silent ? patience : rtt), now_, outcome});
      }
    }
    return sum;
  }
  Pace& pace() { return pace_; }
  uint32_t rests() const { return rests_; }

 private:
  static constexpr uint64_t most = 10'000'000;
  struct Out {
    Instant at, sent;
    TryOutcome outcome;
  };
  Server server_;
  Pace pace_;
  Instant now_;
  std::deque<Out> soon_, late_;
  uint32_t rests_ = 0;
};

}  // namespace

TEST_CASE("pace: a resolver that answers all gets a window as large as is allowed") {
  Run run({});
  run.go(1s);
  CHECK(run.pace().window() == 10'000);
  CHECK(run.pace().bucket().rate() == 0);
}

TEST_CASE("pace: one that limits is asked about what it answers, and uses it") {
  for (double limit : {50.0, 500.0})
    for (bool refuses : {true, false}) {
      CAPTURE(limit);
      CAPTURE(refuses);
      Run run({.limit = limit, .refuses = refuses});
      run.go(10s);
      Sum later = run.go(20s);
      CHECK(static_cast<double>(later.sent) < 1.5 * 20 * limit);
      CHECK(static_cast<double>(later.useful) > 0.75 * 20 * limit);
    }
}

TEST_CASE("pace: loss that is no doing of the pace does not stop it") {
  Run run({.loss = 0.3});
  run.go(10s);
  Sum later = run.go(10s);
  CHECK(later.useful > 10'000);
}

TEST_CASE("pace: names that are refused at any pace do not stop it") {
  Run run({.limit = 1e-9, .refuses = true});
  run.go(10s);
  CHECK(run.go(5s).sent > 1000);
}

TEST_CASE("pace: silence asks for a rest; an answer ends it") {
  Run run({.loss = 1});
  run.go(2s);
  CHECK(run.rests() > 0);
  Pace pace;
  Instant now(1s);
  pace.start(0, 100, now);
  pace.rest(now, 0.5);
  CHECK(pace.state() == ResolverState::resting);
  Duration first = pace.rests_until() - now;
  pace.try_again();
  pace.sent(now);
  CHECK(pace.returned(TryOutcome::silent, now, now + 1s));
  pace.rest(now, 0.5);
  CHECK(pace.rests_until() - now == 2 * first);
  pace.try_again();
  pace.sent(now);
  CHECK_FALSE(pace.returned(TryOutcome::useful, now, now + 1s));
  CHECK(pace.state() == ResolverState::working);
}

TEST_CASE("pace: errors of ours say nothing about the resolver") {
  Pace pace;
  Instant now(1s);
  pace.start(0, 100, now);
  uint32_t window = pace.window();
  for (int i = 0; i < 1000; ++i) {
    pace.sent(now);
    CHECK_FALSE(pace.returned(TryOutcome::unknown, now, now + 1s));
  }
  CHECK(pace.window() == window);
  CHECK(pace.in_flight() == 0);
}

TEST_CASE("pace: a bucket lets no second pass more than one in a hundred beyond its rate") {
  for (double rate : {1.0, 99.0, 1000.0, 250'000.0}) {
    CAPTURE(rate);
    Bucket bucket;
    bucket.set_rate(rate);
    std::vector<uint32_t> sent(3000);
    for (uint32_t ms = 0; ms < sent.size(); ++ms)
      for (Instant now(1h + std::chrono::milliseconds(ms)); bucket.ready(now); bucket.take(now))
        ++sent[ms];
    for (size_t start = 0; start + 1000 <= sent.size(); start += 37) {
      uint64_t sum = 0;
      for (size_t ms = start; ms < start + 1000; ++ms) sum += sent[ms];
      CHECK(static_cast<double>(sum) <= rate * 1.01 + 1);
      CHECK(static_cast<double>(sum) >= rate * 0.99 - 1);
    }
  }
}

TEST_CASE("pace: timeouts follow round trips, between a floor and -i") {
  Pace pace;
  CHECK(pace.timeout(0, 500ms) == 500ms);
  for (int i = 0; i < 50; ++i) pace.sample_rtt(1000);
  CHECK(pace.timeout(0, 2s) == 250ms);
  CHECK(pace.timeout(1, 2s) == 500ms);
  CHECK(pace.timeout(5, 2s) == 2s);
  CHECK(pace.timeout(0, 100ms) == 100ms);
  for (int i = 0; i < 50; ++i) pace.sample_rtt(400'000);
  CHECK(pace.timeout(0, 2s) >= 400ms);
}
