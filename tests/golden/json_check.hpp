// Is a text one JSON value (RFC 8259), and nothing else? Strict, and separate from what writes it.
#pragma once

#include <algorithm>
#include <string_view>

class JsonCheck {
 public:
  static bool valid(std::string_view text) {
    JsonCheck check(text);
    return check.value(0) && check.text_.empty();
  }

 private:
  explicit JsonCheck(std::string_view text) : text_(text) {}

  bool next_is(char c) const { return !text_.empty() && text_[0] == c; }
  bool take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  // Without insignificant whitespace: ringdns writes none.
  bool value(int depth) {
    if (depth > 8 || text_.empty()) return false;
    switch (text_[0]) {
      case '{': return list('{', '}', [&] { return string() && take(":") && value(depth + 1); });
      case '[': return list('[', ']', [&] { return value(depth + 1); });
      case '"': return string();
      case 't': return take("true");
      case 'f': return take("false");
      case 'n': return take("null");
    }
    return number();
  }

  template <class Item>
  bool list(char open, char close, Item item) {
    if (!take({&open, 1})) return false;
    if (take({&close, 1})) return true;
    do
      if (!item()) return false;
    while (take(","));
    return take({&close, 1});
  }

  // Printable ASCII only, which every UTF-8 decoder takes for itself.
  bool string() {
    if (!take("\"")) return false;
    while (!text_.empty() && text_[0] >= 0x20 && text_[0] < 0x7f && text_[0] != '"')
      if (text_[0] == '\\') {
        if (!escape()) return false;
      } else {
        text_.remove_prefix(1);
      }
    return take("\"");
  }

  bool escape() {
    text_.remove_prefix(1);
    if (take("u")) {
      const size_t digits = text_.find_first_not_of("0123456789abcdef");
      if (std::min(digits, text_.size()) < 4) return false;
      text_.remove_prefix(4);
      return true;
    }
    if (text_.empty() || std::string_view("\"\\/bfnrt").find(text_[0]) == text_.npos) return false;
    text_.remove_prefix(1);
    return true;
  }

  // Nothing negative and no exponents: ringdns writes none.
  bool number() {
    const bool zero = next_is('0');
    const size_t whole = digits();
    if (whole == 0 || (whole > 1 && zero)) return false;
    return !take(".") || digits() > 0;
  }

  size_t digits() {
    const size_t count = std::min(text_.find_first_not_of("0123456789"), text_.size());
    text_.remove_prefix(count);
    return count;
  }

  std::string_view text_;
};
