// Both ends of a soak (soak.py): `names` writes names without end, until SIGTERM; `verdict` reads
// ringdns's -o Je and knows what each of them must have come to, and that it came to it once.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

// What the plan of soak.py does with a name, by its number.
enum class Zone { sound, big, gone, dead };

Zone zone_of(uint64_t number) {
  if (number % 20'000 == 77) return Zone::dead;
  if (number % 50 == 7) return Zone::gone;
  return number % 20 == 3 ? Zone::big : Zone::sound;
}

std::string name_of(uint64_t number) {
  constexpr const char* zones[] = {"site", "big", "gone", "dead"};
  return "n" + std::to_string(number) + "." + zones[static_cast<int>(zone_of(number))] + ".test.";
}

volatile std::sig_atomic_t ended = 0;

int write_names() {
  struct sigaction action {};
  action.sa_handler = [](int) { ended = 1; };
  action.sa_flags = SA_RESTART;  // names are written whole
  sigaction(SIGTERM, &action, nullptr);
  uint64_t number = 0;
  for (std::string lines; !ended; lines.clear()) {
    for (int i = 0; i < 256; ++i) lines += name_of(number++) + "\n";
    if (std::fwrite(lines.data(), 1, lines.size(), stdout) != lines.size()) break;
  }
  std::fprintf(stderr, "%llu\n", static_cast<unsigned long long>(number));
  return std::fflush(stdout) == 0 ? 0 : 1;
}

// The responder's `A hash`: FNV-1a over the name, of which the address has 24 bits.
std::string address_of(std::string_view name) {
  uint32_t hash = 2166136261;
  for (unsigned char c : name) hash = (hash ^ c) * 16777619;
  return "10." + std::to_string(hash >> 16 & 255) + "." + std::to_string(hash >> 8 & 255) + "." +
         std::to_string(hash & 255);
}

std::string_view text_after(std::string_view line, std::string_view key) {
  const size_t at = line.find(key);
  if (at == line.npos) return {};
  line.remove_prefix(at + key.size());
  return line.substr(0, line.find('"'));
}

bool is_right(std::string_view line, std::string_view name, Zone zone) {
  const std::string_view status = text_after(line, "\"status\":\"");
  switch (zone) {
    case Zone::sound:
    case Zone::big:
      return status == "NOERROR" && text_after(line, "\"data\":\"") == address_of(name);
    case Zone::gone: return status == "NXDOMAIN";
    case Zone::dead: return text_after(line, "\"error\":\"") == "TIMEOUT";
  }
  return false;
}

int judge() {
  std::vector<bool> seen;
  uint64_t count = 0, wrong = 0;
  char* buffer = nullptr;
  size_t capacity = 0;
  for (ssize_t length; (length = getline(&buffer, &capacity, stdin)) > 0; ++count) {
    const std::string_view line(buffer, static_cast<size_t>(length));
    const std::string_view name = text_after(line, "{\"name\":\"");
    const uint64_t number = name.size() > 1 ? std::strtoull(name.data() + 1, nullptr, 10) : 0;
    if (number >= seen.size()) seen.resize(number + (1u << 20));
    const bool right = line.ends_with("}\n") && name == name_of(number) && !seen[number] &&
                       is_right(line, name, zone_of(number));
    seen[number] = true;
    if (!right && ++wrong <= 20)
      std::fprintf(stderr, "wrong: %.*s", static_cast<int>(line.size()), line.data());
  }
  std::free(buffer);
  std::printf("%llu %llu\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(wrong));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "names") == 0) return write_names();
  if (argc == 2 && std::strcmp(argv[1], "verdict") == 0) return judge();
  std::fprintf(stderr, "usage: judge names|verdict\n");
  return 2;
}
