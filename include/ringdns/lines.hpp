// Level 5: -o Z: input lines become objects. A line is kept from when it is read until each of its
// questions has its result, and a result until all lines that it is for have it. The input waits
// while much is kept.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "ringdns/base.hpp"
#include "ringdns/buffer.hpp"
#include "ringdns/sink.hpp"

namespace ringdns {

class Lines {
 public:
  static constexpr uint32_t none = UINT32_MAX;

  Lines(Sink& output, uint32_t slots) : output_(output), lookups_(slots) {}

  // The line being read. A question of it is a lookup that it waits for, or rejected.
  bool reading() const { return reading_ != none; }
  void begin(std::string_view name);  // as it stands on the line: any octets
  void wait_for(uint32_t slot, Instant now);
  void end();  // it has no more questions; nothing when no line is being read

  // Since the first line came to wait for the lookup.
  Duration waited(uint32_t slot, Instant now) const { return now - lookups_[slot].began; }

  // Where the next result is to be appended: a member of the object `results`. Then one of these
  // says for whom it is.
  Buffer& result() { return result_.clear(), result_; }
  void give(uint32_t slot);       // the lookup is done: for all lines that wait for it
  void give_part(uint32_t slot);  // more of it follows: an object of its own, as of a zone
  void reject();                  // for the line being read
  // The lookup is done, and has no result that is to be written.
  void give_nothing(uint32_t slot);

  // What a slow reader had held up.
  void write();

  bool held_up() const { return !gifts_.empty(); }
  bool roomy() const { return kept_ < most_kept || reading(); }
  bool empty() const { return lines_.used() == 0; }

 private:
  static constexpr size_t most_kept = 64 * 1024 * 1024;  // octets
  static constexpr size_t usual = 4096;  // octets of text whose storage is kept for another
  static constexpr size_t at_once = 1024 * 1024;  // octets that a turn hands over, or little more

  // Things that are used again, by number; their storage stays theirs.
  template <class Thing>
  class Pool {
   public:
    uint32_t take() {
      if (free_.empty()) {
        things_.emplace_back();
        return static_cast<uint32_t>(things_.size() - 1);
      }
      const uint32_t number = free_.back();
      free_.pop_back();
      return number;
    }
    void put_back(uint32_t number) { free_.push_back(number); }
    Thing& operator[](uint32_t number) { return things_[number]; }
    size_t used() const { return things_.size() - free_.size(); }

   private:
    std::vector<Thing> things_;
    std::vector<uint32_t> free_;
  };

  struct Awaited {
    uint32_t waits = none;  // of the lines that wait for the lookup
    Instant began{};
  };
  struct Line {
    std::string name;
    uint32_t open = 0;        // questions without a result
    uint32_t results = none;  // waits that have theirs
  };
  struct Wait {
    uint32_t line;
    uint32_t next;    // in the lookup's list, the gift's or the line's
    uint32_t result;  // in the line's list
  };
  struct Result {
    std::string text;  // as long as it is; a Buffer begins with 4 KiB
    uint32_t uses = 0;  // the gift and waits that have it
  };
  struct Gift {
    uint32_t waits;
    uint32_t result;  // none: nothing to write
  };

  uint32_t add_wait();
  uint32_t keep_result();
  void hand_out(Gift gift);
  bool try_to_hand_out(Gift& gift);
  void take(uint32_t wait, uint32_t result);
  void drop(uint32_t number);
  void write_line(uint32_t number);
  void append_head(std::string_view name);
  void append_tail();

  Sink& output_;
  std::vector<Awaited> lookups_;  // by slot
  Pool<Line> lines_;
  Pool<Wait> waits_;
  Pool<Result> results_;
  std::deque<Gift> gifts_;
  std::vector<uint32_t> sorted_;  // results of the line being written
  uint32_t reading_ = none;
  Buffer result_;    // the one being appended
  size_t kept_ = 0;  // octets of results
};

}  // namespace ringdns
