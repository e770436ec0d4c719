#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mmra::media {

/// One decoded picture as a person sees it (rotation metadata applied, full-range sRGB-ish RGB):
/// 8 bits a channel, row-major [height × width × 3].
struct Frame {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
  std::int64_t index = 0;  ///< position among the stream's frames in presentation order, from 0
  double pts_s = 0.0;      ///< presentation time from the stream's start
};

/// What the file itself says (after rotation). Zero where unknown.
struct ClipInfo {
  double duration_s = 0.0;
  int width = 0;
  int height = 0;
  double frame_rate = 0.0;  ///< average, frames per second
  bool has_audio = false;
  std::int64_t num_frames = 0;  ///< counted, not the header's word
  std::string codec;            ///< FFmpeg's short name: "h264", "hevc", …
};

/// The sampled frames of one clip, in presentation order.
struct SampledClip {
  ClipInfo info;
  std::vector<Frame> frames;           ///< at most SampleOptions::num_frames, at least 1
  std::optional<std::string> warning;  ///< one line: truncated, damaged, cut by a limit
};

struct SampleOptions {
  int num_frames = 10;
  /// Longer side of the returned frames in pixels, aspect kept; 0 keeps the native size.
  int max_side_px = 0;
  // Bounds on one file, so that no input can hold a worker for ever or fill the memory.
  double max_decode_s = 60.0;                 ///< wall-clock seconds
  std::int64_t max_frames = 200'000;          ///< frames decoded
  std::int64_t max_pixels = 8192LL * 8192LL;  ///< of one picture
  std::stop_token stop = {};                  ///< throws Interrupted
  int decoder_threads = 1;  ///< of one file; several files at once are the caller's
  /// Decode every packet even where the packets prove that some can be skipped: the slow oracle.
  bool decode_everything = false;
};

}  // namespace mmra::media
