#include "mmra/encoders/builtin/frame_grid.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "mmra/core/error.h"

namespace mmra::encoders {
namespace {

/// Which source pixels one grid pixel covers along one axis, and how much of each (sum 1).
struct Coverage {
  int first = 0;
  std::vector<double> weights;
};

std::vector<Coverage> cover(int source_size, int target_size) {
  std::vector<Coverage> coverages(static_cast<std::size_t>(target_size));
  // In units of 1/target_size source pixels the borders are whole numbers, so nothing is rounded.
  for (int target = 0; target < target_size; ++target) {
    const std::int64_t begin = std::int64_t{target} * source_size;
    const std::int64_t end = begin + source_size;
    Coverage& coverage = coverages[target];
    coverage.first = static_cast<int>(begin / target_size);
    for (std::int64_t pixel = coverage.first; pixel * target_size < end; ++pixel) {
      const std::int64_t covered =
          std::min(end, (pixel + 1) * target_size) - std::max(begin, pixel * target_size);
      coverage.weights.push_back(static_cast<double>(covered) / source_size);
    }
  }
  return coverages;
}

void check(const media::Frame& frame) {
  const bool positive = frame.width > 0 && frame.height > 0;
  if (positive && frame.rgb.size() == std::size_t{3} * frame.width * frame.height) return;
  throw Error(ErrorKind::kInvalidInput, "a frame of " + std::to_string(frame.width) + " x " +
                                            std::to_string(frame.height) + " pixels cannot have " +
                                            std::to_string(frame.rgb.size()) + " bytes of RGB");
}

}  // namespace

GridShape grid_shape_of(const media::Frame& frame) {
  check(frame);
  const std::int64_t longer = std::max(frame.width, frame.height);
  const auto scaled = [&](int side) {
    const std::int64_t rounded = (2 * std::int64_t{side} * kGridSide + longer) / (2 * longer);
    return static_cast<int>(std::max<std::int64_t>(rounded, kMinGridSide));
  };
  return {scaled(frame.width), scaled(frame.height)};
}

FrameGrid shrink_frame(const media::Frame& frame, GridShape shape) {
  check(frame);
  const std::vector<Coverage> columns = cover(frame.width, shape.width);
  const std::vector<Coverage> rows = cover(frame.height, shape.height);
  const std::size_t row_bytes = std::size_t{3} * frame.width;
  const std::size_t num_pixels = static_cast<std::size_t>(shape.width) * shape.height;
  FrameGrid grid{shape, {}, {}, {}, {}};
  for (auto* plane : {&grid.red, &grid.green, &grid.blue, &grid.luma}) plane->resize(num_pixels);

  std::vector<double> sums(row_bytes);  // one grid row at the frame's full width
  for (int y = 0; y < shape.height; ++y) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t i = 0; i < rows[y].weights.size(); ++i) {
      const double weight = rows[y].weights[i] / 255.0;
      const std::uint8_t* source = frame.rgb.data() + (rows[y].first + i) * row_bytes;
      for (std::size_t byte = 0; byte < row_bytes; ++byte) sums[byte] += weight * source[byte];
    }
    for (int x = 0; x < shape.width; ++x) {
      double channel[3] = {0.0, 0.0, 0.0};
      for (std::size_t i = 0; i < columns[x].weights.size(); ++i) {
        const double* source = sums.data() + 3 * (columns[x].first + i);
        for (int c = 0; c < 3; ++c) channel[c] += columns[x].weights[i] * source[c];
      }
      const std::size_t at = static_cast<std::size_t>(y) * shape.width + x;
      grid.red[at] = static_cast<float>(channel[0]);
      grid.green[at] = static_cast<float>(channel[1]);
      grid.blue[at] = static_cast<float>(channel[2]);
      grid.luma[at] =
          static_cast<float>(0.299 * channel[0] + 0.587 * channel[1] + 0.114 * channel[2]);
    }
  }
  return grid;
}

}  // namespace mmra::encoders
