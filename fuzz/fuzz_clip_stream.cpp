#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "mmra/sandbox/clip_stream.h"
#include "outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mmra::sandbox::ClipLimits limits;
  limits.max_bytes = 1 << 20;
  static_cast<void>(mmra::fuzz::outcome_of([&] {
    std::size_t at = 0;
    const mmra::media::SampledClip clip = mmra::sandbox::read_clip(
        [&](std::span<std::byte> to) {
          if (size - at < to.size()) throw mmra::Error(mmra::ErrorKind::kCorruptData, "it ends");
          std::memcpy(to.data(), data + at, to.size());
          at += to.size();
        },
        limits);
    std::size_t num_bytes = 0;
    for (const mmra::media::Frame& frame : clip.frames) num_bytes += frame.rgb.size();
    mmra::fuzz::require(num_bytes <= (1U << 20), "more pictures than may be");
    mmra::fuzz::require(!clip.frames.empty(), "a clip without frames");
    return clip.info.codec;
  }));
  return 0;
}
