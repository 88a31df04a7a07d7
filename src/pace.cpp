#include "ringdns/pace.hpp"

#include <cmath>

namespace ringdns {

namespace {
constexpr float tolerated = 0.1f;    // losses beyond the base that are no sign
constexpr float unhelped = 0.7f;     // of the losses still there after a cut: it was not the pace
constexpr float shrink = 0.7f, growth = 1.03f, kept = 0.95f, forgetting = 0.98f;
constexpr Duration cut_shows_within = std::chrono::seconds(3);
constexpr Duration least_timeout = std::chrono::milliseconds(250);
constexpr Duration first_rest = std::chrono::seconds(1);
constexpr uint8_t most_doublings = 6;
}  // namespace

bool Pace::returned(TryOutcome outcome, Instant sent, Instant now) {
  --in_flight_;
  if (outcome == TryOutcome::unknown) return false;
  bool current = sent >= cut_at_;  // it went out at the pace that is judged
  if (outcome == TryOutcome::useful) {
    heard(now);
    good_ += current;
    bool pressed = static_cast<float>(in_flight_) + 1 >= window_ / 2;
    if (pressed) window_ = std::min(most_, window_ + (slow_start_ ? 1 : 1 / window_));
    if (state_ != ResolverState::working) work();
  } else {
    bad_ += current;
    silence_ |= current && outcome == TryOutcome::silent;
    // What went out before it was heard of last says nothing about since.
    uint16_t points = outcome == TryOutcome::failed ? 1 : 4;
    if (sent >= heard_ && failures_ < useless) failures_ = static_cast<uint16_t>(failures_ + points);
  }
  if (now - epoch_ >= epoch_length) end_epoch(now);
  bool tried = state_ == ResolverState::on_trial && outcome != TryOutcome::useful;
  return state_ != ResolverState::resting && (failures_ >= useless || tried);
}

void Pace::end_epoch(Instant now) {
  constexpr uint32_t enough = 8;
  uint32_t all = good_ + bad_;
  if (all < enough && now - epoch_ < 8 * epoch_length) return;
  double seconds = std::chrono::duration<double>(now - epoch_).count();
  double delivered = good_ / seconds;
  float loss = all == 0 ? 0 : static_cast<float>(bad_) / static_cast<float>(all);
  bool lossy = bad_ > 2 && loss > base_loss_ + tolerated;
  if (!lossy) {
    base_loss_ *= forgetting;
    if (bucket_.rate() > 0 && bucket_.rate() != limit_) {
      // Unused, a rate proves nothing.
      bool used = delivered > 0.7 * bucket_.rate();
      double rate = bucket_.rate() * (used ? double{growth} : 1) + (used ? 1 : 0);
      bucket_.set_rate(limit_ > 0 ? std::min(rate, limit_) : rate);
    }
  } else if (lossiness_ > 0 && now - cut_at_ < cut_shows_within && loss > unhelped * lossiness_ &&
             good_ > 0) {
    base_loss_ = loss;
    window_ = std::max(window_, window_before_);
    bucket_.set_rate(rate_before_);
    lossiness_ = 0;
  } else if (good_ == 0 && !silence_) {
    // One that limits answers some. These names it refuses, however slowly they come.
    base_loss_ = loss;
    forget_rate();
  } else {
    rate_before_ = static_cast<float>(bucket_.rate());
    window_before_ = window_;
    lossiness_ = loss;
    cut_at_ = now;
    slow_start_ = false;
    window_ = std::max(least_window, window_ * shrink);
    // Silence alone says nothing about a rate.
    if (good_ > 0) {
      double rate = std::max(least_rate, delivered * double{kept});
      if (bucket_.rate() > 0) rate = std::min(rate, bucket_.rate());
      bucket_.set_rate(rate);
    }
  }
  epoch_ = now;
  good_ = bad_ = 0;
  silence_ = false;
}

void Pace::rest(Instant now, double jitter) {
  Duration length = first_rest * (int64_t{1} << std::min(rests_, most_doublings));
  if (rests_ < most_doublings) ++rests_;
  until_ = now + Duration(static_cast<int64_t>(static_cast<double>(length.count()) *
                                               (0.75 + 0.5 * jitter)));
  state_ = ResolverState::resting;
}

void Pace::work() {
  state_ = ResolverState::working;
  rests_ = 0;
  failures_ = 0;
  window_ = std::min(most_, std::max(window_, static_cast<float>(trial_window)));
}

void Pace::sample_rtt(uint32_t us) {
  us = std::max(us, 1u);
  if (srtt_us_ == 0) {
    srtt_us_ = us;
    rttvar_us_ = us / 2;
    return;
  }
  uint32_t off = us > srtt_us_ ? us - srtt_us_ : srtt_us_ - us;
  rttvar_us_ = static_cast<uint32_t>((uint64_t{rttvar_us_} * 3 + off) / 4);
  srtt_us_ = static_cast<uint32_t>((uint64_t{srtt_us_} * 7 + us) / 8);
}

Duration Pace::timeout(uint32_t losses, Duration most) const {
  if (srtt_us_ == 0) return most;
  Duration wait = std::chrono::microseconds(srtt_us_ + uint64_t{4} * rttvar_us_);
  wait = std::max(wait, least_timeout) * (int64_t{1} << std::min(losses, 6u));
  return std::min(wait, most);
}

}  // namespace ringdns
