// Names as text and as wire. Input: a text; it is refused, or encodes to a name that decodes back.
#include "fuzz.hpp"
#include "ringdns/address.hpp"
#include "ringdns/wire.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

// A name is labels of 1 to 63 octets and the root, 255 octets at most (RFC 1035 2.3.4).
void check_form(const WireName& name) {
  size_t at = 0;
  while (at < name.length && name.octets[at] != 0) {
    require(name.octets[at] <= 63, "a label of at most 63 octets");
    at += 1u + name.octets[at];
  }
  require(at + 1 == name.length, "the root ends a name");
}

void check_back(const WireName& name) {
  Buffer text;
  append_name(text, name.bytes());
  for (char c : text.view()) require(c > ' ' && c < 0x7f, "a name's text is printable");
  WireName again;
  require(encode_name(text.view(), again) == NameError::none, "a name's text is a name");
  require(fuzz::text_of(again.bytes()) == fuzz::text_of(name.bytes()), "a name decodes back");
}

// The labels of a text without escapes, by cutting it at its dots.
void check_labels(std::string_view text, const WireName& name) {
  if (text == ".") return require(name.length == 1, "the root");
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string expected;
  for (;;) {
    const std::string_view label = text.substr(0, text.find('.'));
    expected += static_cast<char>(label.size());
    expected += label;
    if (label.size() == text.size()) break;
    text.remove_prefix(label.size() + 1);
  }
  expected += '\0';
  require(fuzz::text_of(name.bytes()) == expected, "a name is its labels");
}

// Any name in a packet reads as what it is there.
void check_in_packet(const WireName& name) {
  std::string packet("\0\1\x80\0\0\1\0\0\0\0\0\0", header_size);
  packet += fuzz::text_of(name.bytes());
  packet += std::string("\0\1\0\1", 4);
  Message message;
  require(message.index({reinterpret_cast<const uint8_t*>(packet.data()), packet.size()}),
          "a packet that asks for a name");
  require(question_matches(message.packet(), name.bytes(), 1, 1), "the question is the name");
  WireName read;
  require(read_packet_name(message, header_size, read) == name.length &&
              fuzz::text_of(read.bytes()) == fuzz::text_of(name.bytes()),
          "a packet's name is the name");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of({data, size});
  WireName name;
  const NameError error = encode_name(text, name);
  require(!describe(error).empty() && describe(error) != "unknown error", "an error has its words");
  if (error == NameError::none) {
    check_form(name);
    check_back(name);
    check_in_packet(name);
    if (text.find('\\') == text.npos) check_labels(text, name);
  }
  WireName reverse;
  const bool is_address = encode_reverse_name(text, reverse);
  if (is_address) check_form(reverse), check_back(reverse);
  const auto address = Address::parse(text, 53);
  if (is_address) require(address.has_value(), "what has a reverse name is an address");
  if (address) {
    const auto again = Address::parse(address->text(), 0);
    // A scope is shown by its number, which need not be an interface's name.
    require(again ? *again == *address : text.find('%') != text.npos, "an address parses back");
  }
  return 0;
}
