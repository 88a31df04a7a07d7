#include <doctest/doctest.h>

#include "ringdns/stats.hpp"

using namespace ringdns;

TEST_CASE("massdns's words for failures, and words of our own") {
  CHECK(name(FailureReason::timeout) == "TIMEOUT");
  CHECK(name(FailureReason::max_retries) == "MAXRETRIES");
  CHECK(name(FailureReason::truncated) == "TRUNCATED");
  for (size_t i = 0; i < failure_reasons; ++i)
    CHECK_FALSE(name(static_cast<FailureReason>(i)).empty());
}

TEST_CASE("every counter adds up, the first, the last and those in arrays") {
  Stats sum, other;
  sum.lines = 1;
  sum.tcp.queries_per_connection.counts.back() = 10;
  sum.tries[255] = 100;
  other.lines = 2;
  other.failed[failure_reasons - 1] = 5;
  other.rcodes[23] = 7;
  other.tcp.queries_per_connection.counts.back() = UINT64_C(1) << 40;
  other.tries[255] = 11;
  sum.add(other);
  CHECK(sum.lines == 3);
  CHECK(sum.failed_total() == 5);
  CHECK(sum.rcodes[23] == 7);
  CHECK(sum.tries[255] == 111);
  CHECK(sum.tcp.queries_per_connection.counts.back() == (UINT64_C(1) << 40) + 10);
  CHECK(sum.sent == 0);
  CHECK(other.lines == 2);
}

TEST_CASE("the account balances, or tells") {
  Stats stats;
  stats.due = 20;
  stats.lookups = 15;
  stats.answered = 10;
  stats.failed = {1, 0, 0, 2, 0, 0};
  stats.invalid = 4;
  CHECK(stats.balanced(3));
  CHECK_FALSE(stats.balanced(2));
  CHECK_FALSE(stats.balanced(4));
  stats.failed[1] = 1;
  CHECK_FALSE(stats.balanced(3));
  CHECK(stats.balanced(2));
  stats.due = 14;  // more was asked than any line called for
  stats.answered = 3;
  stats.lookups = 15;
  CHECK_FALSE(stats.balanced(3));
}

TEST_CASE("a histogram knows every value to an eighth") {
  for (uint64_t value = 0; value < 8; ++value) CHECK(Histogram::index_of(value) == value);
  for (uint64_t value = 1; value < UINT64_C(1) << 40; value = value * 5 / 4 + 1) {
    size_t index = Histogram::index_of(value);
    REQUIRE(index < Histogram::size);
    CHECK(Histogram::upper_bound(index) >= value);
    CHECK(Histogram::upper_bound(index) - value <= value / 8);
    if (index > 0) CHECK(Histogram::upper_bound(index - 1) < value);
  }
}

TEST_CASE("percentiles") {
  Histogram none;
  CHECK(none.percentile(0.5) == 0);
  Histogram few;
  for (uint64_t value = 1; value <= 7; ++value) few.add(value);
  CHECK(few.percentile(0) == 1);
  CHECK(few.percentile(0.5) == 3);
  CHECK(few.percentile(1) == 7);
  few.add(UINT64_MAX);  // beyond the last class
  CHECK(few.total() == 8);
  CHECK(few.percentile(1) == Histogram::upper_bound(Histogram::size - 1));
}
