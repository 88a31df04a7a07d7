#include "ringdns/wire.hpp"

#include <ares.h>
#include <arpa/inet.h>

#include <algorithm>

namespace ringdns {

namespace {

constexpr uint8_t pointer_bits = 0xc0;  // RFC 1035 4.1.4
constexpr size_t max_label = 63;
constexpr size_t record_header = 10;  // type, class, TTL, length of the rdata
constexpr size_t most_records = (max_message - header_size) / (1 + record_header);
constexpr size_t longest_name_text = 4 * max_name;  // every octet as \DDD
constexpr uint16_t question_pointer = pointer_bits << 8 | header_size;

constexpr uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Length octets are below 'A', so whole names fold like their labels.
bool same_folded(Bytes a, Bytes b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](uint8_t x, uint8_t y) { return lower(x) == lower(y); });
}

// What a name takes where it stands, without going to where it points.
struct Extent {
  size_t end = 0;  // offset behind it, 0 when it is malformed or cut
  bool compressed = false;
};

Extent extent_of(Bytes packet, size_t start) {
  for (size_t at = start; at < packet.size() && at - start < max_name;) {
    uint8_t length = packet[at];
    if (length == 0) return {at + 1, false};
    if (length >= pointer_bits) {
      if (at + 2 > packet.size()) return {};
      size_t target = load_u16(&packet[at]) & 0x3fff;
      // "A prior occurrence of the same name": forward is malformed, and c-ares 1.18 would go.
      return target < start ? Extent{at + 2, true} : Extent{};
    }
    if (length > max_label) return {};
    at += 1 + length;
  }
  return {};
}

// ---- Compressed names, through c-ares

struct AresString {
  char* text = nullptr;
  ~AresString() { ares_free_string(text); }
};

// c-ares 1.18 leaves a label that is one NUL octet as it is in its otherwise escaped text: a NUL
// ends the text only where no label starts. The first label is known not to be missing.
size_t text_length(const char* text) {
  size_t at = 0;
  for (bool starts = true; text[at] != '\0' || starts; ++at) {
    starts = text[at] == '.';
    if (text[at] == '\\') ++at;
  }
  return at;
}

// An empty text is the root, or a name that starts with such a NUL, when all there is of it is a
// pointer. Put another label before a copy of the pointer, and c-ares's text tells.
size_t read_bare_pointer(Bytes packet, size_t offset, WireName& out) {
  constexpr size_t reach = 0x4000 + max_name;  // of pointers, and of a name they lead to
  std::array<uint8_t, reach + 4> copy;
  const size_t kept = std::min(offset, reach);
  std::copy_n(packet.begin(), kept, copy.begin());
  const std::array<uint8_t, 4> name{1, 'x', packet[offset], packet[offset + 1]};
  std::copy(name.begin(), name.end(), copy.begin() + kept);

  AresString expanded;
  long taken = 0;
  if (ares_expand_name(&copy[kept], copy.data(), static_cast<int>(kept + name.size()),
                       &expanded.text, &taken) != ARES_SUCCESS)
    return 0;
  std::string_view text(expanded.text, text_length(expanded.text));
  text.remove_prefix(1);
  if (!text.empty()) text.remove_prefix(1);  // the dot
  return encode_name(text.empty() ? "." : text, out) == NameError::none ? 2 : 0;
}

size_t read_compressed(Bytes packet, size_t offset, size_t end, WireName& out) {
  AresString expanded;
  long taken = 0;
  // All that a name may point to is before it: c-ares is shown no more.
  if (ares_expand_name(&packet[offset], packet.data(), static_cast<int>(end), &expanded.text,
                       &taken) != ARES_SUCCESS)
    return 0;
  if (expanded.text[0] == '\0' && packet[offset] >= pointer_bits)
    return read_bare_pointer(packet, offset, out);
  const std::string_view text(expanded.text, text_length(expanded.text));
  return encode_name(text, out) == NameError::none ? end - offset : 0;
}

// ---- Presentation form of labels

enum class Escape : uint8_t { none, backslash, decimal };

// As dig escapes: RFC 1035 5.1, and what is special in a zone file.
constexpr auto escapes = [] {
  std::array<Escape, 256> table{};
  table.fill(Escape::decimal);
  for (int c = 0x21; c < 0x7f; ++c) table[c] = Escape::none;
  for (unsigned char c : {'"', '.', ';', '\\', '(', ')', '@', '$'}) table[c] = Escape::backslash;
  return table;
}();

char* write_escaped(char* at, uint8_t c) {
  *at++ = '\\';
  if (escapes[c] == Escape::backslash) {
    *at++ = static_cast<char>(c);
    return at;
  }
  *at++ = static_cast<char>('0' + c / 100);
  *at++ = static_cast<char>('0' + c / 10 % 10);
  *at++ = static_cast<char>('0' + c % 10);
  return at;
}

// The octet that stands for itself or is escaped at the start of text; what it takes is removed.
bool take_octet(std::string_view& text, uint8_t& octet) {
  if (text[0] != '\\') {
    octet = static_cast<uint8_t>(text[0]);
    text.remove_prefix(1);
    return true;
  }
  if (text.size() < 2) return false;
  if (!is_digit(text[1])) {
    octet = static_cast<uint8_t>(text[1]);
    text.remove_prefix(2);
    return true;
  }
  if (text.size() < 4 || !is_digit(text[2]) || !is_digit(text[3])) return false;
  const int value = (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
  octet = static_cast<uint8_t>(value);
  text.remove_prefix(4);
  return value <= 255;
}

}  // namespace

// ---- Names

std::string_view describe(NameError error) {
  switch (error) {
    case NameError::none: return "no error";
    case NameError::empty: return "empty name";
    case NameError::empty_label: return "empty label";
    case NameError::label_too_long: return "label longer than 63 octets";
    case NameError::name_too_long: return "name longer than 255 octets";
    case NameError::bad_escape: return "bad escape";
  }
  return "unknown error";
}

NameError encode_name(std::string_view text, WireName& out) {
  if (text.empty()) return NameError::empty;
  size_t label = 0, at = 1;  // where the label's length goes, and its next octet
  if (text == ".") text = {};
  while (!text.empty()) {
    if (text[0] == '.') {
      if (at == label + 1) return NameError::empty_label;
      out.octets[label] = static_cast<uint8_t>(at - label - 1);
      label = at++;
      text.remove_prefix(1);
      if (label == max_name) return NameError::name_too_long;
      continue;
    }
    if (at - label > max_label) return NameError::label_too_long;
    if (at == max_name) return NameError::name_too_long;
    if (!take_octet(text, out.octets[at++])) return NameError::bad_escape;
  }
  if (at > label + 1) {  // no trailing dot
    out.octets[label] = static_cast<uint8_t>(at - label - 1);
    label = at;
    if (label == max_name) return NameError::name_too_long;
  }
  out.octets[label] = 0;
  out.length = static_cast<uint8_t>(label + 1);
  return NameError::none;
}

bool encode_reverse_name(std::string_view address, WireName& out) {
  static constexpr char hex[] = "0123456789abcdef";
  char terminated[INET6_ADDRSTRLEN];
  if (address.size() >= sizeof terminated || address.find('\0') != address.npos) return false;
  address.copy(terminated, address.size());
  terminated[address.size()] = '\0';

  std::array<uint8_t, 16> octets;
  Buffer text;
  if (inet_pton(AF_INET, terminated, octets.data()) == 1) {
    for (int i = 3; i >= 0; --i) {
      text.append_decimal(octets[i]);
      text.append('.');
    }
    text.append("in-addr.arpa.");
  } else if (inet_pton(AF_INET6, terminated, octets.data()) == 1) {
    for (int i = 15; i >= 0; --i)
      for (int nibble : {octets[i] & 15, octets[i] >> 4}) {
        text.append(hex[nibble]);
        text.append('.');
      }
    text.append("ip6.arpa.");
  } else {
    return false;
  }
  return encode_name(text.view(), out) == NameError::none;
}

void append_name(Buffer& out, Bytes wire_name) {
  if (wire_name.size() <= 1) return out.append('.');
  char* const start = out.reserve(longest_name_text);
  char* at = start;
  const uint8_t* octet = wire_name.data();
  const uint8_t* const end = octet + wire_name.size() - 1;
  while (octet < end) {
    for (const uint8_t* stop = octet + 1 + *octet; ++octet < stop;) {
      if (escapes[*octet] == Escape::none) [[likely]]
        *at++ = static_cast<char>(*octet);
      else
        at = write_escaped(at, *octet);
    }
    *at++ = '.';
  }
  out.commit(static_cast<size_t>(at - start));
}

namespace {
size_t read_name(const Message& message, size_t offset, WireName& out) {
  const Bytes packet = message.packet(), question = message.question_name();
  const Extent extent = extent_of(packet, offset);
  if (extent.end == 0) return 0;
  Bytes own = packet.subspan(offset, extent.end - offset), rest;
  if (extent.compressed) {
    if (load_u16(&packet[extent.end - 2]) != question_pointer || question.empty())
      return read_compressed(packet, offset, extent.end, out);
    own = own.first(own.size() - 2);
    rest = question;
  }
  if (own.size() + rest.size() > max_name) return 0;
  std::copy(rest.begin(), rest.end(), std::copy(own.begin(), own.end(), out.octets.begin()));
  out.length = static_cast<uint8_t>(own.size() + rest.size());
  return extent.end - offset;
}
}  // namespace

size_t read_packet_name(const Message& message, size_t offset, WireName& out) {
  const size_t taken = read_name(message, offset, out);
  if (taken == 0) message.note_malformed();
  return taken;
}

size_t append_packet_name(Buffer& out, const Message& message, size_t offset) {
  if (points_to_question(message, offset)) {
    append_name(out, message.question_name());
    return 2;
  }
  WireName name;
  const size_t taken = read_packet_name(message, offset, name);
  if (taken) append_name(out, name.bytes());
  return taken;
}

bool points_to_question(const Message& message, size_t offset) {
  const Bytes packet = message.packet();
  return offset + 2 <= packet.size() && load_u16(&packet[offset]) == question_pointer &&
         !message.question_name().empty();
}

OwnerMatch match_owner(const Message& message, size_t offset) {
  if (points_to_question(message, offset)) return OwnerMatch::question;
  WireName name;
  if (read_packet_name(message, offset, name) == 0) return OwnerMatch::malformed;
  return same_folded(name.bytes(), message.question_name()) ? OwnerMatch::question
                                                            : OwnerMatch::other;
}

// ---- Messages

namespace {
// RFC 1995 3: only the serial matters; the names are the root, the other fields 0.
uint8_t* write_soa(uint8_t* at, uint16_t rr_class, uint32_t serial) {
  constexpr uint16_t rdata_length = 1 + 1 + 5 * 4;
  store_u16(at, 0xc000 | header_size);  // owner: the question's name
  store_u16(at + 2, type::soa);
  store_u16(at + 4, rr_class);
  store_u32(at + 6, 0);
  store_u16(at + 10, rdata_length);
  std::fill_n(at + 12, rdata_length, uint8_t{0});
  store_u32(at + 14, serial);
  return at + 12 + rdata_length;
}

uint8_t* write_opt(uint8_t* at, const EdnsOptions& edns) {
  *at++ = 0;  // owner: the root (RFC 6891 6.1.2)
  store_u16(at, type::opt);
  store_u16(at + 2, edns.udp_size);
  store_u32(at + 4, edns.dnssec_ok ? 0x8000 : 0);
  store_u16(at + 8, static_cast<uint16_t>(edns.options.size()));
  return std::copy(edns.options.begin(), edns.options.end(), at + record_header);
}
}  // namespace

size_t encode_query(const Query& query, MutableBytes out) {
  ensure(query.name.size() <= max_name && query.edns.options.size() <= max_edns_options &&
             out.size() >= max_query,
         "encode_query: room for the query");
  uint8_t* at = out.data();
  store_u16(at, query.id);
  store_u16(at + 2, query.recursion_desired ? 0x0100 : 0);
  store_u16(at + 4, 1);
  store_u16(at + 6, 0);
  store_u16(at + 8, query.serial ? 1 : 0);
  store_u16(at + 10, query.edns.present ? 1 : 0);
  at = std::copy(query.name.begin(), query.name.end(), at + header_size);
  store_u16(at, query.type);
  store_u16(at + 2, query.rr_class);
  at += 4;
  if (query.serial) at = write_soa(at, query.rr_class, *query.serial);
  if (query.edns.present) at = write_opt(at, query.edns);
  return static_cast<size_t>(at - out.data());
}

bool question_matches(Bytes packet, Bytes name, uint16_t type, uint16_t rr_class) {
  if (packet.size() < header_size + name.size() + 4 || Header(packet).qdcount() != 1) return false;
  const uint8_t* question = packet.data() + header_size;
  const uint8_t* rest = question + name.size();
  if (load_u16(rest) != type || load_u16(rest + 2) != rr_class) return false;
  return std::memcmp(question, name.data(), name.size()) == 0 ||
         same_folded({question, name.size()}, name);
}

Message::Message() : records_(std::make_unique_for_overwrite<Record[]>(most_records)) {}

bool Message::index(Bytes packet) {
  static constexpr std::array<uint8_t, header_size> no_header{};
  const bool cut = packet.size() < header_size;
  packet_ = cut ? Bytes(no_header) : packet.first(std::min(packet.size(), max_message));
  question_name_ = {};
  opt_ = {};
  question_type_ = question_class_ = 0;
  count_ = 0;
  has_opt_ = false;
  rcode_ = header().rcode();
  size_t at = header_size;
  malformed_ = cut || !index_questions(at) ||
               !index_section(Section::answer, header().ancount(), at) ||
               !index_section(Section::authority, header().nscount(), at) ||
               !index_section(Section::additional, header().arcount(), at);
  return !malformed_;
}

bool Message::index_questions(size_t& at) {
  for (uint32_t i = 0; i < header().qdcount(); ++i) {
    const Extent name = extent_of(packet_, at);
    // The first name of a message has nothing before it that it could point to.
    if (name.end == 0 || (i == 0 && name.compressed) || name.end + 4 > packet_.size())
      return false;
    if (i == 0) {
      question_name_ = packet_.subspan(at, name.end - at);
      question_type_ = load_u16(&packet_[name.end]);
      question_class_ = load_u16(&packet_[name.end + 2]);
    }
    at = name.end + 4;
  }
  return true;
}

bool Message::index_section(Section section, uint32_t count, size_t& at) {
  for (; count > 0; --count) {
    const Extent owner = extent_of(packet_, at);
    if (owner.end == 0 || owner.end + record_header > packet_.size()) return false;
    const uint8_t* fixed = &packet_[owner.end];
    const size_t rdata = owner.end + record_header, length = load_u16(fixed + 8);
    if (rdata + length > packet_.size()) return false;
    const Record record{static_cast<uint16_t>(at), load_u16(fixed), load_u16(fixed + 2),
                        static_cast<uint16_t>(rdata), static_cast<uint16_t>(length), section,
                        load_u32(fixed + 4)};
    at = rdata + length;
    if (record.type != type::opt)
      records_[count_++] = record;
    else if (!take_opt(record))
      return false;
  }
  return true;
}

// RFC 6891 6.1.1: one at most, at the root, in the additional section.
bool Message::take_opt(const Record& record) {
  if (has_opt_ || record.section != Section::additional || packet_[record.owner] != 0)
    return false;
  has_opt_ = true;
  opt_ = record;
  rcode_ = static_cast<uint16_t>(record.ttl >> 24 << 4 | rcode_);
  return true;
}

}  // namespace ringdns
