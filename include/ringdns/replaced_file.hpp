// Level 1: a small file that is only ever whole, for whoever reads it and whenever this process
// ends.
#pragma once

#include <array>
#include <string>

#include "ringdns/base.hpp"

namespace ringdns {

// All it needs is opened by open(), so that privileges may be dropped, or the file system be closed
// off but for its directory, from then on.
class ReplacedFile {
 public:
  enum class Way {
    rename,   // FILE.tmp is written and takes FILE's place, which needs the right to do so
    in_turn,  // both are open from the start, and the older one is rewritten: where that right will
              // be dropped. Who reads takes the newer one that is whole
  };

  // An empty string, or what went wrong. Changes no FILE that is there.
  std::string open(const std::string& path, Way way);

  // What FILE and FILE.tmp hold; empty where there is none. Returns an errno.
  int read(std::array<std::string, 2>& contents) const;
  void set_newer(uint32_t which) { newer_ = which; }  // of the two that read() told; not to be lost

  // Where replace() makes files, for a sandbox that is to permit that; -1: it makes none.
  int directory() const { return way_ == Way::rename ? directory_.get() : -1; }

  // Returns when it is on the disk, or with an errno; then what was there before still is.
  int replace(Bytes content);

 private:
  int rename_over(Bytes content);
  int rewrite(Bytes content);

  Fd directory_;
  std::array<std::string, 2> names_;  // FILE, FILE.tmp
  std::array<Fd, 2> open_;            // in_turn
  Way way_ = Way::rename;
  uint32_t newer_ = 0;
};

// All of it from where the file stands, behind what out holds. Returns an errno.
int read_all(const Fd& file, std::string& out);
// All of it, or an errno.
int write_all(const Fd& file, Bytes bytes);

}  // namespace ringdns
