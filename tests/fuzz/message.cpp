// A packet through the index and every output format. Input: two octets that choose the flags of
// S, one that says how the reply came, the packet.
#include <memory>
#include <vector>

#include "../golden/json_check.hpp"
#include "fuzz.hpp"
#include "ringdns/output.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

constexpr const char* formats[] = {"F", "S", "L", "L0", "J", "Ja", "Je", "B", "Z"};

// ---- What is well formed

bool printable(std::string_view text) {
  for (unsigned char c : text)
    if (c >= 0x7f || (c < 0x20 && c != '\n' && c != '\t')) return false;
  return true;
}

std::string_view take_until(std::string_view& text, char end) {
  const std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(std::min(taken.size() + 1, text.size()));
  return taken;
}

bool is_name(std::string_view text) {
  WireName name;
  Buffer again;
  if (encode_name(text, name) != NameError::none) return false;
  append_name(again, name.bytes());
  return again.view() == text;
}

// The record lines must tell records of the message, in their order.
class RecordLines {
 public:
  explicit RecordLines(const Message& message) : records_(message.records()) {}

  struct Shown {
    std::string_view owner, rr_class, ttl;  // the last two may be empty: not shown
    std::string_view rest;                  // "TYPE rdata"
  };
  void take(Shown line) {
    require(is_name(line.owner), "the owner is a name");
    const std::string_view type = take_until(line.rest, ' ');
    require(!line.rest.empty(), "rdata is never nothing");
    while (next_ < records_.size() && !is_shown(records_[next_], line, type)) ++next_;
    require(next_++ < records_.size(), "a record line has its record");
  }

 private:
  bool is_shown(const Record& record, const Shown& line, std::string_view type) {
    Buffer text;
    append_type(text, record.type);
    if (text.view() != type) return false;
    text.clear();
    append_class(text, record.rr_class);
    if (!line.rr_class.empty() && text.view() != line.rr_class) return false;
    return line.ttl.empty() || line.ttl == std::to_string(record.ttl);
  }

  std::span<const Record> records_;
  size_t next_ = 0;
};

void check_simple(std::string_view text, const OutputFormat& format, const Message& message) {
  RecordLines records(message);
  if (format.question) {
    const std::string_view line = take_until(text, '\n');
    require(line.find(' ') != line.npos, "S: a question line");
  }
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    if (line.empty()) {
      require(format.separate_replies || format.separate_sections, "S: a blank line is asked for");
      continue;
    }
    if (format.indent) require(take_until(line, '\t').empty(), "S: the indent is a tab");
    RecordLines::Shown shown{take_until(line, ' '), {}, {}, {}};
    if (format.ttl) shown.rr_class = take_until(line, ' '), shown.ttl = take_until(line, ' ');
    require(!format.ttl || (!shown.rr_class.empty() && !shown.ttl.empty()), "S: class and TTL");
    shown.rest = line;
    records.take(shown);
  }
}

void check_full(std::string_view text, const Message& message) {
  require(text.starts_with(";; Server: ") && text.ends_with("\n\n"), "F: its start and end");
  constexpr std::string_view title = ";; QUESTION SECTION:\n";
  const size_t question = text.find(title);
  require(question != text.npos, "F: its question section");
  text.remove_prefix(question + title.size());
  require(is_name(take_until(text, ' ')), "F: the question is a name");
  take_until(text, '\n');
  RecordLines records(message);
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    if (line.empty() || line.starts_with(";; ")) continue;
    RecordLines::Shown shown{take_until(line, ' '), {}, {}, {}};
    shown.ttl = take_until(line, ' ');
    shown.rr_class = take_until(line, ' ');
    require(!shown.rr_class.empty() && !shown.ttl.empty(), "F: class and TTL");
    shown.rest = line;
    records.take(shown);
  }
}

void check(std::string_view text, const OutputFormat& format, const Reply& reply) {
  using Kind = OutputFormat::Kind;
  const Message& message = reply.message;
  if (format.kind == Kind::binary) {
    constexpr size_t time_and_server = 8 + 128;
    require(text.size() == time_and_server + 2 + message.packet().size(), "B: its length");
    return require(text.ends_with(fuzz::text_of(message.packet())), "B: the packet");
  }
  if (text.empty()) return;
  if (format.kind == Kind::zdns)
    return require(JsonCheck::valid('{' + std::string(text) + '}'), "Z: a member of an object");
  require(text.ends_with('\n') && printable(text), "text, in whole lines");
  switch (format.kind) {
    case Kind::full: return check_full(text, message);
    case Kind::simple: return check_simple(text, format, message);
    case Kind::list:
      require(text.find('\n') == text.size() - 1, "L: one line");
      return require(text == ".\n" || is_name(std::string(text.substr(0, text.size() - 1)) + "."),
                     "L: a name");
    default:
      return require(JsonCheck::valid(text.substr(0, text.size() - 1)), "JSON in one line");
  }
}

// ---- The index

void check_index(const Message& message, size_t size) {
  size_t counted = 0;
  const Record* last = nullptr;
  for (const Record& record : message.records()) {
    require(record.owner >= header_size && record.owner + 11u <= record.rdata, "a record's order");
    require(size_t{record.rdata} + record.rdata_length <= size, "rdata is inside the packet");
    require(!last || (last->section <= record.section &&
                      last->rdata + last->rdata_length <= record.owner),
            "records follow each other");
    last = &record;
    ++counted;
  }
  const Header header = message.header();
  const size_t told = size_t{header.ancount()} + header.nscount() + header.arcount();
  if (message.malformed())
    require(counted <= told, "no more records than the header tells");
  else
    require(counted + message.has_opt() == told, "as many records as the header tells");
  WireName name;
  for (const Record& record : message.records()) {
    if (read_packet_name(message, record.owner, name) == 0) break;
    Buffer text;
    append_name(text, name.bytes());
    require(is_name(text.view()), "an owner's text is a name");
  }
}

struct Format {
  OutputFormat format;
  std::unique_ptr<Formatter> formatter;
};

std::vector<Format> all_formats() {
  std::vector<Format> out;
  for (const char* letters : formats) {
    const OutputFormat format = *parse_output_format(letters);
    out.push_back({format, make_formatter(format)});
  }
  return out;
}

OutputFormat simple_format(uint16_t choice) {
  std::string letters = "S";
  for (char flag : std::string_view("nudmtlisqr")) {
    if (choice & 1) letters += flag;
    choice >>= 1;
  }
  return *parse_output_format(letters);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Format> fixed = all_formats();
  static const Address server = *Address::parse("[2001:db8::1]:53", 53);
  static Message message;
  static Buffer out;

  fuzz::Input input(data, size);
  const OutputFormat simple = simple_format(input.u16());
  const uint8_t how = input.u8();
  const Bytes packet = input.rest();
  message.index(packet);
  check_index(message, packet.size());

  static constexpr uint8_t asked[] = {3, 'a', '\n', '"', 0};
  Reply reply{message, server, how & 1 ? Transport::tcp : Transport::udp, UnixTime{}};
  if (how & 2) reply.asked_name = asked, reply.asked_type = how;
  reply.transfer = how & 4;
  reply.more = how & 8;

  for (const Format& one : fixed) {
    out.clear();
    one.formatter->append_reply(out, reply);
    check(out.view(), one.format, reply);
    out.clear();
    const Bytes name = message.question_name();
    const bool tells = one.format.kind == OutputFormat::Kind::json ||
                       one.format.kind == OutputFormat::Kind::zdns;
    if (name.empty() || !tells) continue;
    one.formatter->append_failure(out, {name, message.question_type(), message.question_class(),
                                        static_cast<FailureReason>(how % failure_reasons)});
    check(out.view(), one.format, reply);
  }
  out.clear();
  make_formatter(simple)->append_reply(out, reply);
  check(out.view(), simple, reply);
  return 0;
}
