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
  sum.output_bytes = 10;
  sum.tries[255] = 100;
  other.lines = 2;
  other.failed[failure_reasons - 1] = 5;
  other.rcodes[23] = 7;
  other.output_bytes = UINT64_C(1) << 40;
  other.tries[255] = 11;
  sum.add(other);
  CHECK(sum.lines == 3);
  CHECK(sum.failed_total() == 5);
  CHECK(sum.rcodes[23] == 7);
  CHECK(sum.tries[255] == 111);
  CHECK(sum.output_bytes == (UINT64_C(1) << 40) + 10);
  CHECK(sum.sent == 0);
  CHECK(other.lines == 2);
}
