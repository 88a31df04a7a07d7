// Level 4: how far a zone transfer has come (RFC 5936 AXFR, RFC 1995 IXFR): an answer of many
// messages, between two SOA records of one serial.
#pragma once

#include <optional>

#include "ringdns/wire.hpp"

namespace ringdns {

class TransferProgress {
 public:
  explicit TransferProgress(std::optional<uint32_t> known_serial = {}) : known_(known_serial) {}

  enum class State : uint8_t {
    more,    // messages are still to come
    done,
    broken,  // not the transfer that was asked for
  };
  State take(const Message& message);

 private:
  State take_record(const Message& message, const Record& record);

  std::optional<uint32_t> known_;  // IXFR: the serial that we have
  uint32_t serial_ = 0;            // of the zone as it is now
  uint64_t records_ = 0;
  uint32_t closing_soas_ = 0;      // SOAs of that serial after the first record
  bool incremental_ = false;       // the second record is an SOA: differences follow
};

}  // namespace ringdns
