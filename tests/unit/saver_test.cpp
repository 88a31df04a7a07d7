#include <doctest/doctest.h>

#include <string>

#include "ringdns/saver.hpp"

using namespace ringdns;

namespace {

// Streams whose operations complete when the test says so.
struct HeldIo final : Io {
  MutableBytes space;
  size_t writing = 0;
  const char* name() const override { return "held"; }
  OpenedSocket open_datagram_socket(const SocketOptions&, Token) override { return {}; }
  void send_datagrams(std::span<const Datagram>) override {}
  StreamId open_stream(Fd) override { return {0}; }
  void read(StreamId, MutableBytes into, Token) override { space = into; }
  void write(StreamId, Bytes bytes, Token) override { writing = bytes.size(); }
  void close_stream(StreamId) override {}
  OpenedConnection connect(const ConnectOptions&, Token) override { return {}; }
  void set_receiving(StreamId, bool) override {}
  void close_connection(StreamId, CloseKind) override {}
  Turn wait(Instant, uint32_t) override { return {}; }
};

constexpr Duration interval = std::chrono::milliseconds(100);

// A run without its engine: lines are taken, finished and written by the test.
struct Run {
  HeldIo io;
  Options options;
  Stats stats;
  Feed feed;
  Ledger ledger{8, 32, 100, false};
  Sink output{io, {0}, {}, true};
  std::vector<Checkpoint> kept;
  Kept answer;
  Saver saver;
  Instant now{std::chrono::seconds(1)};

  explicit Run(Checkpoint from = {})
      : feed(options, io, {0}, stats, {{}, {}, {}, from, false}),
        saver({feed, ledger, output, nullptr, from, interval, [this](Bytes text) {
                 Checkpoint read;
                 CHECK(parse_checkpoint({reinterpret_cast<const char*>(text.data()), text.size()},
                                        read) == CheckpointError::none);
                 kept.push_back(read);
                 return answer;
               }}) {}

  void give(std::string_view lines) {
    feed.pump();
    std::copy(lines.begin(), lines.end(), io.space.begin());
    feed.on_read(static_cast<int32_t>(lines.size()));
  }
  void take(uint32_t slot) {
    const Question* question = feed.next();
    REQUIRE(question);
    ledger.open(slot, question->place, question->offset, question->text, question->several);
  }
  void finish(uint32_t slot, std::string_view text) {
    ledger.close(slot, [](const Ledger::Entry&) {});
    output.buffer().append(text);
  }
  void write(int32_t result = 0) {
    output.pump(now, true);
    output.on_written(result < 0 ? result : static_cast<int32_t>(io.writing));
  }
  void turn(Duration later, bool settled = true, bool ending = false) {
    now += later;
    saver.advance(now, settled, ending);
  }
};

}  // namespace

TEST_CASE("a checkpoint is kept when what belongs to it is written, and not before") {
  Run run;
  run.turn({});
  run.give("a\nbb\nccc\nd\n");
  for (uint32_t slot : {0, 1, 2}) run.take(slot);
  run.finish(1, "of bb\n");
  run.turn(interval);
  CHECK(run.kept.empty());
  run.finish(0, "of a\n");  // later than the checkpoint, which has it as unfinished
  run.turn(interval);
  CHECK(run.kept.empty());
  run.write();
  run.turn({});
  REQUIRE(run.kept.size() == 1);
  const Checkpoint& first = run.kept.back();
  CHECK(first.output_size == 6);
  CHECK(first.next == Place{4, 0});
  CHECK(first.unfinished == std::vector<Place>{{1, 0}, {3, 0}});
  CHECK((first.base_line == 1 && first.base_offset == 0));
  run.turn(interval);
  REQUIRE(run.kept.size() == 2);
  CHECK(run.kept.back().output_size == 11);
  CHECK(run.kept.back().unfinished == std::vector<Place>{{3, 0}});
  CHECK((run.kept.back().base_line == 3 && run.kept.back().base_offset == 5));
  CHECK(run.kept.back().sequence == run.kept.front().sequence + 1);
}

TEST_CASE("none is made while nothing changes, or while finished lines have yet to be appended") {
  Run run;
  run.turn({});
  run.turn(10 * interval);
  CHECK(run.saver.deadline() == Instant::max());
  run.give("a\n");
  run.take(0);
  CHECK(run.saver.deadline() <= run.now);
  run.turn(interval, false);
  CHECK(run.kept.empty());
  CHECK(run.saver.deadline() == Instant::max());
  run.turn({});
  CHECK(run.kept.size() == 1);
  run.turn(10 * interval);
  CHECK(run.kept.size() == 1);
}

TEST_CASE("the last one holds the end, and is waited for") {
  Run run;
  run.turn({});
  run.give("a\nb\n");
  run.take(0);
  run.take(1);
  run.finish(0, "of a\n");
  run.ledger.leave(1);
  run.turn({}, false, true);
  CHECK_FALSE(run.saver.done());
  run.turn({}, true, true);
  CHECK_FALSE(run.saver.done());
  run.write();
  run.turn({}, true, true);
  CHECK(run.saver.done());
  REQUIRE(run.kept.size() == 1);
  CHECK(run.kept.back().unfinished == std::vector<Place>{{2, 0}});
}

TEST_CASE("of output that is lost no checkpoint tells") {
  Run run;
  run.turn({});
  run.give("a\n");
  run.take(0);
  run.finish(0, "of a\n");
  run.turn(interval);
  run.write(-ENOSPC);
  run.turn(interval);
  run.turn(interval, true, true);
  CHECK(run.kept.empty());
}

TEST_CASE("an error ends it; a slow disk makes it rarer") {
  Run run;
  run.turn({});
  run.give("a\nb\nc\n");
  run.take(0);
  run.answer.took = interval;
  run.turn(interval);
  CHECK(run.kept.size() == 1);
  run.take(1);
  run.turn(19 * interval);
  CHECK(run.kept.size() == 1);
  run.answer = {EIO, {}};
  run.turn(interval);
  CHECK(run.kept.size() == 2);
  CHECK(run.saver.error() == EIO);
  run.take(2);
  run.turn(interval, true, true);
  CHECK(run.kept.size() == 2);
}

TEST_CASE("a run that goes on passes over what is finished, and still tells of what it has not reached") {
  Checkpoint from;
  from.base_line = from.next.line = 1;
  from.next = {6, 0};
  from.unfinished = {{2, 0}, {5, 0}};
  from.output_size = 100;
  from.sequence = 7;
  Run run(from);
  run.turn({});
  run.give("a\nb\nc\nd\n");
  run.take(0);
  CHECK(run.feed.next() == nullptr);
  CHECK(run.stats.due == 1);
  run.turn(interval);
  REQUIRE(run.kept.size() == 1);
  CHECK(run.kept.back().next == from.next);
  CHECK(run.kept.back().unfinished == from.unfinished);
  CHECK(run.kept.back().sequence == 8);
  CHECK(run.kept.back().output_size == 100);
  run.finish(0, "of b\n");
  run.write();
  run.turn(interval);
  CHECK(run.kept.back().unfinished == std::vector<Place>{{5, 0}});
  CHECK(run.kept.back().base_line == 4);
  CHECK(run.kept.back().output_size == 105);
  run.give("e\nf\ng\n");
  for (uint64_t line : {5, 6, 7}) {
    const Question* question = run.feed.next();
    REQUIRE(question);
    CHECK(question->place == Place{line, 0});
  }
  CHECK(run.stats.lines == 4);
}
