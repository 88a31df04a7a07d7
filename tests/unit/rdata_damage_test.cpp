// Every sample of record data, damaged: cut, changed, its names compressed well and badly. Each
// record is the last of its packet, which ends where its memory does, so that the sanitizers see
// whoever reads past it.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include "../packets.hpp"
#include "rdata_samples.hpp"
#include "ringdns/rdata.hpp"
#include "ringdns/text.hpp"

using namespace ringdns;
using namespace packets;
using namespace std::string_literals;

namespace {

template <class Visit>
void for_each_sample(Visit visit) {
  for (const RdataSample& sample : dig_samples) visit(sample.type, from_hex(sample.hex));
  for (const RdataSample& sample : other_samples) visit(sample.type, from_hex(sample.hex));
}

// Prints the last record of packets. One message serves for all, as in a run.
class Printer {
 public:
  struct Printed {
    std::string text;
    bool sound, malformed;
  };

  Printed print(const std::string& packet) {
    octets_ = std::make_unique<uint8_t[]>(packet.size());
    std::copy(packet.begin(), packet.end(), octets_.get());
    REQUIRE(message_.index({octets_.get(), packet.size()}));
    out_.clear();
    const bool sound = append_rdata(out_, message_, message_.records().back());
    return {std::string(out_.view()), sound, message_.malformed()};
  }
  Printed print(unsigned type, const std::string& rdata) {
    const std::string head = u16(1) + u16(0x8180) + u16(1) + u16(1) + u32(0);
    return print(head + question_ + u16(type) + u16(1) + record(question_pointer, type, rdata));
  }

 private:
  const std::string question_ = name("www.example");
  std::unique_ptr<uint8_t[]> octets_;
  Message message_;
  Buffer out_;
};

std::string unknown(const std::string& rdata) {
  Buffer out;
  out.append("\\# ");
  out.append_decimal(rdata.size());
  if (!rdata.empty()) out.append(' ');
  append_hex(out, {reinterpret_cast<const uint8_t*>(rdata.data()), rdata.size()});
  return std::string(out.view());
}

bool has_layout(unsigned type) {
  return find_layout(static_cast<uint16_t>(type), rr_class::internet) != nullptr;
}

// One line's last field: there, printable, and without blanks that a reader could lose.
bool well_written(std::string_view text) {
  for (unsigned char c : text)
    if (c < 0x20 || c > 0x7e) return false;
  return !text.empty() && text.front() != ' ' && text.back() != ' ';
}

// What every damaged rdata must be: printed by its layout or whole in RFC 3597's form, which
// counts as malformed; and no two of a type alike, as then one of them has lost something.
class Judge {
 public:
  void judge(unsigned type, const std::string& rdata) {
    const Printer::Printed printed = printer_.print(type, rdata);
    const bool by_number = printed.text.starts_with("\\#");
    ++(by_number ? by_number_ : by_layout_);
    const bool empty_apl = type == 42 && rdata.empty();
    const bool good = well_written(printed.text) && (!by_number || printed.text == unknown(rdata)) &&
                      printed.malformed == (by_number && has_layout(type) && !empty_apl) &&
                      (printed.sound || printed.malformed) && alone(type, rdata, printed.text);
    if (!good) FAIL("type ", type, ", ", unknown(rdata), ": ", printed.text);
  }
  int by_number_ = 0, by_layout_ = 0;

 private:
  bool alone(unsigned type, const std::string& rdata, const std::string& text) {
    // Zero octets behind the last bit of their bitmaps mean nothing.
    if (type == 11 || type == 30) return true;
    // A compressed name is written as the other is.
    for (unsigned char c : rdata)
      if (c >= 0xc0) return true;
    const auto [place, added] = seen_.try_emplace({type, text}, rdata);
    return added || place->second == rdata;
  }

  Printer printer_;
  std::map<std::pair<unsigned, std::string>, std::string> seen_;
};

// The octets that a name takes at `at`, uncompressed and not the root; 0 when there is none.
size_t name_length(const std::string& rdata, size_t at) {
  for (size_t label = at; label < rdata.size();) {
    const auto length = static_cast<unsigned char>(rdata[label]);
    if (length == 0) return label == at ? 0 : label + 1 - at;
    if (length > 63) return 0;
    label += 1u + length;
  }
  return 0;
}

bool holds_a_name(const Layout& layout) {
  for (Field field : layout.fields)
    for (Field with_name : {field::name, field::a6, field::amt_relay, field::hip,
                            field::ipsec_gateway})
      if (field == with_name) return true;
  return false;
}

// A name as a record's owner and another's data, and a record of that type which may point there.
struct Compressing {
  Compressing(unsigned type, const std::string& target)
      : type(type),
        before(u16(1) + u16(0x8180) + u16(1) + u16(2) + u32(0) + name("www.example") + u16(type) +
               u16(1)),
        owner(before.size()),
        data(owner + target.size() + 10) {
    before += record(target, 65280, target);
  }
  std::string packet(const std::string& rdata) const {
    return before + record(question_pointer, type, rdata);
  }
  size_t start_of_rdata() const { return before.size() + 2 + 10; }

  unsigned type;
  std::string before;
  size_t owner, data;  // offsets of the name
};

std::string pointer(size_t offset) { return u16(static_cast<unsigned>(0xc000 | offset)); }

}  // namespace

TEST_CASE("rdata of every type, cut at every length, and with each octet changed") {
  Judge judge;
  for_each_sample([&](unsigned type, const std::string& rdata) {
    for (size_t length = 0; length <= rdata.size(); ++length)
      judge.judge(type, rdata.substr(0, length));
    for (char octet : {'\0', '\1', '\x7f', '\xff'}) judge.judge(type, rdata + octet);
    for (size_t at = 0; at < rdata.size(); ++at)
      for (int value : {0, 1, 0x20, 0x22, 0x2c, 0x3f, 0x40, 0x5c, 0x7f, 0x80, 0xc0, 0xff,
                        rdata[at] + 1, rdata[at] - 1, rdata[at] ^ 0x80}) {
        std::string changed = rdata;
        changed[at] = static_cast<char>(value);
        judge.judge(type, changed);
      }
  });
  // The test reaches what it is for.
  CHECK(judge.by_number_ > 10'000);
  CHECK(judge.by_layout_ > 10'000);
}

TEST_CASE("rdata changed at random, in up to four places, grown and shrunk") {
  std::mt19937 random(1035);
  const auto below = [&](size_t limit) { return random() % limit; };
  Judge judge;
  for_each_sample([&](unsigned type, const std::string& rdata) {
    for (int round = 0; round < 300; ++round) {
      std::string changed = rdata;
      for (size_t changes = 1 + below(4); changes > 0; --changes) {
        const size_t at = below(changed.size() + 1);
        const char octet = static_cast<char>(below(2) ? random() : below(20));
        switch (below(4)) {
          case 0: changed.insert(at, 1 + below(3), octet); break;
          case 1: changed.erase(at, 1 + below(3)); break;
          default: changed.replace(at, 1, 1, octet);
        }
      }
      judge.judge(type, changed);
    }
  });
  CHECK(judge.by_number_ > 10'000);
  CHECK(judge.by_layout_ > 5'000);
}

TEST_CASE("names in rdata of every type are read where they point back, and nowhere else") {
  Printer printer;
  std::set<unsigned> compressed;
  for_each_sample([&](unsigned type, const std::string& rdata) {
    const std::string text = printer.print(type, rdata).text;
    for (size_t at = 0; at < rdata.size(); ++at) {
      const size_t length = name_length(rdata, at);
      if (length == 0) continue;
      const Compressing scene(type, rdata.substr(at, length));
      const auto pointing = [&](size_t target) {
        std::string changed = rdata;
        return changed.replace(at, length, pointer(target));
      };
      // Octets that only look like a name are none of that text.
      const Printer::Printed whole = printer.print(scene.packet(pointing(scene.owner)));
      if (whole.text != text || text.starts_with("\\#")) continue;
      compressed.insert(type);
      CAPTURE(type);
      CAPTURE(text);
      CHECK_FALSE(whole.malformed);
      CHECK(printer.print(scene.packet(pointing(scene.data))).text == text);
      // A name whose labels are in two places.
      const size_t first = 1u + static_cast<unsigned char>(rdata[at]);
      if (first + 1 < length) {
        std::string changed = rdata;
        changed.replace(at + first, length - first, pointer(scene.data + first));
        CHECK(printer.print(scene.packet(changed)).text == text);
      }
      const size_t here = scene.start_of_rdata() + at;
      for (size_t target : {here, here + 1, here + 2, size_t{0x3fff}}) {
        const Printer::Printed bad = printer.print(scene.packet(pointing(target)));
        CAPTURE(target);
        CHECK(bad.text == unknown(pointing(target)));
        CHECK(bad.malformed);
        CHECK_FALSE(bad.sound);
      }
      // Back to its own first label, which leads here again.
      const std::string loop = "\1x" + pointer(here);
      std::string changed = rdata;
      changed.replace(at, length, loop);
      CHECK_FALSE(printer.print(scene.packet(changed)).sound);
    }
  });
  for (unsigned type = 0; type <= 65535; ++type) {
    const Layout* layout = find_layout(static_cast<uint16_t>(type), rr_class::internet);
    CAPTURE(type);
    if (layout) CHECK(holds_a_name(*layout) == compressed.contains(type));
  }
}
