// Level 7: what outlives a run and what the next one begins with: the files it writes, which end
// with whole records, and its checkpoint.
#pragma once

#include "ringdns/checkpoint.hpp"
#include "ringdns/replaced_file.hpp"
#include "ringdns/saver.hpp"
#include "ringdns/setup.hpp"

namespace ringdns {

// A file that results go to.
struct OutputFile {
  Fd stream;           // for the Io
  Fd own;              // the same, where it is a regular file that we opened: it may be cut
  uint64_t begin = 0;  // octets before this run's

  // It ends behind so many octets of this run. Returns an errno.
  int cut(uint64_t octets) const;
  int sync() const;
};

struct Outputs {
  OutputFile output;      // not opened for a worker that sends frames
  OutputFile unresolved;  // --unresolved
  ReplacedFile store;     // --checkpoint
  Checkpoint from;        // where the run begins
  bool resumed = false;
  bool broken_line = false;  // stdout ends within a line that a killed run left

  // All of it on the disk: the output, then the checkpoint of it.
  Kept keep(Bytes checkpoint);
};

// Which of the processes a run is of: FILE, or FILE0, FILE1, ...
struct Seat {
  bool is_worker = false;
  uint32_t index = 0;
  std::string path(const std::string& file) const {
    return is_worker ? file + std::to_string(index) : file;
  }
};

// Opens the files and, to go on, finds out from where, checks that it is the same run, and cuts from
// the output what will be written again. input: a single process's, set to where to go on. Returns
// what went wrong; then nothing that was there has changed.
std::string open_outputs(const Options& options, const Seat& seat, const Fd* input, Outputs& out);

}  // namespace ringdns
