#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <stop_token>

#include "mmra/media/clip.h"

namespace mmra::sandbox {

struct DecoderLimits {
  std::int64_t max_memory_bytes = std::int64_t{1} << 30;  ///< beside the file itself
  std::chrono::milliseconds max_time{30'000};
  std::int64_t max_pixels = 4096LL * 2304LL;  ///< of one picture
};

/// Decodes files that nobody vouches for, each in a process of its own. Thread-safe.
class ClipDecoder {
 public:
  /// `program` is mmra-decoder; throws Error{kNotFound} where it is not there.
  ClipDecoder(std::filesystem::path program, const DecoderLimits& limits);
  /// Where it is beside the running program.
  [[nodiscard]] static std::filesystem::path program_beside_this();

  /// What media::sample_frames gives for `file`; the file's name is in no message. Throws
  /// Error{kCorruptData} for whatever is wrong with the file, its decoder's death included; {kIo}
  /// where no process can be started; Interrupted.
  [[nodiscard]] media::SampledClip decode(const std::filesystem::path& file, int num_frames,
                                          int max_side_px, const std::stop_token& stop) const;

 private:
  std::filesystem::path program_;
  DecoderLimits limits_;
};

}  // namespace mmra::sandbox
