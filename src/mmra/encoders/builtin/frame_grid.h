#pragma once

#include <vector>

#include "mmra/media/clip.h"

namespace mmra::encoders {

/// Longer side of the grid on which frames are measured.
inline constexpr int kGridSide = 64;
/// Shorter side at least, however narrow the frame, so that every cell of a 4 × 4 grid has pixels.
inline constexpr int kMinGridSide = 16;

struct GridShape {
  int width = 0;
  int height = 0;
};

/// A frame shrunk (or stretched) to a small grid by area averaging. Planes are row-major
/// [height × width], channels in [0, 1].
struct FrameGrid {
  GridShape shape;
  std::vector<float> red;
  std::vector<float> green;
  std::vector<float> blue;
  std::vector<float> luma;  ///< 0.299 R + 0.587 G + 0.114 B (BT.601)
};

/// The frame's aspect with the longer side kGridSide, the shorter at least kMinGridSide.
[[nodiscard]] GridShape grid_shape_of(const media::Frame& frame);

/// Each grid pixel is the mean of the area of the frame that it covers, fractions of pixels
/// included. Throws Error{kInvalidInput} where the frame is empty or its bytes do not fit its size.
[[nodiscard]] FrameGrid shrink_frame(const media::Frame& frame, GridShape shape);

}  // namespace mmra::encoders
