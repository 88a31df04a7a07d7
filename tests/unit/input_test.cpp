#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "ringdns/input.hpp"

using namespace ringdns;

namespace {

struct SeenLine {
  std::string text;
  uint64_t number;
  bool too_long;
};

// Feeds the bytes in pieces of the given size and collects every line.
std::vector<SeenLine> read_all(std::string_view bytes, size_t piece, LineReader& reader) {
  std::vector<SeenLine> lines;
  const auto drain = [&] {
    while (auto line = reader.next())
      lines.push_back({std::string(line->text), line->number, line->too_long});
  };
  while (!bytes.empty()) {
    const MutableBytes space = reader.free_space();
    REQUIRE(!space.empty());
    const size_t n = std::min({piece, space.size(), bytes.size()});
    std::memcpy(space.data(), bytes.data(), n);
    reader.commit(n);
    bytes.remove_prefix(n);
    drain();
    CHECK_FALSE(reader.exhausted());
  }
  reader.finish();
  drain();
  CHECK(reader.exhausted());
  return lines;
}

std::vector<std::string> texts(std::string_view bytes, size_t piece = 1000) {
  LineReader reader;
  std::vector<std::string> out;
  for (const auto& line : read_all(bytes, piece, reader)) out.push_back(line.text);
  CHECK(reader.bytes_consumed() == bytes.size());
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("lines end with LF, CRLF, or the end of the stream, whatever the size of the reads") {
  for (size_t piece : {1, 2, 3, 1000}) {
    CHECK(texts("a\nbb\nccc\n", piece) == Texts{"a", "bb", "ccc"});
    CHECK(texts("a\r\nbb\r\n", piece) == Texts{"a", "bb"});
    CHECK(texts("a\nlast", piece) == Texts{"a", "last"});
    CHECK(texts("a\nlast\r", piece) == Texts{"a", "last"});
    CHECK(texts("\n\r\n\n", piece) == Texts{"", "", ""});
    CHECK(texts("a\rb\r\r\n", piece) == Texts{"a\rb\r"});
    CHECK(texts("", piece).empty());
  }
}

TEST_CASE("NUL and other bytes are part of a line") {
  using namespace std::string_literals;
  CHECK(texts("a\0b\n\xff\x80\n\0\n"s, 1) == Texts{"a\0b"s, "\xff\x80", "\0"s});
}

TEST_CASE("a line of the greatest length is kept, a longer one is reported cut, and only once") {
  const std::string most(LineReader::max_line, 'x');
  for (size_t piece : {size_t{1000}, LineReader::max_line, size_t{1} << 20}) {
    for (std::string_view end : {"\n", "\r\n", ""}) {
      LineReader kept;
      auto lines = read_all("a\n" + most + std::string(end), piece, kept);
      REQUIRE(lines.size() == 2);
      CHECK_FALSE(lines[1].too_long);
      CHECK(lines[1].text == most);

      LineReader cut;
      lines = read_all("a\n" + most + "y" + std::string(end), piece, cut);
      REQUIRE(lines.size() == 2);
      CHECK(lines[1].too_long);
      CHECK(lines[1].text == most);
    }
  }
}

TEST_CASE("a line of 10 MB costs one report; the lines after it keep their numbers") {
  const std::string bytes = "a\n" + std::string(10'000'000, 'x') + "\nb\n\nc";
  LineReader reader;
  const auto lines = read_all(bytes, 100'000, reader);
  REQUIRE(lines.size() == 5);
  CHECK(lines[1].too_long);
  CHECK(lines[1].number == 2);
  CHECK(lines[1].text == std::string(LineReader::max_line, 'x'));
  CHECK(lines[2].text == "b");
  CHECK(lines[2].number == 3);
  CHECK(lines[4].text == "c");
  CHECK(lines[4].number == 5);
  CHECK(reader.bytes_consumed() == bytes.size());
}

TEST_CASE("a too long line at the end of the stream leaves nothing behind") {
  LineReader reader;
  const auto lines = read_all(std::string(3'000'000, 'x'), 4096, reader);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].too_long);
}

TEST_CASE("a full buffer of unread lines has no free space; reading makes room") {
  LineReader reader;
  size_t lines = 0;
  for (MutableBytes space; !(space = reader.free_space()).empty();) {
    std::memset(space.data(), 'x', space.size());
    for (size_t i = 9; i < space.size(); i += 10) space[i] = '\n';
    reader.commit(space.size());
  }
  while (reader.next()) ++lines;
  CHECK(lines == 4 * LineReader::max_line / 10);
  CHECK_FALSE(reader.free_space().empty());
}

TEST_CASE("a line's text stays until free_space() is called") {
  LineReader reader;
  std::memcpy(reader.free_space().data(), "first\nsecond\nthi", 16);
  reader.commit(16);
  const auto first = reader.next(), second = reader.next();
  CHECK_FALSE(reader.next());
  REQUIRE((first && second));
  CHECK(first->text == "first");
  CHECK(second->text == "second");
  CHECK(reader.bytes_consumed() == 13);
  CHECK_FALSE(reader.finished());
}

TEST_CASE("a stream that breaks off leaves its whole lines, and no part of one") {
  for (bool taken : {false, true}) {
    LineReader reader;
    std::memcpy(reader.free_space().data(), "first\nsecond\nthi", 16);
    reader.commit(16);
    if (taken) {
      for (int line = 0; line < 2; ++line) CHECK(reader.next());
      CHECK_FALSE(reader.next());
    }
    reader.break_off();
    for (int line = taken ? 2 : 0; line < 2; ++line) CHECK(reader.next());
    CHECK_FALSE(reader.next());
    CHECK(reader.exhausted());
  }
}

TEST_CASE("split() separates the first word from the rest") {
  CHECK(split("").first.empty());
  CHECK(split(" \t ").first.empty());
  CHECK(split(" \t ").rest.empty());
  CHECK(split("name").first == "name");
  CHECK(split("name").rest.empty());
  CHECK(split("  name\t ").first == "name");
  CHECK(split("  name\t ").rest.empty());
  CHECK(split("MX \t example.com. 192.0.2.1").first == "MX");
  CHECK(split("MX \t example.com. 192.0.2.1").rest == "example.com. 192.0.2.1");
}

TEST_CASE("each line tells how many octets came before it") {
  LineReader reader;
  const std::string bytes = "a\r\n\n" + std::string(LineReader::max_line + 9, 'x') + "\nb\nc";
  std::memcpy(reader.free_space().data(), bytes.data(), bytes.size());
  reader.commit(bytes.size());
  reader.finish();
  std::vector<uint64_t> offsets;
  while (auto line = reader.next()) offsets.push_back(line->offset);
  CHECK(offsets == std::vector<uint64_t>{0, 3, 4, bytes.size() - 3, bytes.size() - 1});
}

TEST_CASE("of a stream broken off, what has no newline is no line") {
  for (std::string_view bytes : {"a\nb\nhalf", "a\nb\n", "half"}) {
    for (bool looked : {false, true}) {
      LineReader reader;
      std::memcpy(reader.free_space().data(), bytes.data(), bytes.size());
      reader.commit(bytes.size());
      size_t lines = 0;
      while (looked && reader.next()) ++lines;
      reader.break_off();
      while (reader.next()) ++lines;
      CHECK(reader.exhausted());
      CHECK(lines == (bytes.starts_with('a') ? 2 : 0));
    }
  }
}

TEST_CASE("a comment is a word # and what follows; a # that nothing follows is a name") {
  for (std::string_view line : {"a.test", "a#b.test", "a.test #", "#", " # ", "MX #", "# #", "#x y",
                                "x# y", "a.test #tag", "#\t #\t", ""})
    CHECK(without_comment(line) == line);
  CHECK(without_comment("# TIMEOUT") == "");
  CHECK(without_comment("  # TIMEOUT") == "  ");
  CHECK(without_comment("a.test  # TIMEOUT after 3 tries") == "a.test  ");
  CHECK(without_comment("a.test\t#\tTIMEOUT") == "a.test\t");
  CHECK(without_comment("a.test # one # two") == "a.test ");
  CHECK(without_comment("MX #  # TIMEOUT") == "MX #  ");
  CHECK(without_comment("#  # TIMEOUT") == "#  ");
  CHECK(without_comment("a#b.test 192.0.2.1 # TIMEOUT") == "a#b.test 192.0.2.1 ");
}
