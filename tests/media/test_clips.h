#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mmra/media/clip.h"
#include "mmra/media/clip_writer.h"
#include "mmra/media/ffmpeg_handles.h"

namespace mmra::media::testing {

/// A picture that says its number in 4 × 4 black and white blocks, which survive lossy coding,
/// turned pictures excepted.
[[nodiscard]] Frame numbered_frame(int number, int width = 96, int height = 64);
/// The number of a decoded numbered_frame of any size.
[[nodiscard]] int number_of(const Frame& frame);
[[nodiscard]] std::vector<int> numbers_of(const SampledClip& clip);

/// A clip of numbered frames 0 … n−1.
void write_numbered_clip(const std::filesystem::path& file, int num_frames,
                         const ClipWriterOptions& options, int width = 96, int height = 64);

/// The slow oracle: opens `file` as FFmpeg's documentation says, decodes everything to count, and
/// again to pick.
struct OracleClip {
  std::int64_t num_frames = 0;
  std::vector<Frame> frames;
};
[[nodiscard]] OracleClip sample_by_oracle(const std::filesystem::path& file,
                                          const SampleOptions& options);

/// sample_frames of `file` must be what the oracle says, pixel by pixel, both where it may skip and
/// where it decodes everything. Returns the packets decoded where it may skip; empty where it did
/// not skip.
std::optional<std::int64_t> expect_like_oracle(const std::filesystem::path& file,
                                               const SampleOptions& options = {});

/// Every byte of the file; and a file of these bytes.
[[nodiscard]] std::string bytes_of(const std::filesystem::path& file);
void write_bytes(const std::filesystem::path& file, const std::string& bytes);

}  // namespace mmra::media::testing
