// Query ids as a forger sees them: what came before tells nothing of what comes (RFC 5452). The
// seeds are fixed: a threshold that holds holds always. Each is six standard deviations from what
// chance gives, orders of magnitude below what a counter or a small generator gives.
#include <doctest/doctest.h>

#include <cmath>
#include <deque>

#include "ringdns/lookups.hpp"
#include "ringdns/tcp.hpp"

using namespace ringdns;

namespace {

// How many standard deviations the chi-squared of these counts is from what equal chances give.
double chi_squared_deviation(const std::vector<uint32_t>& counts) {
  double total = 0, sum = 0;
  for (uint32_t count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  for (uint32_t count : counts) sum += (count - expected) * (count - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (sum - freedom) / std::sqrt(2 * freedom);
}

// `values` are below 2^bits.
void check_unpredictable(const std::vector<uint16_t>& values, int bits) {
  const int pair_bits = 6;
  const uint32_t limit = 1u << bits;
  const auto top = [&](uint32_t value) { return value >> (bits - pair_bits); };
  std::vector<uint32_t> each(limit), steps(limit), pairs(1u << 2 * pair_bits), bit(bits);
  std::vector<uint32_t> far_pairs(1u << 2 * pair_bits);
  double sum = 0, squares = 0, products = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t value = values[i];
    REQUIRE(value < limit);
    ++each[value];
    for (int b = 0; b < bits; ++b) bit[b] += value >> b & 1;
    sum += value, squares += double(value) * value;
    if (i == 0) continue;
    const uint32_t before = values[i - 1];
    ++steps[(value - before) & (limit - 1)];
    ++pairs[top(before) << pair_bits | top(value)];
    products += double(before) * value;
    if (i >= 16) ++far_pairs[top(values[i - 16]) << pair_bits | top(value)];
  }
  const double n = static_cast<double>(values.size()), mean = sum / n;
  const double correlation = (products / n - mean * mean) / (squares / n - mean * mean);
  CHECK(std::abs(chi_squared_deviation(each)) < 6);
  CHECK(std::abs(chi_squared_deviation(steps)) < 6);
  CHECK(std::abs(chi_squared_deviation(pairs)) < 6);
  CHECK(std::abs(chi_squared_deviation(far_pairs)) < 6);
  CHECK(std::abs(correlation) * std::sqrt(n) < 6);
  for (uint32_t ones : bit) CHECK(std::abs(ones - n / 2) < 6 * std::sqrt(n) / 2);
}

constexpr size_t samples = 1'000'000;

}  // namespace

TEST_CASE("the generator's words, high and low half") {
  Rng rng({2024});
  std::vector<uint16_t> high(samples), low(samples);
  for (size_t i = 0; i < samples; ++i) {
    const uint32_t word = rng.next();
    high[i] = static_cast<uint16_t>(word >> 16);
    low[i] = static_cast<uint16_t>(word);
  }
  check_unpredictable(high, 16);
  check_unpredictable(low, 16);
}

// Few are out at a time: an id that is out is not drawn, which makes the counts more even than
// chance does, with a thousand out by five standard deviations.
TEST_CASE("ids of UDP queries, whose answers come in order, or when they like") {
  constexpr uint32_t most_out = 100;
  for (uint32_t in_order : {0, 1}) {
    Rng rng({7, in_order}), network({8});
    IdPool pool;
    std::deque<uint16_t> out;
    std::vector<uint16_t> ids(samples);
    for (uint16_t& id : ids) {
      if (out.size() == most_out) {
        const size_t answered = in_order ? 0 : network.below(most_out);
        pool.release(out[answered]);
        out[answered] = out.front();
        out.pop_front();
      }
      id = pool.acquire(rng, 1);
      out.push_back(id);
    }
    check_unpredictable(ids, 16);
  }
}

// The low bits of an id on a connection are its place in the window, the others are random: a
// forger must know the connection's sequence numbers first, and the id is to tell replies apart.
TEST_CASE("ids of TCP queries, above the place in the window") {
  constexpr uint32_t places = 64, bits = 10;
  Rng rng({9});
  Window window;
  window.resize(places);
  std::deque<uint16_t> out;
  std::vector<uint16_t> ids(samples);
  for (uint16_t& id : ids) {
    if (window.full()) {
      window.release(out.front());
      out.pop_front();
    }
    out.push_back(window.acquire(rng, 1));
    id = out.back() / places;
  }
  check_unpredictable(ids, bits);
}

TEST_CASE("another seed, other ids") {
  Rng one({1}), other({2});
  IdPool ones, others;
  int same = 0;
  for (int i = 0; i < 10'000; ++i) same += ones.acquire(one, 1) == others.acquire(other, 1);
  CHECK(same < 10);
}

TEST_CASE("the judgement itself finds what can be predicted") {
  std::vector<uint32_t> even(256, 100), counter(256, 0);
  CHECK(chi_squared_deviation(even) < -6);  // chance is never so fair
  counter[1] = 25'600;
  CHECK(chi_squared_deviation(counter) > 1000);
}
