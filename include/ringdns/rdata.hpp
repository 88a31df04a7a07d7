// Level 4: the fields that rdata is made of, and which type has which. A type's presentation form
// is its row in the table of layouts: its fields, in order, with a space between.
#pragma once

#include "ringdns/buffer.hpp"
#include "ringdns/wire.hpp"

namespace ringdns {

// rdata of one record in presentation form (RFC 1035 5.1), from the table of field layouts;
// RFC 3597 `\# len hex` for types without a layout and for rdata that does not fit its layout,
// which is then noted as malformed. False when that is because of a malformed name: read no
// further in the message.
bool append_rdata(Buffer& out, const Message& message, const Record& record);

// A cursor over one record's rdata. What is taken is there; what is not there is not taken.
class Rdata {
 public:
  Rdata(const Message& message, const Record& record)
      : message_(message), at_(record.rdata), end_(at_ + record.rdata_length) {}

  size_t left() const { return end_ - at_; }
  bool bad_name() const { return bad_name_; }

  bool take_u8(uint8_t& value) {
    if (left() < 1) return false;
    value = message_.packet()[at_++];
    return true;
  }
  bool take_u16(uint16_t& value) {
    if (left() < 2) return false;
    value = load_u16(&message_.packet()[at_]);
    at_ += 2;
    return true;
  }
  bool take_u32(uint32_t& value) {
    if (left() < 4) return false;
    value = load_u32(&message_.packet()[at_]);
    at_ += 4;
    return true;
  }
  bool take(size_t length, Bytes& bytes) {
    if (left() < length) return false;
    bytes = message_.packet().subspan(at_, length);
    at_ += length;
    return true;
  }
  Bytes take_rest() {
    Bytes bytes = message_.packet().subspan(at_, left());
    at_ = end_;
    return bytes;
  }
  // A length octet and as many octets: a character-string, a salt, a hash.
  bool take_counted(Bytes& bytes) {
    uint8_t length;
    return take_u8(length) && take(length, bytes);
  }
  bool append_name(Buffer& out) {
    const size_t taken = append_packet_name(out, message_, at_);
    bad_name_ = taken == 0;
    if (bad_name_ || taken > left()) return false;
    at_ += taken;
    return true;
  }

 private:
  const Message& message_;
  size_t at_, end_;
  bool bad_name_ = false;
};

// An item of APL (RFC 3123 4).
struct AddressPrefix {
  uint16_t family;  // 1: IPv4, 2: IPv6
  uint8_t prefix;   // bits
  bool negated;
  std::array<uint8_t, 16> address;
};
bool take_address_prefix(Rdata& rdata, AddressPrefix& item);

// Appends one field, which may be nothing. false: this is not what stands there; what was
// appended then is to be taken back.
using Field = bool (*)(Buffer& out, Rdata& rdata);

struct Layout {
  uint16_t type;
  bool internet_only;  // in other classes the type is something else, or nothing
  std::array<Field, 9> fields;  // null: no more
};

const Layout* find_layout(uint16_t type, uint16_t rr_class);  // null: RFC 3597
// Is it character-strings and nothing else: TXT and its like?
bool is_strings(const Layout& layout);

// Fields of many types (rdata_fields.cpp) ...
namespace field {
bool u8(Buffer&, Rdata&);
bool u16(Buffer&, Rdata&);
bool u32(Buffer&, Rdata&);
bool u48(Buffer&, Rdata&);
bool u64(Buffer&, Rdata&);
bool name(Buffer&, Rdata&);
bool string(Buffer&, Rdata&);           // a character-string
bool optional_string(Buffer&, Rdata&);  // or nothing
bool strings(Buffer&, Rdata&);          // one or more
bool rest_quoted(Buffer&, Rdata&);      // a string as long as the rdata
bool hex(Buffer&, Rdata&);              // all the rest, at least one octet
bool hex_lower(Buffer&, Rdata&);        // the same
bool base64(Buffer&, Rdata&);           // the same
bool optional_base64(Buffer&, Rdata&);  // or nothing
bool base64_or_dash(Buffer&, Rdata&);
bool counted_hex_or_dash(Buffer&, Rdata&);
bool counted_base32hex(Buffer&, Rdata&);
bool counted_base64(Buffer&, Rdata&);   // u16 length, told too
bool ipv4(Buffer&, Rdata&);
bool ipv6(Buffer&, Rdata&);
bool rr_type(Buffer&, Rdata&);
bool rr_types(Buffer&, Rdata&);         // RFC 4034 4.1.2
bool error(Buffer&, Rdata&);
bool time(Buffer&, Rdata&);             // RFC 4034 3.2

// ... and of one (rdata_special.cpp)
bool a6(Buffer&, Rdata&);
bool address_prefixes(Buffer&, Rdata&);
bool amt_relay(Buffer&, Rdata&);
bool atm_address(Buffer&, Rdata&);
bool caa_tag(Buffer&, Rdata&);
bool certificate_algorithm(Buffer&, Rdata&);
bool certificate_type(Buffer&, Rdata&);
bool dsync_scheme(Buffer&, Rdata&);
bool eui48(Buffer&, Rdata&);
bool eui64(Buffer&, Rdata&);
bool hip(Buffer&, Rdata&);
bool ipsec_gateway(Buffer&, Rdata&);
bool key_parameters(Buffer&, Rdata&);
bool location(Buffer&, Rdata&);
bool locator64(Buffer&, Rdata&);
bool nsap(Buffer&, Rdata&);
bool nxt_types(Buffer&, Rdata&);
bool service_parameters(Buffer&, Rdata&);
bool well_known_services(Buffer&, Rdata&);
}  // namespace field

}  // namespace ringdns
