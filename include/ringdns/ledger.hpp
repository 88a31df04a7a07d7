// Level 4: which input lines have no outcome yet, in their order, each with its own words: what
// --unresolved writes and a checkpoint names. Made once, at start; nothing is allocated per query.
#pragma once

#include <vector>

#include "ringdns/buffer.hpp"
#include "ringdns/checkpoint.hpp"
#include "ringdns/timers.hpp"

namespace ringdns {

class Ledger {
 public:
  static constexpr uint32_t none = UINT32_MAX;

  // What one input line asks for one type.
  struct Entry {
    uint64_t line = 0;
    uint64_t offset = 0;    // octets of the input before the line
    uint32_t next = none;   // waits for the same lookup
    uint32_t words = none;  // first piece of the line's text
    uint32_t length = 0;
    uint16_t part = 0;
    bool several = false;   // the line asks for other types as well
  };

  // For so many lookups and lines waiting for them. Texts are of up to most_text octets; without
  // texts none is kept.
  Ledger(uint32_t slots, uint32_t lines, size_t most_text, bool texts)
      : lists_(lines, lists), entries_(lines), first_(slots, none),
        spare_pieces_(texts ? pieces_of(most_text) : 0),
        pieces_(texts ? pieces_per_line * size_t{lines} + spare_pieces_ : 0) {
    for (uint32_t at = 0; at < lines; ++at) lists_.push_back(free_list, at);
    for (uint32_t at = 0; at < pieces_.size(); ++at) pieces_[at].next = at + 1;
    free_pieces_ = pieces_.size();
  }

  // One more line can wait, whatever its length.
  bool has_room() const { return !lists_.empty(free_list) && free_pieces_ >= spare_pieces_; }

  // has_room(). Lines are opened in the order of the input.
  void open(uint32_t slot, Place place, uint64_t offset, std::string_view text, bool several) {
    uint32_t at = lists_.front(free_list);
    lists_.remove(at);
    lists_.push_back(open_list, at);
    Entry& entry = entries_[at];
    entry = {place.line, offset, first_[slot], none, 0, static_cast<uint16_t>(place.part), several};
    if (!pieces_.empty()) keep_text(entry, text);
    first_[slot] = at;
    ++changes_;
  }

  // All lines that wait for this lookup have their outcome. use(entry) for each.
  template <class Use>
  void close(uint32_t slot, Use&& use) {
    for (uint32_t at = std::exchange(first_[slot], none); at != none;) {
      const Entry& entry = entries_[at];
      use(entry);
      uint32_t next = entry.next;
      drop_text(entry);
      lists_.remove(at);
      lists_.push_back(free_list, at);
      at = next;
    }
    ++changes_;
  }
  // They stay without one, to be asked in another run.
  void leave(uint32_t slot) { first_[slot] = none; }

  void append_text(Buffer& out, const Entry& entry) const {
    uint32_t left = entry.length;
    for (uint32_t at = entry.words; left > 0; at = pieces_[at].next) {
      uint32_t here = std::min<uint32_t>(left, piece_size);
      out.append(pieces_[at].text.data(), here);
      left -= here;
    }
  }

  bool empty() const { return lists_.empty(open_list); }
  const Entry& lowest() const { return entries_[lists_.front(open_list)]; }  // not empty()
  template <class Use>
  void each_open(Use&& use) const {
    lists_.each(open_list, [&](uint32_t at) { use(entries_[at]); });
  }
  uint64_t changes() const { return changes_; }

 private:
  static constexpr uint32_t free_list = 0, open_list = 1, lists = 2;
  static constexpr size_t piece_size = 28, pieces_per_line = 2;
  struct Piece {
    std::array<char, piece_size> text;
    uint32_t next = none;
  };

  static size_t pieces_of(size_t length) { return (length + piece_size - 1) / piece_size; }

  void keep_text(Entry& entry, std::string_view text) {
    entry.length = static_cast<uint32_t>(text.size());
    uint32_t* link = &entry.words;
    for (; !text.empty(); text.remove_prefix(std::min(text.size(), piece_size))) {
      uint32_t at = free_piece_;
      free_piece_ = pieces_[at].next;
      --free_pieces_;
      std::copy_n(text.data(), std::min(text.size(), piece_size), pieces_[at].text.data());
      *link = at;
      link = &pieces_[at].next;
    }
    *link = none;
  }
  void drop_text(const Entry& entry) {
    if (entry.words == none) return;
    uint32_t last = entry.words;
    size_t count = 1;
    for (; pieces_[last].next != none; last = pieces_[last].next) ++count;
    pieces_[last].next = free_piece_;
    free_piece_ = entry.words;
    free_pieces_ += count;
  }

  SlotLists lists_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> first_;  // by slot: the entry opened last
  size_t spare_pieces_;
  std::vector<Piece> pieces_;
  uint32_t free_piece_ = 0;
  size_t free_pieces_ = 0;
  uint64_t changes_ = 0;
};

}  // namespace ringdns
