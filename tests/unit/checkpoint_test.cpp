#include <doctest/doctest.h>

#include "ringdns/checkpoint.hpp"

using namespace ringdns;

namespace {

Checkpoint sample() {
  Checkpoint made;
  made.sequence = 17;
  made.run = "-t A,AAAA -o Snl";
  made.input = {123456, 65536, UINT64_MAX};
  made.base_line = 40;
  made.base_offset = UINT64_C(1) << 40;
  made.next = {1000, 1};
  made.unfinished = {{40, 0}, {40, 1}, {41, 1}, {999, 0}, {1000, 0}};
  made.output_size = 7;
  made.unresolved_size = UINT64_MAX;
  return made;
}

std::string text_of(const Checkpoint& checkpoint) {
  Buffer out;
  append_checkpoint(out, checkpoint);
  return std::string(out.view());
}

// With a sum that fits, whatever it says.
std::string summed(std::string text) {
  text.resize(text.rfind("sum "));
  return text + "sum " + std::to_string(hash_on(hash_of_nothing, text)) + "\n";
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  size_t at = text.find(what);
  REQUIRE(at != text.npos);
  return summed(text.replace(at, what.size(), by));
}

CheckpointError error_of(std::string_view text) {
  Checkpoint read;
  return parse_checkpoint(text, read);
}

}  // namespace

TEST_CASE("a checkpoint is read as it was written") {
  for (const Checkpoint& made : {sample(), Checkpoint{}}) {
    Checkpoint read;
    REQUIRE(parse_checkpoint(text_of(made), read) == CheckpointError::none);
    CHECK(read.sequence == made.sequence);
    CHECK(read.run == made.run);
    CHECK(read.input == made.input);
    CHECK(read.base_line == made.base_line);
    CHECK(read.base_offset == made.base_offset);
    CHECK(read.next == made.next);
    CHECK(read.unfinished == made.unfinished);
    CHECK(read.output_size == made.output_size);
    CHECK(read.unresolved_size == made.unresolved_size);
  }
}

TEST_CASE("a checkpoint cut short anywhere, longer, or changed anywhere is none") {
  const std::string whole = text_of(sample());
  for (size_t length = 0; length < whole.size(); ++length)
    CHECK(error_of(whole.substr(0, length)) == CheckpointError::damaged);
  CHECK(error_of(whole + "\n") == CheckpointError::damaged);
  CHECK(error_of(whole + whole) == CheckpointError::damaged);
  for (size_t at = 0; at < whole.size(); ++at)
    for (char change : {1, 2, 16, -128}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ change);
      CHECK(error_of(changed) != CheckpointError::none);
    }
}

TEST_CASE("what is no checkpoint, or another version's, is told apart") {
  CHECK(error_of("a.test\nb.test\n") == CheckpointError::foreign);
  CHECK(error_of(std::string(1000, '\0')) == CheckpointError::foreign);
  CHECK(error_of(replaced(text_of(sample()), "checkpoint 1", "checkpoint 2")) ==
        CheckpointError::version);
}

TEST_CASE("a sum that fits does not make sense of nonsense") {
  const std::string whole = text_of(sample());
  CHECK(error_of(summed(whole)) == CheckpointError::none);
  for (auto [what, by] : {std::pair("places 40", "places 0"),       // the first is line 0
                          std::pair("places 40", "places 39"),   // before the base
                          std::pair(" 0:1 ", " 0 "),             // twice the same
                          std::pair(" 958 ", " 18446744073709551610 "),
                          std::pair(" 958 ", " 99999999999999999999999 "),
                          std::pair(" 958 ", " -1 "),
                          std::pair(" 958 1", " 958 2"),         // behind `next`
                          std::pair("base 40", "base 0"),
                          std::pair("base 40", "base 2000"),
                          std::pair("output 7", "output"),
                          std::pair("output 7", "output 7 7"),
                          std::pair("output 7\n", ""),
                          std::pair("sequence 17", "sequence x")}) {
    CAPTURE(what);
    CAPTURE(by);
    CHECK(error_of(replaced(whole, what, by)) == CheckpointError::damaged);
  }
}
