// massdns's binary file: a header that tells how this machine lays out what follows, then the
// packets. scripts/dnsparse.py of massdns reads it.
#include <cstddef>

#include "output_formats.hpp"

namespace ringdns {

namespace {

template <class Value>
void append_native(Buffer& out, Value value) {
  out.append(&value, sizeof value);
}

class BinaryFormatter : public Formatter {
 public:
  void append_preamble(Buffer& out) override {
    out.append("massdns", sizeof "massdns");  // its NUL included
    append_native<uint32_t>(out, 0x12345678);
    append_native<uint32_t>(out, version);
    append_native<uint8_t>(out, sizeof(size_t));
    append_native<size_t>(out, sizeof(time_t));
    append_native<size_t>(out, sizeof(sockaddr_storage));
    append_native<size_t>(out, offsetof(sockaddr_storage, ss_family));
    append_native<size_t>(out, sizeof(sa_family_t));
    append_native<size_t>(out, sizeof(in_port_t));
    append_native<sa_family_t>(out, AF_INET);
    append_native<size_t>(out, offsetof(sockaddr_in, sin_addr));
    append_native<size_t>(out, offsetof(sockaddr_in, sin_port));
    append_native<sa_family_t>(out, AF_INET6);
    append_native<size_t>(out, offsetof(sockaddr_in6, sin6_addr));
    append_native<size_t>(out, offsetof(sockaddr_in6, sin6_port));
  }

  void append_reply(Buffer& out, const Reply& reply) override {
    const Bytes packet = reply.message.packet();
    sockaddr_storage server{};
    std::memcpy(&server, reply.server.data(), reply.server.size());
    append_native<time_t>(out, unix_seconds(reply.received));
    append_native(out, server);
    append_native(out, static_cast<uint16_t>(packet.size()));
    out.append(packet);
  }

 private:
  static constexpr uint32_t version = 0;
};

}  // namespace

std::unique_ptr<Formatter> make_binary_formatter() { return std::make_unique<BinaryFormatter>(); }

}  // namespace ringdns
