#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "mmra/media/clip.h"
#include "mmra/media/ffmpeg_handles.h"

namespace mmra::media {

/// One of the eight ways to turn a picture by quarters and mirror it: first swap x and y, then
/// mirror.
struct Orientation {
  bool transpose = false;
  bool mirror_x = false;
  bool mirror_y = false;
};

/// What a display matrix (3 × 3, as libavutil/display.h lays it out) asks for, to the nearest
/// quarter turn.
[[nodiscard]] Orientation orientation_of(std::span<const std::int32_t, 9> display_matrix);

/// Decoded pictures to RGB as a person sees them: the stream's matrix (BT.601, BT.709 …;
/// unspecified: BT.709 from 720 lines on) and range, chroma interpolated, rotation applied.
/// Shrinks by area averaging in the same step; never enlarges. The sample aspect ratio, interlacing
/// and alpha are ignored, high dynamic range is not tone-mapped. Not thread-safe.
class FrameConverter {
 public:
  /// `max_side_px` 0: native size. `stream`: for its rotation.
  FrameConverter(const AVStream& stream, int max_side_px);

  /// Everything but index and pts_s. Throws Error{kUnsupported} for pixels that swscale cannot
  /// read.
  [[nodiscard]] Frame convert(const AVFrame& picture);
  /// The native size of the last picture, after rotation.
  [[nodiscard]] int native_width() const { return native_width_; }
  [[nodiscard]] int native_height() const { return native_height_; }

 private:
  FramePtr to_rgb(const AVFrame& picture);
  [[nodiscard]] Orientation orientation(const AVFrame& picture) const;

  int max_side_px_;
  std::optional<Orientation> stream_orientation_;
  SwsPtr scaler_;
  int native_width_ = 0;
  int native_height_ = 0;
};

}  // namespace mmra::media
