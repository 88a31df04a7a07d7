#include "host.hpp"

#include <sys/signalfd.h>

#include <algorithm>
#include <cerrno>

namespace sim {

Instant Input::ready(Instant now) {
  Duration most = 50us;
  if (host_.dice.chance(host_.faults.input_stalls)) most = 3s;
  return now + host_.dice.time(1us, most);
}

int32_t Input::read(MutableBytes into) {
  const std::string& all = host_.scenario.input;
  size_t end = all.size();
  if (host_.scenario.input_error_at) end = std::min<size_t>(end, host_.scenario.input_error_at);
  if (at_ == end) return end < all.size() || host_.scenario.input_error_at ? -EIO : 0;
  size_t most = std::min(into.size(), end - at_);
  if (host_.scenario.input_piece)
    most = std::min<size_t>(most, host_.dice.between(1, host_.scenario.input_piece));
  std::memcpy(into.data(), all.data() + at_, most);
  at_ += most;
  return static_cast<int32_t>(most);
}

Instant Output::ready(Instant now) {
  Duration most = 100us;
  if (host_.dice.chance(host_.faults.*slow_)) most = 2s;
  return now + host_.dice.time(1us, most);
}

int32_t Output::write(Bytes bytes) {
  if (failed_) violation("written to once more after a write failed");
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text_.size() + text.size() > fail_at_) {
    text_ += text.substr(0, fail_at_ - text_.size());
    failed_ = true;
    return -error_;
  }
  text_ += text;
  whole_writes_ = text_.size();
  return static_cast<int32_t>(text.size());
}

Instant Signals::ready(Instant now) {
  if (next_ == scenario_.signals.size()) return Instant::max();
  return std::max(now, SimIo::epoch + scenario_.signals[next_].at);
}

int32_t Signals::read(MutableBytes into) {
  signalfd_siginfo info{};
  info.ssi_signo = static_cast<uint32_t>(scenario_.signals[next_++].number);
  std::memcpy(into.data(), &info, std::min(into.size(), sizeof info));
  return sizeof info;
}

}  // namespace sim
