#include "ringdns/transfer.hpp"

namespace ringdns {

namespace {
// The serial stands before the last four of an SOA's five 32-bit fields.
std::optional<uint32_t> serial_of(const Message& message, const Record& record) {
  constexpr size_t fields = 20, shortest = 2 + fields;
  if (record.rdata_length < shortest) return std::nullopt;
  return load_u32(message.packet().data() + record.rdata + record.rdata_length - fields);
}
}  // namespace

TransferProgress::State TransferProgress::take(const Message& message) {
  if (message.malformed()) return State::broken;
  State state = records_ == 0 ? State::broken : State::more;  // an answer begins with a record
  for (const Record& record : message.records()) {
    if (record.section != Section::answer) continue;
    if (state == State::done) return State::broken;  // something behind the end
    state = take_record(message, record);
    if (state == State::broken) return state;
  }
  // RFC 1995 2 and 4: a lone SOA says that there is nothing newer; over TCP it comes alone in
  // its message and nothing follows.
  bool lone = records_ == 1 && known_ && static_cast<int32_t>(serial_ - *known_) <= 0;
  return lone ? State::done : state;
}

TransferProgress::State TransferProgress::take_record(const Message& message,
                                                      const Record& record) {
  ++records_;
  std::optional<uint32_t> serial;
  if (record.type == type::soa) {
    serial = serial_of(message, record);
    if (!serial) return State::broken;
  }
  if (records_ == 1) {
    if (!serial) return State::broken;
    serial_ = *serial;
    return State::more;
  }
  // RFC 1995 4: differences are sequences of old SOA, deletions, new SOA, additions; the last
  // new SOA has the zone's serial, and so has the one that ends it all.
  if (records_ == 2) incremental_ = known_ && serial && *serial != serial_;
  if (!serial || *serial != serial_) return State::more;
  ++closing_soas_;
  return closing_soas_ == (incremental_ ? 2u : 1u) ? State::done : State::more;
}

}  // namespace ringdns
