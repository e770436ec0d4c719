#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "mmra/media/clip.h"

namespace mmra::encoders {

/// How alike two frames must be to share a caption. Differences are between the frames shrunk to
/// kGroupGridSide × kGroupGridSide cells by area averaging, in channel values of [0, 1].
struct FrameGroupOptions {
  /// Mean absolute difference over all cells and channels: noise and compression stay below it.
  float max_mean_difference = 2.5F / 255.0F;
  /// Largest difference of a cell in any channel: a small thing that comes or goes stays not.
  float max_cell_difference = 16.0F / 255.0F;
};

inline constexpr int kGroupGridSide = 24;

/// For each frame the index of the frame that speaks for it: itself, or the first earlier one that
/// speaks for itself, has the same size and differs by no more than `options` allow. A frame is
/// compared with representatives alone, so that a slow change makes a new group in the end.
/// Throws Error{kInvalidInput} where a frame's bytes do not fit its size.
[[nodiscard]] std::vector<std::size_t> group_similar_frames(std::span<const media::Frame> frames,
                                                            const FrameGroupOptions& options = {});

}  // namespace mmra::encoders
