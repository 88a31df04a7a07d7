// Zone transfers and the options of OPT records. Input: whether a serial is known, and which;
// messages, each with its length before it.
#include "ringdns/transfer.hpp"

#include <vector>

#include "fuzz.hpp"
#include "ringdns/edns.hpp"

using namespace ringdns;
using fuzz::require;
using State = TransferProgress::State;

namespace {

// By looking through all options from the front, and at nothing behind a broken one.
struct Listed {
  std::optional<uint16_t> keepalive;
  bool broken = false;
};
Listed list_options(Bytes options) {
  Listed out;
  size_t at = 0;
  while (at + 4 <= options.size()) {
    const size_t length = load_u16(&options[at + 2]);
    if (at + 4 + length > options.size()) break;
    if (load_u16(&options[at]) == 11 && length == 2 && !out.keepalive)
      out.keepalive = load_u16(&options[at + 4]);
    at += 4 + length;
  }
  out.broken = at != options.size();
  return out;
}

void check_options(Bytes options) {
  const auto keepalive = find_keepalive(options);
  const Listed listed = list_options(options);
  require(keepalive == listed.keepalive, "the keepalive of the reference");
  if (listed.broken) return;  // as ours never are
  const std::vector<uint8_t> asked = with_keepalive(options);
  require(asked.size() == options.size() + 4, "an option more");
  require(find_keepalive(asked) == keepalive, "an empty keepalive asks and tells nothing");
}

// The answer records of all messages so far, as one list.
struct Answer {
  bool soa;
  std::optional<uint32_t> serial;
};

void add_answers(const Message& message, std::vector<Answer>& out) {
  for (const Record& record : message.records()) {
    if (record.section != Section::answer) continue;
    Answer answer{record.type == type::soa, {}};
    const Bytes rdata = message.packet().subspan(record.rdata, record.rdata_length);
    if (answer.soa && rdata.size() >= 22) answer.serial = load_u32(&rdata[rdata.size() - 20]);
    out.push_back(answer);
  }
}

// RFC 5936 2.2: everything between two SOAs of one serial. RFC 1995 4: where the second record is
// an SOA of an older one, the closing SOA is the second of the serial behind the first record.
State expected(const std::vector<Answer>& answers, std::optional<uint32_t> known) {
  if (answers.empty() || !answers[0].serial) return State::broken;
  const uint32_t serial = *answers[0].serial;
  size_t still = 1;
  if (known && answers.size() > 1 && answers[1].serial && *answers[1].serial != serial) still = 2;
  for (size_t i = 1; i < answers.size(); ++i) {
    if (answers[i].soa && !answers[i].serial) return State::broken;
    if (answers[i].serial == serial && --still == 0)
      return i + 1 == answers.size() ? State::done : State::broken;
  }
  const bool newer = known && static_cast<int32_t>(serial - *known) > 0;
  return answers.size() == 1 && known && !newer ? State::done : State::more;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Message message;
  fuzz::Input input(data, size);
  std::optional<uint32_t> known;
  if (input.u8() & 1) known = uint32_t{input.u16()} << 16 | input.u16();
  TransferProgress progress(known);
  std::vector<Answer> answers;
  State state = State::more;
  while (!input.empty() && state == State::more) {
    const bool sound = message.index(input.take(input.u16()));
    check_options(message.opt_rdata());
    state = progress.take(message);
    add_answers(message, answers);
    require(state == (sound ? expected(answers, known) : State::broken), "the reference's state");
  }
  check_options(input.rest());
  return 0;
}
