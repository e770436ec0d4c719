#pragma once

#include "mmra/media/clip.h"
#include "mmra/media/ffmpeg_handles.h"

namespace mmra::media {

struct PictureSize {
  int width = 0;
  int height = 0;
};

/// `size` with its longer side at most `max_side_px` (0: as it is), the aspect kept as far as whole
/// pixels allow, never enlarged, never below one pixel.
[[nodiscard]] PictureSize shrink_to(PictureSize size, int max_side_px);

/// How RGB becomes luma and chroma.
struct ColourCoding {
  bool bt709 = false;       ///< else BT.601
  bool full_range = false;  ///< 0–255, else 16–235
};

/// `frame` as a picture that encoders take, [height × width] of `format`, scaled by area averaging
/// where the size differs. Throws Error{kInvalidInput} where `frame` holds other than width ×
/// height × 3 bytes.
[[nodiscard]] FramePtr make_encodable(const Frame& frame, AVPixelFormat format, int width,
                                      int height, const ColourCoding& coding);

}  // namespace mmra::media
