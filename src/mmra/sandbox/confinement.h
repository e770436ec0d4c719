#pragma once

#include <cstdint>

namespace mmra::sandbox {

struct ConfinementLimits {
  std::int64_t max_memory_bytes = std::int64_t{1} << 30;  ///< address space; not under ASan
  int max_processor_s = 60;
};

/// Takes everything away from this process, for good, that decoding from memory and writing to
/// standard output does not need: it dies with its parent, has little memory and time, cannot open
/// a file, a socket or a process, cannot make memory executable. System calls that a library may
/// try and do without fail; all others kill the process. Throws Error{kUnsupported} where the
/// kernel does not know seccomp: without the filter nothing is to be decoded.
void confine_this_process(const ConfinementLimits& limits);

}  // namespace mmra::sandbox
