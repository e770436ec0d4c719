#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "mmra/core/error.h"
#include "mmra/media/clip.h"

namespace mmra::sandbox {

// What the decoder's process says to the one that started it, little endian: "MMRAclip", then 0 and
// a clip, or 1 and an error. Both ends are of one build; the reader trusts nothing but its own
// limits, because a hostile file may have taken the writer over.

/// How a decoder ends that has no memory left to say so.
inline constexpr int kOutOfMemoryStatus = 3;

/// Fills all of the span, or throws.
using ReadExactly = std::function<void(std::span<std::byte>)>;
using WriteAll = std::function<void(std::span<const std::byte>)>;

struct ClipLimits {
  int max_frames = 10;                             ///< frames of the answer
  std::int64_t max_pixels = 4096LL * 2304LL;       ///< of one
  std::int64_t max_bytes = std::int64_t{1} << 29;  ///< of all of them
};

void write_clip(const media::SampledClip& clip, const WriteAll& write);
void write_error(const Error& error, const WriteAll& write);

/// The clip that was written; throws the error that was written, as one of kCorruptData, or
/// Error{kCorruptData} where the bytes are neither or beyond a limit.
[[nodiscard]] media::SampledClip read_clip(const ReadExactly& read, const ClipLimits& limits);

}  // namespace mmra::sandbox
