// Level 3: DNS messages as bytes (RFC 1035 section 4): encode a question, view a header, index
// a message's records. Indexing uses bounded skips and follows no compression pointer; where a
// name's content is wanted, c-ares expands it.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "ringdns/base.hpp"
#include "ringdns/buffer.hpp"
#include "ringdns/codes.hpp"

namespace ringdns {

inline constexpr size_t header_size = 12;
inline constexpr size_t max_name = 255;       // wire octets, RFC 1035 2.3.4
inline constexpr size_t max_message = 65535;

enum class NameError : uint8_t {
  none, empty, empty_label, label_too_long, name_too_long, bad_escape
};
std::string_view describe(NameError error);  // "label longer than 63 octets"

// A name in uncompressed wire form.
struct WireName {
  uint8_t length = 0;
  std::array<uint8_t, max_name> octets;
  Bytes bytes() const { return {octets.data(), length}; }
};

// Presentation to wire. The trailing dot is optional; "." is the root; \DDD and \X escapes are
// understood; every other byte is taken as it is, case kept.
NameError encode_name(std::string_view text, WireName& out);

// The reverse-lookup name of an address in presentation form (RFC 1035 3.5, RFC 3596 2.5), or
// false when text is no address.
bool encode_reverse_name(std::string_view address, WireName& out);

// An uncompressed wire name as text with its trailing dot, escaped as RFC 1035 5.1 says.
void append_name(Buffer& out, Bytes wire_name);

// The header (RFC 1035 4.1.1) of a packet of at least header_size bytes.
class Header {
 public:
  explicit Header(Bytes packet) : p_(packet.data()) {}
  uint16_t id() const { return load_u16(p_); }
  bool qr() const { return p_[2] & 0x80; }
  uint8_t opcode() const { return p_[2] >> 3 & 0x0f; }
  bool aa() const { return p_[2] & 0x04; }
  bool tc() const { return p_[2] & 0x02; }
  bool rd() const { return p_[2] & 0x01; }
  bool ra() const { return p_[3] & 0x80; }
  bool ad() const { return p_[3] & 0x20; }
  bool cd() const { return p_[3] & 0x10; }
  uint8_t rcode() const { return p_[3] & 0x0f; }
  uint16_t qdcount() const { return load_u16(p_ + 4); }
  uint16_t ancount() const { return load_u16(p_ + 6); }
  uint16_t nscount() const { return load_u16(p_ + 8); }
  uint16_t arcount() const { return load_u16(p_ + 10); }

 private:
  const uint8_t* p_;
};

// EDNS in a query (RFC 6891). A plain query has no OPT record.
struct EdnsOptions {
  bool present = false;
  bool dnssec_ok = false;
  uint16_t udp_size = 1232;
  Bytes options;  // encoded option list: NSID, client subnet
};

struct Query {
  uint16_t id = 0;
  bool recursion_desired = true;
  Bytes name;  // wire form
  uint16_t type = 0;
  uint16_t rr_class = rr_class::internet;
  EdnsOptions edns;
  // IXFR: the serial that the asker has, in an SOA in the authority section (RFC 1995 3).
  std::optional<uint32_t> serial;
};

// header, name, type and class, SOA, OPT, our options (RFC 5001, 7828, 7871)
inline constexpr size_t max_edns_options = 64;
inline constexpr size_t max_query = header_size + max_name + 4 + 34 + 11 + max_edns_options;
// Writes the message; returns its length. out has at least max_query bytes.
size_t encode_query(const Query& query, MutableBytes out);

// Does the packet's question section hold exactly this question? Names compare with ASCII case
// folded (RFC 4343). False for anything cut, compressed or counted other than one.
bool question_matches(Bytes packet, Bytes name, uint16_t type, uint16_t rr_class);

enum class QuestionMatch : uint8_t {
  same,
  absent,  // an error reply of a bare header: fit for reporting the error, no more
  other,
};
inline QuestionMatch match_question(Bytes packet, Bytes name, uint16_t type) {
  Header header(packet);
  bool bare_error = header.qdcount() == 0 && header.rcode() != rcode::noerror &&
                    header.rcode() != rcode::nxdomain;
  if (bare_error) return QuestionMatch::absent;
  return question_matches(packet, name, type, rr_class::internet) ? QuestionMatch::same
                                                                  : QuestionMatch::other;
}

enum class Section : uint8_t { answer, authority, additional };

struct Record {
  uint16_t owner;         // offset of the owner name in the packet
  uint16_t type;
  uint16_t rr_class;
  uint16_t rdata;         // offset
  uint16_t rdata_length;
  Section section;
  uint32_t ttl;
};

// A packet's records. One Message is reused for all packets; it allocates only when made.
class Message {
 public:
  Message();

  // Returns false, with the records before it kept, when a record is malformed or cut.
  // The OPT record is taken out of the list (RFC 6891: it is protocol, not an answer).
  bool index(Bytes packet);

  Bytes packet() const { return packet_; }
  Header header() const { return Header(packet_); }
  // Extended where the packet has an OPT record (RFC 6891 6.1.3).
  uint16_t rcode() const { return rcode_; }
  bool has_opt() const { return has_opt_; }
  const Record& opt() const { return opt_; }  // with has_opt()
  Bytes opt_rdata() const { return packet_.subspan(opt_.rdata, opt_.rdata_length); }
  // Whether a record does not parse, as far as they have been read: names and rdata are when they
  // are wanted, and who then finds one malformed notes it.
  bool malformed() const { return malformed_; }
  void note_malformed() const { malformed_ = true; }

  // The question: its name in wire form as the packet spells it (empty when there is none).
  Bytes question_name() const { return question_name_; }
  uint16_t question_type() const { return question_type_; }
  uint16_t question_class() const { return question_class_; }

  std::span<const Record> records() const { return {records_.get(), count_}; }

 private:
  // Move `at` behind what they read; false when that is malformed or cut.
  bool index_questions(size_t& at);
  bool index_section(Section section, uint32_t count, size_t& at);
  bool take_opt(const Record& record);

  Bytes packet_;
  Bytes question_name_;
  Record opt_{};
  std::unique_ptr<Record[]> records_;  // room for the most that fit in 65535 octets
  uint32_t count_ = 0;
  uint16_t question_type_ = 0;
  uint16_t question_class_ = 0;
  uint16_t rcode_ = 0;
  bool has_opt_ = false;
  mutable bool malformed_ = false;
};

// The name at offset, compression undone: by c-ares, save that the question's own name (a pointer
// to offset 12) is at hand. Returns the wire octets it takes at offset, 0 when it is malformed.
// A malformed name can cost c-ares much time (1.18 follows 50 pointers through whole messages):
// stop reading a message after its first one.
size_t read_packet_name(const Message& message, size_t offset, WireName& out);

// The same as text with its trailing dot (RFC 1035 5.1 escapes). Malformed: nothing is appended.
size_t append_packet_name(Buffer& out, const Message& message, size_t offset);

// Is the name at offset nothing but a pointer to the question's?
bool points_to_question(const Message& message, size_t offset);

// Is the name at offset the question's name, case folded?
enum class OwnerMatch : uint8_t { question, other, malformed };
OwnerMatch match_owner(const Message& message, size_t offset);
inline bool owner_is_question(const Message& message, size_t offset) {
  return match_owner(message, offset) == OwnerMatch::question;
}

}  // namespace ringdns
