#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "ringdns/transfer.hpp"

using namespace ringdns;
using State = TransferProgress::State;

namespace {

// "S7" is an SOA of serial 7, "a" an A record: a message with these answers.
class Reply {
 public:
  explicit Reply(const std::vector<std::string>& records) {
    packet_ = {0, 0, 0x84, 0, 0, 0, 0, static_cast<uint8_t>(records.size()), 0, 0, 0, 0};
    for (const std::string& record : records) {
      bool soa = record[0] == 'S';
      add({0, 0, static_cast<uint8_t>(soa ? type::soa : type::a), 0, 1, 0, 0, 0, 0, 0,
           static_cast<uint8_t>(soa ? 22 : 4)});
      if (soa) {
        add({0, 0, 0, 0, 0, static_cast<uint8_t>(std::stoi(record.substr(1)))});
        packet_.resize(packet_.size() + 16);
      } else {
        add({192, 0, 2, 1});
      }
    }
    REQUIRE(message_.index({packet_.data(), packet_.size()}));
  }
  operator const Message&() const { return message_; }

 private:
  void add(std::initializer_list<uint8_t> octets) {
    packet_.insert(packet_.end(), octets.begin(), octets.end());
  }
  std::vector<uint8_t> packet_;
  Message message_;
};

}  // namespace

TEST_CASE("AXFR: from one SOA to the second, over any messages") {
  TransferProgress one;
  CHECK(one.take(Reply({"S7", "a", "a", "S7"})) == State::done);
  TransferProgress many;
  CHECK(many.take(Reply({"S7"})) == State::more);
  CHECK(many.take(Reply({"a", "a"})) == State::more);
  CHECK(many.take(Reply({})) == State::more);
  CHECK(many.take(Reply({"a"})) == State::more);
  CHECK(many.take(Reply({"S7"})) == State::done);
}

TEST_CASE("AXFR: what does not begin with an SOA, or goes on behind its end, is none") {
  CHECK(TransferProgress().take(Reply({"a", "S7"})) == State::broken);
  CHECK(TransferProgress().take(Reply({})) == State::broken);
  CHECK(TransferProgress().take(Reply({"S7", "a", "S7", "a"})) == State::broken);
}

TEST_CASE("RFC 1995: nothing newer, a whole zone, or differences") {
  CHECK(TransferProgress(7).take(Reply({"S7"})) == State::done);
  CHECK(TransferProgress(9).take(Reply({"S7"})) == State::done);
  CHECK(TransferProgress(7).take(Reply({"S9", "a", "S9"})) == State::done);

  TransferProgress steps(7);
  CHECK(steps.take(Reply({"S9"})) == State::more);
  CHECK(steps.take(Reply({"S7", "a", "S8", "a"})) == State::more);
  CHECK(steps.take(Reply({"S8", "a", "S9", "a"})) == State::more);
  CHECK(steps.take(Reply({"S9"})) == State::done);
}
