// Level 1: a growing run of output bytes. Keeps its storage when cleared.
#pragma once

#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "ringdns/base.hpp"

namespace ringdns {

class Buffer {
 public:
  void append(std::string_view text) { append(text.data(), text.size()); }
  void append(Bytes bytes) { append(bytes.data(), bytes.size()); }
  void append(char c) { *reserve(1) = c, size_ += 1; }
  void append(const void* data, size_t length) {
    if (length == 0) return;
    std::memcpy(reserve(length), data, length);
    size_ += length;
  }
  void append_decimal(uint64_t value) {
    char* at = reserve(20);
    size_ += static_cast<size_t>(std::to_chars(at, at + 20, value).ptr - at);
  }

  // Room for `length` more bytes; commit() says how many of them were written.
  char* reserve(size_t length) {
    if (capacity_ - size_ < length) [[unlikely]] grow(length);
    return data_.get() + size_;
  }
  void commit(size_t length) { size_ += length; }

  char* data() { return data_.get(); }
  void truncate(size_t size) { size_ = size; }
  void consume(size_t length) {  // drops the first ones
    if (length && length < size_) std::memmove(data_.get(), data_.get() + length, size_ - length);
    size_ -= length;
  }
  void clear() { size_ = 0; }
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  std::string_view view() const { return {data_.get(), size_}; }
  Bytes bytes() const { return {reinterpret_cast<const uint8_t*>(data_.get()), size_}; }

 private:
  void grow(size_t length) {
    size_t capacity = capacity_ ? capacity_ : 4096;
    while (capacity - size_ < length) capacity *= 2;
    auto bigger = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_) std::memcpy(bigger.get(), data_.get(), size_);
    data_ = std::move(bigger);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace ringdns
