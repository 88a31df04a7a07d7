// Level 4: questions out of the input stream: reads ahead through the Io, takes lines apart, and
// reports the ones that cannot be asked.
#pragma once

#include <functional>
#include <vector>

#include "ringdns/checkpoint.hpp"
#include "ringdns/input.hpp"
#include "ringdns/io.hpp"
#include "ringdns/options.hpp"
#include "ringdns/stats.hpp"
#include "ringdns/wire.hpp"

namespace ringdns {

struct Question {
  WireName name;
  uint16_t type = 0;
  std::string_view resolvers;  // --extended-input: words of the line; valid until the next next()
  Place place;
  uint64_t offset = 0;    // octets of the input before its line
  std::string_view text;  // the line as given, without its comment; valid likewise
  bool several = false;   // the line asks for other types as well
  bool last = false;      // the line asks for no more
  std::string_view spelling;  // the name as the line has it; valid likewise
  // -o Z: why this cannot be asked; in other formats such lines are no questions.
  std::string_view problem;
};

// Which of the whole input's lines this process sees: first, first + stride, ... (--processes)
struct LineShare {
  uint64_t first = 1;
  uint64_t stride = 1;
};

class Feed {
 public:
  // complain(line number, what): an input line, or one of its names, that cannot be asked.
  using Complain = std::function<void(uint64_t, std::string_view)>;

  struct Setup {
    Token token;  // marks this feed's completions
    LineShare share;
    Complain complain;
    // Where to go on (--resume): what is finished is passed over. The stream begins at its base,
    // or, where that is no file of its own, at line 1.
    Checkpoint from{};
    bool dealt = false;  // by another process, which ends each line: one cut short is not whole
  };
  Feed(const Options& options, Io& io, StreamId stream, Stats& stats, Setup setup);

  // The next question, or null until more was read (or for good: exhausted()). Valid until the
  // next call.
  const Question* next();

  // Keeps a read under way while there is room. Called once a turn.
  void pump();
  void on_read(int32_t result);  // a completion with this feed's token

  bool exhausted() const { return stopped_ || (reader_.exhausted() && type_ == types_.size()); }
  void stop() { stopped_ = true; }  // ask nothing more
  int error() const { return error_; }  // errno of a read that failed; the input ended there
  // The number, in the whole input, of the first line of this share not yet asked about in full.
  uint64_t next_line() const { return next_place().line; }
  uint64_t bytes_consumed() const { return setup_.from.base_offset + reader_.bytes_consumed(); }
  // Why the input cannot be the one that a checkpoint was made of; empty if it can.
  std::string_view foreign() const;
  // Of lines taken: questions that were never handed out.
  uint64_t unasked() const { return question_.problem.empty() ? left_from(type_) : 0; }
  // All but the run's name, sequence, sizes and what was handed out.
  void describe(Checkpoint& out) const;

 private:
  static constexpr uint64_t head_lines = 64;  // identify a stream

  bool take_line(const LineReader::Line& line);
  void reject(std::string_view what, std::string_view text);
  Place next_place() const;
  bool finished_before(Place place) const;
  bool line_finished_before() const;
  uint64_t left_from(size_t type) const;
  void compare_head(std::string_view line);
  const Question* encoded();

  const Options& options_;
  Io& io_;
  StreamId stream_;
  Stats& stats_;
  Setup setup_;
  LineReader reader_;
  Question question_;
  // The line being asked about: its name, and the types that are still to be asked.
  std::string_view name_;
  std::vector<uint16_t> line_type_;          // the one that the line itself names
  std::span<const uint16_t> types_;
  size_t type_ = 0;                          // next of types_
  uint64_t line_number_ = 0;
  uint64_t line_offset_ = 0;
  Buffer spelled_;                           // its text, where that is not as it was given
  InputMark head_;                           // of a stream
  std::string_view foreign_;
  bool reading_ = false;
  bool stopped_ = false;
  int error_ = 0;
};

}  // namespace ringdns
