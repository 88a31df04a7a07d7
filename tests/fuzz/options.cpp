// The command line. Input: its arguments, each ended by a NUL octet (or a newline, which is easier
// to write by hand).
#include "fuzz.hpp"

#include <vector>

#include "ringdns/options.hpp"

using namespace ringdns;
using fuzz::require;

namespace {

// What a run may rely on.
void check_run(const Options& o) {
  require(!o.types.empty(), "a run asks for a type");
  require(o.concurrency >= 1 && o.tries >= 1 && o.tries <= 255, "lookups, and tries");
  require(o.interval > Duration{} && o.tcp_timeout > Duration{} && o.tcp_idle > Duration{} &&
              o.tcp_connect_timeout > Duration{},
          "times are positive");
  require(o.edns_size >= 512 && o.edns_size <= 4096, "a size that EDNS can have");
  require(o.tcp_connections >= 1 && o.tcp_per_server >= 1 && o.tcp_pipeline >= 1, "TCP can be");
  require(o.processes >= 1, "a run is a process at least");
  require(o.names != "-" || o.resolvers != "-", "one reader of standard input");
  if (o.ecs)
    require(o.ecs->length <= (o.ecs->address.is_ipv4() ? 32 : 128), "a prefix fits its address");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string> words{"ringdns"};
  for (std::string_view text = fuzz::text_of({data, size}); !text.empty();) {
    words.emplace_back(text.substr(0, text.find_first_of(std::string_view("\0\n", 2))));
    text.remove_prefix(std::min(words.back().size() + 1, text.size()));
  }
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  argv.push_back(nullptr);

  using Outcome = ParsedOptions::Outcome;
  const int argc = static_cast<int>(words.size());
  const ParsedOptions parsed = parse_options(argc, argv.data());
  switch (parsed.outcome) {
    case Outcome::run: check_run(parsed.options); break;
    case Outcome::help:
    case Outcome::version:
    case Outcome::error:
      require(parsed.message.ends_with('\n'), "a message is whole lines");
      break;
    default: require(false, "an outcome");
  }
  if (parsed.outcome == Outcome::error && argc > 1) {
    require(parsed.message.starts_with("ringdns: "), "an error says whose it is");
    require(parsed.message.find('\n') == parsed.message.size() - 1, "an error is one line");
  }
  return 0;
}
