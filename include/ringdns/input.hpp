// Level 1: lines out of a stream of bytes: bounded, whatever the bytes are.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "ringdns/base.hpp"

namespace ringdns {

// Fed by reads into free_space(), emptied by next(). Holds one buffer, allocated once.
class LineReader {
 public:
  // A line longer than this is not kept: next() reports it as too_long with its first octets.
  static constexpr size_t max_line = 64 * 1024;

  explicit LineReader(size_t capacity = 4 * max_line);

  struct Line {
    std::string_view text;  // without its end (LF or CRLF); valid until free_space() is called
    uint64_t number;        // 1 for the first
    uint64_t offset;        // octets of the stream before it
    bool too_long;
  };

  // The next line that is complete, or nothing until more is read. After finish(), what is left
  // without a newline is the last line.
  std::optional<Line> next();

  // Where the next read may write; empty while a whole buffer of lines is still unread.
  MutableBytes free_space();
  void commit(size_t read);
  void finish() { finished_ = true; }  // the stream has ended
  // Reading it failed: a line without its end may be any part of one, and is none.
  void break_off();

  bool exhausted() const { return finished_ && begin_ == end_; }  // no line will come any more
  bool finished() const { return finished_; }
  uint64_t bytes_consumed() const { return consumed_; }  // for progress: octets of lines handed out

 private:
  std::unique_ptr<uint8_t[]> data_;
  size_t capacity_;
  size_t begin_ = 0;  // data_[begin_, end_) is unread
  size_t end_ = 0;
  size_t scanned_ = 0;  // data_[begin_, scanned_) has no newline
  uint64_t lines_ = 0;
  uint64_t consumed_ = 0;
  bool skipping_ = false;  // inside a line already reported as too long
  bool finished_ = false;
};

// The words of an input line, separated by blanks and tabs.
struct Fields {
  std::string_view first;  // empty: a blank line
  std::string_view rest;   // begins with the second word
};
Fields split(std::string_view line);

// The line without its comment: a word "#" and all that follows it. A "#" that nothing, or only
// another "#" follows is a name, as in "MX #".
std::string_view without_comment(std::string_view line);

}  // namespace ringdns
