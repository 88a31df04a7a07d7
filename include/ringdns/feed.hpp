// Level 4: questions out of the input stream: reads ahead through the Io, takes lines apart, and
// reports the ones that cannot be asked.
#pragma once

#include <functional>
#include <vector>

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
  std::string_view text;  // the name as the line has it; valid likewise
  bool last = false;      // of its line
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
  uint64_t next_line() const;
  uint64_t bytes_consumed() const { return reader_.bytes_consumed(); }

 private:
  bool take_line(const LineReader::Line& line);
  void reject(std::string_view what, std::string_view text);

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
  bool reading_ = false;
  bool stopped_ = false;
  int error_ = 0;
};

}  // namespace ringdns
