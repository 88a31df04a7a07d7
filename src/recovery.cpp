#include "ringdns/recovery.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace ringdns {

namespace {

bool regular(const Fd& fd) {
  struct stat facts {};
  return fstat(fd.get(), &facts) == 0 && S_ISREG(facts.st_mode);
}

std::string open_file(const std::string& path, bool keep, OutputFile& out) {
  Outcome<Fd> opened = open_output(path, keep);
  if (!opened.value) return opened.error;
  out.stream = std::move(*opened.value);
  if (path == "-" || !regular(out.stream)) return {};
  out.own = Fd(fcntl(out.stream.get(), F_DUPFD_CLOEXEC, 3));
  return out.own.valid() ? "" : failure("cannot open " + path, errno);
}

// The options that decide what a line asks and what is written of it, as one line.
std::string name_of_run(const Options& options, const Seat& seat) {
  Buffer out;
  const char* before = "-t ";
  for (uint16_t type : options.types) {
    out.append(std::exchange(before, ","));
    append_type(out, type);
  }
  out.append(" -o ");
  out.append(options.format_name);
  if (options.extended_input) out.append(" --extended-input");
  before = options.filter == Options::Filter::only ? " --filter " : " --ignore ";
  for (uint16_t code = 0; code < options.filter_rcodes.size(); ++code) {
    if (!options.filter_rcodes[code]) continue;
    out.append(std::exchange(before, ","));
    append_rcode(out, code);
  }
  if (!options.unresolved.empty()) out.append(" --unresolved");
  if (seat.is_worker) {
    out.append(" --processes ");
    out.append_decimal(options.processes);
    out.append(" #");
    out.append_decimal(seat.index);
  }
  return std::string(out.view());
}

InputMark mark_of(const Fd& input) {
  InputMark mark{file_size(input), 0, 0};
  if (mark.size == 0) return mark;
  std::array<char, 64 * 1024> head;
  ssize_t got = pread(input.get(), head.data(), head.size(), 0);
  mark.head = static_cast<uint64_t>(std::max<ssize_t>(got, 0));
  mark.hash = hash_on(hash_of_nothing, {head.data(), static_cast<size_t>(mark.head)});
  return mark;
}

Checkpoint beginning(const Options& options, const Seat& seat, const Fd* input) {
  Checkpoint begin;
  begin.run = name_of_run(options, seat);
  begin.base_line = begin.next.line = seat.index + uint64_t{1};
  if (!input) return begin;
  begin.input = mark_of(*input);
  off_t position = lseek(input->get(), 0, SEEK_CUR);
  if (begin.input.size && position > 0) begin.base_offset = static_cast<uint64_t>(position);
  return begin;
}

// The newer of the two that the store holds, or none; or why there is none though there should be.
// foreign: which of its files is somebody else's.
Outcome<Checkpoint> newest(ReplacedFile& store, const std::array<std::string, 2>& contents,
                           const std::string& path, std::string& foreign) {
  Outcome<Checkpoint> found;
  for (uint32_t which = 0; which < contents.size(); ++which) {
    Checkpoint read;
    CheckpointError error = parse_checkpoint(contents[which], read);
    if (error == CheckpointError::none && (!found.value || read.sequence > found.value->sequence)) {
      found.value = std::move(read);
      store.set_newer(which);
    }
    // A first one that was cut short, beside or under an empty name, is as good as none.
    if (which == 0 && error != CheckpointError::none && !contents[0].empty())
      found.error = path + " " + std::string(describe(error));
    if (error == CheckpointError::foreign && !contents[which].empty())
      foreign = path + (which == 0 ? "" : ".tmp");
  }
  if (found.value) found.error.clear();
  return found;
}

std::string differs(const std::string& path, const Checkpoint& made, const Checkpoint& now) {
  if (made.run != now.run)
    return "cannot resume: " + path + " was made with \"" + made.run + "\", not with \"" + now.run +
           "\"";
  bool streams = made.input.size == 0 && now.input.size == 0;  // which are compared as they come
  if (streams || made.input == now.input) return {};
  return "cannot resume: " + path + " was made of another list of names";
}

std::string load(const Options& options, const Seat& seat, const Fd* input, Outputs& out) {
  std::string path = seat.path(options.checkpoint);
  bool drops = geteuid() == 0 && !options.keep_root;
  std::string error =
      out.store.open(path, drops ? ReplacedFile::Way::in_turn : ReplacedFile::Way::rename);
  if (!error.empty()) return error;
  std::array<std::string, 2> contents;
  if (int unread = out.store.read(contents)) return failure("cannot read " + path, unread);
  std::string foreign;
  Outcome<Checkpoint> made = newest(out.store, contents, path, foreign);
  out.from = beginning(options, seat, input);
  if (!options.resume) {
    if (!foreign.empty()) return foreign + " is there and is no checkpoint: it is not overwritten";
    if (made.value) out.from.sequence = made.value->sequence;
    return {};
  }
  if (!made.error.empty()) return "cannot resume: " + made.error;
  if (!made.value) return {};
  error = differs(path, *made.value, out.from);
  out.from = std::move(*made.value);
  out.resumed = true;
  return error;
}

std::string check_size(const Options& options, const Outputs& outputs, const OutputFile& file,
                       const std::string& path, uint64_t known) {
  if (!options.resume || !file.own.valid()) return {};
  uint64_t size = file_size(file.own);
  if (!outputs.resumed && size > 0)
    return "cannot resume: there is no checkpoint, but " + path + " is not empty";
  if (size < known)
    return "cannot resume: " + path + " is shorter than when the checkpoint was made";
  return {};
}

// What a killed run wrote last may be half a line, which the next one must not join.
bool ends_within_line(const Fd& standard_output) {
  if (!regular(standard_output)) return false;
  std::string path = "/proc/self/fd/" + std::to_string(standard_output.get());
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  uint64_t size = file_size(file);
  char last = '\n';
  return size > 0 && pread(file.get(), &last, 1, static_cast<off_t>(size - 1)) == 1 && last != '\n';
}

// A fresh run's first checkpoint is there before anything is cut: a kill at any moment leaves one
// that fits the output.
std::string begin_at(const Fd* input, Outputs& out) {
  if (!out.resumed) {
    Buffer first;
    ++out.from.sequence;
    append_checkpoint(first, out.from);
    if (int error = out.store.replace(first.bytes()))
      return failure("writing the checkpoint failed", error);
  }
  for (OutputFile* file : {&out.output, &out.unresolved})
    if (int error = file->cut(0)) return failure("cannot set the output to where to go on", error);
  bool moves = input && out.from.input.size > 0;
  if (moves && lseek(input->get(), static_cast<off_t>(out.from.base_offset), SEEK_SET) < 0)
    return failure("cannot set the list of names to where to go on", errno);
  return {};
}

}  // namespace

int OutputFile::cut(uint64_t octets) const {
  if (!own.valid()) return 0;
  off_t end = static_cast<off_t>(begin + octets);
  return ftruncate(own.get(), end) == 0 && lseek(own.get(), end, SEEK_SET) == end ? 0 : errno;
}

int OutputFile::sync() const { return own.valid() && fdatasync(own.get()) != 0 ? errno : 0; }

Kept Outputs::keep(Bytes checkpoint) {
  Instant begin = std::chrono::steady_clock::now();
  int error = output.sync();
  if (!error) error = unresolved.sync();
  if (!error) error = store.replace(checkpoint);
  return {error, std::chrono::steady_clock::now() - begin};
}

std::string open_outputs(const Options& options, const Seat& seat, const Fd* input, Outputs& out) {
  bool kept = !options.checkpoint.empty();
  bool sends_frames = seat.is_worker && options.outfile == "-";
  std::string error, output = options.outfile == "-" ? "-" : seat.path(options.outfile);
  std::string unresolved = seat.path(options.unresolved);
  if (kept) error = load(options, seat, input, out);
  if (error.empty() && !sends_frames) error = open_file(output, kept, out.output);
  if (error.empty() && !options.unresolved.empty())
    error = open_file(unresolved, kept, out.unresolved);
  if (!error.empty() || !kept) return error;

  out.output.begin = out.from.output_size;
  out.unresolved.begin = out.from.unresolved_size;
  error = check_size(options, out, out.output, output, out.output.begin);
  if (error.empty())
    error = check_size(options, out, out.unresolved, unresolved, out.unresolved.begin);
  if (!error.empty()) return error;
  out.broken_line = out.resumed && output == "-" && ends_within_line(out.output.stream);
  return begin_at(input, out);
}

}  // namespace ringdns
