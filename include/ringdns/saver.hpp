// Level 5: when a checkpoint is made, and of what. It is put together at one moment and handed to
// `keep` when all output that belongs to it is written: so a file never knows of a line as finished
// whose output is lost.
#pragma once

#include <functional>

#include "ringdns/feed.hpp"
#include "ringdns/ledger.hpp"
#include "ringdns/sink.hpp"

namespace ringdns {

// What became of a checkpoint handed over.
struct Kept {
  int error = 0;    // errno, or 0
  Duration took{};  // while which the run stood still
};

class Saver {
 public:
  struct Parts {
    const Feed& feed;
    const Ledger& ledger;
    const Sink& output;
    const Sink* unresolved;  // null: none
    Checkpoint from;         // the one that the run began with
    Duration interval;
    std::function<Kept(Bytes)> keep;  // for good, in place of the one before
  };
  explicit Saver(Parts parts)
      : parts_(std::move(parts)), latest_(parts_.from), known_line_(parts_.feed.next_line()) {}

  // Once a turn, after the sinks. settled: the output of all lines finished was appended.
  // ending: no line will be taken, and none is in flight.
  void advance(Instant now, bool settled, bool ending);
  bool done() const { return ended_ && !waiting_; }  // the last one is made and kept
  int error() const { return error_; }
  Instant deadline() const;

 private:
  // A slow disk makes checkpoints rarer, and the run slower by no more than one part in so many.
  static constexpr int share_of_time = 20;

  bool changed() const;
  bool written() const;
  void take();

  Parts parts_;
  Checkpoint latest_;
  Buffer text_;
  uint64_t output_target_ = 0, unresolved_target_ = 0;
  uint64_t known_changes_ = 0;
  uint64_t known_line_;
  Instant due_{};
  bool settled_ = true;
  bool waiting_ = false;  // text_ is still to be kept
  bool ended_ = false;
  int error_ = 0;
};

}  // namespace ringdns
