#include "ringdns/input.hpp"

#include <algorithm>
#include <cstring>

namespace ringdns {

LineReader::LineReader(size_t capacity)
    : data_(std::make_unique_for_overwrite<uint8_t[]>(capacity)), capacity_(capacity) {
  // Room for the longest line and its end, so that a full buffer always yields something.
  ensure(capacity >= max_line + 2, "LineReader: capacity below the longest line");
}

std::optional<LineReader::Line> LineReader::next() {
  for (;;) {
    const void* newline =
        scanned_ < end_ ? std::memchr(&data_[scanned_], '\n', end_ - scanned_) : nullptr;
    const bool complete = newline != nullptr;
    const size_t stop =
        complete ? static_cast<size_t>(static_cast<const uint8_t*>(newline) - data_.get()) : end_;
    const size_t after = complete ? stop + 1 : stop;

    if (skipping_) {
      consumed_ += after - begin_;
      begin_ = scanned_ = after;
      if (!complete) return std::nullopt;
      skipping_ = false;
      continue;
    }

    size_t length = stop - begin_;
    if (!complete) {
      scanned_ = end_;
      // One octet above the limit may still be the CR of a CRLF.
      const bool ends_here = finished_ && length > 0;
      if (!ends_here && length <= max_line + 1) return std::nullopt;
      skipping_ = !ends_here;
    }

    const char* text = reinterpret_cast<const char*>(&data_[begin_]);
    if (length > 0 && text[length - 1] == '\r' && !skipping_) --length;
    const bool too_long = length > max_line;
    const uint64_t offset = consumed_;
    consumed_ += after - begin_;
    begin_ = scanned_ = after;
    return Line{{text, too_long ? max_line : length}, ++lines_, offset, too_long};
  }
}

MutableBytes LineReader::free_space() {
  if (begin_ == end_) {
    begin_ = end_ = scanned_ = 0;
  } else if (begin_ > 0 && capacity_ - end_ < capacity_ / 2) {
    std::memmove(&data_[0], &data_[begin_], end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  return {data_.get() + end_, capacity_ - end_};
}

void LineReader::commit(size_t read) {
  ensure(read <= capacity_ - end_, "LineReader: more was read than there is room for");
  end_ += read;
}

void LineReader::break_off() {
  while (end_ > begin_ && data_[end_ - 1] != '\n') --end_;
  scanned_ = std::min(scanned_, end_);
  finished_ = true;
}

Fields split(std::string_view line) {
  constexpr std::string_view blanks = " \t";
  const size_t first = line.find_first_not_of(blanks);
  if (first == line.npos) return {};
  line.remove_prefix(first);
  const size_t end = line.find_first_of(blanks);
  if (end == line.npos) return {line, {}};
  const size_t second = line.find_first_not_of(blanks, end);
  return {line.substr(0, end), second == line.npos ? std::string_view() : line.substr(second)};
}

std::string_view without_comment(std::string_view line) {
  constexpr std::string_view blanks = " \t";
  for (size_t at = line.find('#'); at != line.npos; at = line.find('#', at + 1)) {
    if (at > 0 && blanks.find(line[at - 1]) == blanks.npos) continue;
    std::string_view after = line.substr(at + 1);
    if (after.empty() || blanks.find(after.front()) == blanks.npos) continue;
    std::string_view next = split(after).first;
    if (!next.empty() && next != "#") return line.substr(0, at);
  }
  return line;
}

}  // namespace ringdns
