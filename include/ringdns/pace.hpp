// Level 4: how hard one resolver is pressed. Pure: no clock, no randomness of its own.
//
// A window bounds what is out to it, and grows and shrinks as TCP's does (RFC 5681): by one for an
// answer until the first loss, then by one for a windowful; by three tenths down for a lossy epoch.
// A window cannot express less than a query per round trip, so a lossy epoch also sets a rate: what
// the resolver did answer in it. Both grow back while losses stay low. Loss that does not shrink
// with the pace is not the pace's doing: it becomes the base that later losses are held against.
// Of no use at all, a resolver is given a rest by a circuit breaker.
#pragma once

#include <algorithm>

#include "ringdns/base.hpp"
#include "ringdns/resolver_facts.hpp"

namespace ringdns {

// How a query that was out came back.
enum class TryOutcome : uint8_t {
  useful,   // a reply that is an answer, or leads to one
  failed,   // SERVFAIL and the like: the name's fault as likely as the resolver's
  refused,  // REFUSED and the like
  silent,   // nothing came, or that it cannot be reached
  unknown,    // nothing is learned: a local error, an end of the run, what TCP did
};

// A token bucket as one instant (GCRA): the time at which it will be full again. It holds what its
// rate brings in `depth`, so that no second sees more than 1 % beyond the rate.
class Bucket {
 public:
  static constexpr Duration depth = std::chrono::milliseconds(10);

  // per_second: 0 for no limit.
  void set_rate(double per_second) { rate_ = per_second; }
  double rate() const { return rate_; }
  // When the next query may leave; in the past: now.
  Instant next() const { return rate_ > 0 ? full_at_ - slack() : Instant{}; }
  bool ready(Instant now) const { return next() <= now; }
  void take(Instant now) {
    if (rate_ > 0) full_at_ = std::max(full_at_, now) + interval();
  }

 private:
  Duration interval() const { return Duration(static_cast<int64_t>(1e9 / rate_)); }
  // No less than the timers are late by.
  Duration slack() const {
    return std::max<Duration>(depth - interval(), std::chrono::milliseconds(2));
  }

  double rate_ = 0;
  Instant full_at_{};
};

class Pace {
 public:
  static constexpr float first_window = 128, least_window = 2;
  static constexpr uint32_t trial_window = 8;  // of each, where nobody works
  static constexpr double least_rate = 5;      // queries a second

  uint32_t window() const { return static_cast<uint32_t>(window_); }
  uint32_t in_flight() const { return in_flight_; }
  ResolverState state() const { return state_; }
  Instant rests_until() const { return until_; }
  Bucket& bucket() { return bucket_; }
  const Bucket& bucket() const { return bucket_; }
  uint32_t srtt_us() const { return srtt_us_; }

  // limit: queries a second that the user allows; 0: any. most: the largest window.
  void start(double limit, uint32_t most, Instant now) {
    limit_ = limit;
    most_ = static_cast<float>(most);
    window_ = std::min(first_window, most_);
    bucket_.set_rate(limit);
    epoch_ = now;
  }

  void sent(Instant now) {
    ++in_flight_;
    bucket_.take(now);
  }

  // A query sent at `sent` is out no more. True: it should be given a rest.
  bool returned(TryOutcome outcome, Instant sent, Instant now);
  // It lives: a reply came that was no longer waited for.
  void heard(Instant now) { heard_ = now, failures_ = 0; }

  // jitter: 0 to 1
  void rest(Instant now, double jitter);
  void try_again() { state_ = ResolverState::on_trial; }
  void work();
  // What was learned of its rate is of no use, as all is lost anyway: only what the user allows holds.
  void forget_rate() { bucket_.set_rate(limit_); }

  // RFC 6298, and with no less than `least`, no more than `most`, for replies over UDP.
  void sample_rtt(uint32_t us);
  Duration timeout(uint32_t losses, Duration most) const;

 private:
  static constexpr Duration epoch_length = std::chrono::milliseconds(250);
  static constexpr uint32_t useless = 32;  // of the points that returned() gives

  void end_epoch(Instant now);

  Bucket bucket_;
  double limit_ = 0;
  Instant epoch_{}, cut_at_{}, heard_{}, until_{};
  float window_ = first_window, most_ = first_window;
  float window_before_ = 0, rate_before_ = 0;  // the latest cut
  float lossiness_ = 0;   // of the epoch that led to it
  float base_loss_ = 0;
  uint32_t good_ = 0, bad_ = 0;  // in this epoch
  uint32_t in_flight_ = 0;
  uint32_t srtt_us_ = 0, rttvar_us_ = 0;
  uint16_t failures_ = 0;  // points since it was of use
  uint8_t rests_ = 0;      // since it was of use
  bool slow_start_ = true;
  bool silence_ = false;  // in this epoch
  ResolverState state_ = ResolverState::working;
};

}  // namespace ringdns
