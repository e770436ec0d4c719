#include "mmra/encoders/pretrained/frame_groups.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "mmra/encoders/builtin/frame_grid.h"

namespace mmra::encoders {
namespace {

struct Representative {
  std::size_t index = 0;
  FrameGrid grid;
};

bool are_alike(const FrameGrid& a, const FrameGrid& b, const FrameGroupOptions& options) {
  const std::array channels{std::pair{&a.red, &b.red}, std::pair{&a.green, &b.green},
                            std::pair{&a.blue, &b.blue}};
  double sum = 0.0;
  for (const auto& [of_a, of_b] : channels) {
    for (std::size_t i = 0; i < of_a->size(); ++i) {
      const float difference = std::abs((*of_a)[i] - (*of_b)[i]);
      if (difference > options.max_cell_difference) return false;
      sum += difference;
    }
  }
  return sum <=
         static_cast<double>(options.max_mean_difference) * 3.0 * static_cast<double>(a.red.size());
}

}  // namespace

std::vector<std::size_t> group_similar_frames(std::span<const media::Frame> frames,
                                              const FrameGroupOptions& options) {
  std::vector<std::size_t> groups(frames.size());
  std::vector<Representative> representatives;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    FrameGrid grid = shrink_frame(frames[i], {kGroupGridSide, kGroupGridSide});
    const auto speaks_for_it = [&](const Representative& earlier) {
      const media::Frame& frame = frames[earlier.index];
      return frame.width == frames[i].width && frame.height == frames[i].height &&
             are_alike(earlier.grid, grid, options);
    };
    const auto found = std::find_if(representatives.begin(), representatives.end(), speaks_for_it);
    groups[i] = found != representatives.end() ? found->index : i;
    if (groups[i] == i) representatives.push_back({i, std::move(grid)});
  }
  return groups;
}

}  // namespace mmra::encoders
