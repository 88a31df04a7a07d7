#include "output_formats.hpp"

namespace ringdns {

std::unique_ptr<Formatter> make_formatter(const OutputFormat& format) {
  switch (format.kind) {
    case OutputFormat::Kind::full: return make_full_formatter();
    case OutputFormat::Kind::simple: return make_simple_formatter(format);
    case OutputFormat::Kind::list: return make_list_formatter(format);
    case OutputFormat::Kind::json: return make_json_formatter(format);
    case OutputFormat::Kind::binary: return make_binary_formatter();
    case OutputFormat::Kind::zdns: return make_zdns_formatter();
  }
  return nullptr;
}

}  // namespace ringdns
