#include <doctest/doctest.h>

#include "ringdns/tcp.hpp"

using namespace ringdns;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {
const Instant start{std::chrono::hours(1000)};

Address server(int number) {
  return *Address::parse("127.0." + std::to_string(number / 256) + "." +
                             std::to_string(number % 256), 53);
}
}  // namespace

TEST_CASE("REQ 15: refused cools at once, silence the second time; 2 s doubling to 300 s") {
  Rng rng({1});
  TcpServers servers(rng, 4);
  uint32_t index = servers.find_or_add(server(1));
  CHECK_FALSE(servers.cooling(index, start));
  servers.note_connect_failure(servers[index], false, start);
  CHECK_FALSE(servers.cooling(index, start));
  servers.note_connect_failure(servers[index], false, start);
  CHECK(servers.cooling(index, start + milliseconds(1499)));
  CHECK_FALSE(servers.cooling(index, start + milliseconds(2001)));

  Instant now = start;
  Duration before{};
  for (int failure = 0; failure < 12; ++failure) {
    servers.note_connect_failure(servers[index], true, now);
    Duration pause = servers[index].cooling_until - now;
    CHECK(pause >= std::min<Duration>(before, seconds(225)));
    CHECK(pause <= seconds(300));
    before = pause * 5 / 4;  // what doubles grows by more than jitter takes
    now = servers[index].cooling_until;
  }
  servers.note_answer(servers[index], milliseconds(1), now);
  servers.note_connect_failure(servers[index], true, now);
  CHECK(servers[index].cooling_until - now <= seconds(2));
}

TEST_CASE("REQ 22: two deaths at one count make a limit; it is forgotten after 300 s") {
  Rng rng({2});
  TcpServers servers(rng, 4);
  TcpServer& record = servers[servers.find_or_add(server(1))];
  servers.note_death(record, 8, start);
  CHECK(servers.answer_limit(record, start) == UINT32_MAX);
  CHECK(record.depth == 1);
  servers.note_death(record, 3, start);
  servers.note_death(record, 8, start);
  CHECK(servers.answer_limit(record, start) == UINT32_MAX);
  servers.note_death(record, 8, start);
  CHECK(servers.answer_limit(record, start) == 8);
  CHECK(servers.connections_allowed(record, 1, start) == 1);
  CHECK(servers.answer_limit(record, start + seconds(300)) == UINT32_MAX);
}

TEST_CASE("a one-shot server gets up to four connections") {
  Rng rng({3});
  TcpServers servers(rng, 4);
  TcpServer& record = servers[servers.find_or_add(server(1))];
  servers.note_death(record, 1, start);
  servers.note_death(record, 1, start);
  CHECK(servers.connections_allowed(record, 1, start) == 4);
  CHECK(servers.connections_allowed(record, 6, start) == 6);
}

TEST_CASE("a few poison queries cool no server, hanging up on everybody does") {
  Rng rng({4});
  TcpServers servers(rng, 4);
  uint32_t index = servers.find_or_add(server(1));
  for (int round = 0; round < 20; ++round) {
    for (int poison = 0; poison < 7; ++poison) servers.note_death(servers[index], 0, start);
    CHECK_FALSE(servers.cooling(index, start));
    servers.note_answer(servers[index], milliseconds(1), start);
  }
  for (int death = 0; death < 8; ++death) servers.note_death(servers[index], 0, start);
  CHECK(servers.cooling(index, start));
}

TEST_CASE("a crowd before a server that does not answer, or no longer, is warned of") {
  Rng rng({8});
  TcpServers servers(rng, 4);
  CHECK_FALSE(servers.crowded(no_slot, start));
  uint32_t index = servers.find_or_add(server(1));
  servers[index].waiting = 63;
  CHECK_FALSE(servers.crowded(index, start));
  servers[index].waiting = 64;
  CHECK(servers.crowded(index, start));
  servers.note_answer(servers[index], milliseconds(1), start);
  CHECK_FALSE(servers.crowded(index, start + milliseconds(500)));
  CHECK(servers.crowded(index, start + milliseconds(501)));
}

TEST_CASE("the records are bounded; those that somebody waits for are kept") {
  Rng rng({5});
  TcpServers servers(rng, 8);
  uint32_t busy = servers.find_or_add(server(1));
  servers[busy].waiting = 1;
  for (int number = 2; number < 1000; ++number) {
    uint32_t index = servers.find_or_add(server(number));
    CHECK(index < 8);
    CHECK(index != busy);
    CHECK(servers.find(server(number)) == index);
  }
  CHECK(servers.find(server(1)) == busy);
  int known = 0;
  for (int number = 1; number < 1000; ++number) known += servers.find(server(number)) != no_slot;
  CHECK(known == 8);
}

TEST_CASE("REQ 6: what is learned of a server's and type's truncation, and forgotten") {
  using Advice = TruncationMemory::Advice;
  TruncationMemory memory;
  Address at = server(1);
  for (int i = 0; i < 7; ++i) memory.sample(at, type::txt, true, start);
  CHECK(memory.advice(at, type::txt, start) == Advice::udp);  // too few samples
  memory.sample(at, type::txt, true, start);
  CHECK(memory.advice(at, type::txt, start) == Advice::tcp);
  CHECK(memory.advice(at, type::txt, start + seconds(599)) == Advice::tcp);
  CHECK(memory.advice(at, type::txt, start + seconds(600)) == Advice::udp);
  CHECK(memory.advice(at, type::a, start) == Advice::udp);
  CHECK(memory.advice(server(2), type::txt, start) == Advice::udp);

  // 0.6 and a quarter are the bounds: 7/8 to the power of 3, of 4, of 10 and of 11.
  auto whole = [&](int count) {
    for (int i = 0; i < count; ++i) memory.sample(at, type::txt, false, start);
    return memory.advice(at, type::txt, start);
  };
  CHECK(whole(3) == Advice::tcp);
  CHECK(whole(1) == Advice::tcp_when_open);
  CHECK(whole(6) == Advice::tcp_when_open);
  CHECK(whole(1) == Advice::udp);
}

TEST_CASE("a window: ids are never in flight twice; a buried one waits for its reply") {
  Rng rng({7});
  Window window;
  window.resize(4);
  std::vector<uint16_t> ids;
  for (uint32_t slot = 0; slot < 4; ++slot) ids.push_back(window.acquire(rng, slot));
  CHECK(window.full());
  for (uint32_t slot = 0; slot < 4; ++slot) CHECK(window.holder(ids[slot]) == slot);
  CHECK(window.holder(static_cast<uint16_t>(ids[0] ^ 0x8000)) == Window::vacant);

  window.bury(ids[2]);
  CHECK(window.full());
  CHECK(window.answerable() == 3);
  CHECK(window.holder(ids[2]) == Window::tombstone);
  std::vector<uint32_t> left;
  CHECK_FALSE(window.answered(ids[1]));
  window.release(ids[1]);
  CHECK(window.holder(ids[1]) == Window::vacant);
  CHECK(window.answered(ids[1]));
  uint16_t again = window.acquire(rng, 9);
  CHECK(again % 4 == ids[1] % 4);
  window.release(ids[2]);
  CHECK(window.tombstones() == 0);
  window.clear([&](uint32_t slot) { left.push_back(slot); });
  CHECK(left.size() == 3);
  CHECK(window.used() == 0);
}
