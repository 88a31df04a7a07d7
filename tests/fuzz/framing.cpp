// The octets of a TCP stream, in pieces, against a reference that has them all at once. Input: how
// many piece lengths, the lengths (taken in turn), when to stop; the octets, of which 0xfe stands
// for a run (its length, the octet), so that messages of many kilobytes are short inputs.
#include "fuzz.hpp"

#include <vector>

#include "ringdns/framing.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

constexpr size_t prefixed_limit = 2 + 65535;

using Messages = std::vector<std::string>;

struct Outcome {
  Messages messages;
  Framing::Outcome outcome = Framing::Outcome::ok;
  size_t left = 0;  // octets of a message that has not come whole
};

Outcome reference(std::string_view stream, size_t stop_after) {
  Outcome out;
  while (stream.size() >= 2) {
    const size_t length = load_u16(reinterpret_cast<const uint8_t*>(stream.data()));
    if (length < 12) {
      out.outcome = Framing::Outcome::bad_length;
      return out;
    }
    if (stream.size() - 2 < length) break;
    out.messages.emplace_back(stream.substr(2, length));
    stream.remove_prefix(2 + length);
    if (out.messages.size() == stop_after) {
      out.outcome = Framing::Outcome::stopped;
      return out;
    }
  }
  out.left = stream.size();
  return out;
}

Outcome in_pieces(std::string_view stream, Bytes lengths, size_t stop_after) {
  constexpr size_t least_buffer = 4096;
  Outcome out;
  Framing framing;
  size_t came = 0;
  for (size_t piece = 0; !stream.empty() && out.outcome == Framing::Outcome::ok; ++piece) {
    const size_t chosen = lengths.empty() ? stream.size() : lengths[piece % lengths.size()];
    const size_t wanted = chosen < 200 ? chosen + 1 : (chosen - 199) * 1000;
    const size_t length = std::min(wanted, stream.size());
    // A copy of its own, so that the sanitizers see whoever reads past its end, or keeps it.
    const std::vector<uint8_t> octets(stream.begin(), stream.begin() + length);
    stream.remove_prefix(length);
    out.outcome = framing.take(octets, [&](Bytes message) {
      out.messages.emplace_back(fuzz::text_of(message));
      return out.messages.size() != stop_after;
    });
    came += length;
    require(framing.memory() <= std::max(least_buffer, 2 * std::min(came, prefixed_limit)),
            "memory grows with what came, not with what was announced");
  }
  out.left = framing.partial();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const Bytes lengths = input.take(input.u8() % 16);
  const size_t stop_after = input.u8();
  const std::string stream = fuzz::expanded(input.rest(), 150'000);
  const Outcome expected = reference(stream, stop_after);
  const Outcome got = in_pieces(stream, lengths, stop_after);
  require(got.messages == expected.messages, "the same messages as from the whole stream");
  // A length that is known to be bad is told by the next octets at the latest.
  require(got.outcome == expected.outcome ||
              (expected.outcome == Framing::Outcome::bad_length &&
               got.outcome == Framing::Outcome::ok && got.left > 0),
          "the same outcome as of the whole stream");
  if (expected.outcome == Framing::Outcome::ok)
    require(got.left == (expected.left > 0), "a part is held where a part is left");
  return 0;
}
