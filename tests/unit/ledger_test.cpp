#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "ringdns/ledger.hpp"

using namespace ringdns;

namespace {

std::vector<std::string> close_all(Ledger& ledger, uint32_t slot) {
  std::vector<std::string> texts;
  ledger.close(slot, [&](const Ledger::Entry& entry) {
    Buffer text;
    ledger.append_text(text, entry);
    texts.emplace_back(text.view());
  });
  return texts;
}

std::vector<uint64_t> open_lines(const Ledger& ledger) {
  std::vector<uint64_t> lines;
  ledger.each_open([&](const Ledger::Entry& entry) { lines.push_back(entry.line); });
  return lines;
}

}  // namespace

TEST_CASE("every line that waits for a lookup is closed with it, with its own text") {
  Ledger ledger(2, 8, 1000, true);
  const std::string of_28(28, 'x'), of_29(29, 'y'), long_one(1000, 'z');
  ledger.open(0, {1, 0}, 0, "a.test", false);
  ledger.open(1, {2, 0}, 7, long_one, false);
  ledger.open(0, {3, 0}, 14, of_28, false);
  ledger.open(0, {4, 2}, 21, of_29, true);
  ledger.open(1, {5, 0}, 28, "", false);
  CHECK(close_all(ledger, 0) == std::vector<std::string>{of_29, of_28, "a.test"});
  CHECK(close_all(ledger, 0).empty());
  CHECK(close_all(ledger, 1) == std::vector<std::string>{"", long_one});
  CHECK(ledger.empty());
}

TEST_CASE("open lines are told in their order, the lowest first") {
  Ledger ledger(4, 8, 100, false);
  for (uint32_t line = 1; line <= 4; ++line)
    ledger.open(line - 1, {line, line}, line * 10, "ignored", line == 2);
  close_all(ledger, 0);
  ledger.open(0, {5, 0}, 50, "", false);
  close_all(ledger, 2);
  CHECK(open_lines(ledger) == std::vector<uint64_t>{2, 4, 5});
  CHECK(ledger.lowest().line == 2);
  CHECK(ledger.lowest().offset == 20);
  CHECK(ledger.lowest().part == 2);
  CHECK(ledger.lowest().several);
}

TEST_CASE("a line that is left stays open, and its lookup's slot is free for another") {
  Ledger ledger(1, 4, 100, true);
  ledger.open(0, {1, 0}, 0, "left", false);
  ledger.leave(0);
  ledger.open(0, {2, 0}, 5, "other", false);
  CHECK(close_all(ledger, 0) == std::vector<std::string>{"other"});
  CHECK(open_lines(ledger) == std::vector<uint64_t>{1});
}

TEST_CASE("there is room for the longest line, or none; what was closed is room again") {
  constexpr size_t most = 5000;
  const std::string longest(most, 'x');
  Ledger ledger(1, 16, most, true);
  for (int turn = 0; turn < 100; ++turn) {
    size_t lines = 0;
    for (; ledger.has_room(); ++lines) ledger.open(0, {lines + 1, 0}, 0, longest, false);
    CHECK(lines >= 1);
    CHECK(close_all(ledger, 0) == std::vector<std::string>(lines, longest));
  }
  Ledger lines_only(1, 16, most, false);
  size_t lines = 0;
  for (; lines_only.has_room(); ++lines) lines_only.open(0, {lines + 1, 0}, 0, longest, false);
  CHECK(lines == 16);
}
