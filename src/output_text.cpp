// massdns's text formats: F (full, like dig's), S (simple) and L (a list of names).
#include "output_formats.hpp"
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

namespace ringdns {

namespace {

void append_number(Buffer& out, std::string_view label, uint64_t value) {
  out.append(label);
  out.append_decimal(value);
}

// ---- F

constexpr std::string_view opcodes[] = {"QUERY", "IQUERY", "STATUS", "3", "NOTIFY", "UPDATE"};

void append_opcode(Buffer& out, uint8_t opcode) {
  if (opcode < std::size(opcodes)) return out.append(opcodes[opcode]);
  out.append_decimal(opcode);
}

void append_flags(Buffer& out, Header header) {
  if (header.qr()) out.append("qr ");
  if (header.ad()) out.append("ad ");
  if (header.aa()) out.append("aa ");
  if (header.rd()) out.append("rd ");
  if (header.ra()) out.append("ra ");
  if (header.tc()) out.append("tc ");
  if (header.cd()) out.append("cd ");
}

std::string_view section_title(Section section) {
  switch (section) {
    case Section::answer: return "\n;; ANSWER SECTION:\n";
    case Section::authority: return "\n;; AUTHORITY SECTION:\n";
    case Section::additional: return "\n;; ADDITIONAL SECTION:\n";
  }
  return {};
}

class FullFormatter : public Formatter {
 public:
  void append_reply(Buffer& out, const Reply& reply) override {
    const Message& message = reply.message;
    out.append(";; Server: ");
    append_endpoint(out, reply.server);
    append_number(out, "\n;; Size: ", message.packet().size());
    append_number(out, "\n;; Unix time: ", static_cast<uint64_t>(unix_seconds(reply.received)));
    append_header(out, message);
    out.append("\n\n;; QUESTION SECTION:\n");
    const Asked asked = question_of(reply);
    append_name(out, asked.name);
    out.append(' ');
    append_class(out, asked.rr_class);
    out.append(' ');
    append_type(out, asked.type);
    out.append('\n');

    const Record* last = nullptr;
    for (const Record& record : message.records()) {
      if (!last || last->section != record.section) out.append(section_title(record.section));
      last = &record;
      if (!append_record(out, message, record)) break;
    }
    out.append("\n\n");
  }

 private:
  static void append_header(Buffer& out, const Message& message) {
    const Header header = message.header();
    out.append("\n;; ->>HEADER<<- opcode: ");
    append_opcode(out, header.opcode());
    out.append(", status: ");
    append_rcode(out, message.rcode());
    append_number(out, ", id: ", header.id());
    out.append("\n;; flags: ");
    append_flags(out, header);
    append_number(out, "; QUERY: ", header.qdcount());
    append_number(out, ", ANSWER: ", header.ancount());
    append_number(out, ", AUTHORITY: ", header.nscount());
    append_number(out, ", ADDITIONAL: ", header.arcount());
  }

  static bool append_record(Buffer& out, const Message& message, const Record& record) {
    if (append_packet_name(out, message, record.owner) == 0) return false;
    append_number(out, " ", record.ttl);
    out.append(' ');
    append_class(out, record.rr_class);
    out.append(' ');
    append_type(out, record.type);
    out.append(' ');
    const bool sound = append_rdata(out, message, record);
    out.append('\n');
    return sound;
  }
};

// ---- S

class SimpleFormatter : public Formatter {
 public:
  explicit SimpleFormatter(const OutputFormat& format)
      : format_(format), sections_{format.answer, format.authority, format.additional} {}

  void append_reply(Buffer& out, const Reply& reply) override {
    const Message& message = reply.message;
    if (format_.question) append_question(out, reply);
    Section section = Section::answer;
    for (const Record& record : message.records()) {
      if (!sections_[static_cast<size_t>(record.section)]) continue;
      if (format_.match_name && !reply.transfer) {
        const OwnerMatch owner = match_owner(message, record.owner);
        if (owner == OwnerMatch::malformed) break;
        if (owner == OwnerMatch::other) continue;
      }
      const size_t start = out.size();
      if (format_.separate_sections && record.section != section) out.append('\n');
      section = record.section;
      if (format_.indent) out.append('\t');
      if (append_packet_name(out, message, record.owner) == 0) {
        out.truncate(start);
        break;
      }
      if (!append_record(out, message, record)) break;
    }
    if (format_.separate_replies) out.append('\n');
  }

 private:
  void append_question(Buffer& out, const Reply& reply) const {
    const Asked asked = question_of(reply);
    if (format_.meta) {
      append_endpoint(out, reply.server);
      append_number(out, " ", static_cast<uint64_t>(unix_seconds(reply.received)));
      out.append(' ');
      append_rcode(out, reply.message.rcode());
      out.append(' ');
    }
    append_name(out, asked.name);
    out.append(' ');
    if (format_.ttl) append_class(out, asked.rr_class);  // massdns: two blanks if not
    out.append(' ');
    append_type(out, asked.type);
    out.append('\n');
  }

  // After the owner.
  bool append_record(Buffer& out, const Message& message, const Record& record) const {
    out.append(' ');
    if (format_.ttl) {
      append_class(out, record.rr_class);
      append_number(out, " ", record.ttl);
      out.append(' ');
    }
    append_type(out, record.type);
    out.append(' ');
    const bool sound = append_rdata(out, message, record);
    out.append('\n');
    return sound;
  }

  const OutputFormat format_;
  const std::array<bool, 3> sections_;
};

// ---- L

class ListFormatter : public Formatter {
 public:
  explicit ListFormatter(const OutputFormat& format) : empty_noerror_(format.empty_noerror) {}

  void append_reply(Buffer& out, const Reply& reply) override {
    const Message& message = reply.message;
    if (message.rcode() != rcode::noerror || reply.more) return;
    if (!empty_noerror_ && !has_answer(message)) return;
    const Bytes name = question_of(reply).name;
    append_name(out, name);
    const bool root = name.size() <= 1;
    if (!root) out.truncate(out.size() - 1);
    out.append('\n');
  }

 private:
  const bool empty_noerror_;
};

}  // namespace

std::unique_ptr<Formatter> make_full_formatter() { return std::make_unique<FullFormatter>(); }

std::unique_ptr<Formatter> make_simple_formatter(const OutputFormat& format) {
  return std::make_unique<SimpleFormatter>(format);
}

std::unique_ptr<Formatter> make_list_formatter(const OutputFormat& format) {
  return std::make_unique<ListFormatter>(format);
}

}  // namespace ringdns
