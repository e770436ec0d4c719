#include "mmra/encoders/builtin/frame_description.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "mmra/encoders/builtin/frame_grid.h"

namespace mmra::encoders {
namespace {

constexpr float kEdgeThreshold = 0.06F;
constexpr float kChangeThreshold = 0.08F;
constexpr float kUniformRowDeviation = 0.02F;
/// Chroma (max − min channel) below which a pixel has no hue, and above which it is all hue.
constexpr float kNeutralChroma = 0.06F;
constexpr float kFullChroma = 0.18F;
/// A shift must take this share of the change away to count as one.
constexpr float kMinShiftGain = 0.1F;

struct Hsv {
  float hue = 0.0F;         ///< [0, 6): red 0, yellow 1, green 2, cyan 3, blue 4, magenta 5
  float saturation = 0.0F;  ///< [0, 1]
  float value = 0.0F;       ///< [0, 1]
  float chroma = 0.0F;      ///< [0, 1]
};

Hsv to_hsv(float red, float green, float blue) {
  const float high = std::max({red, green, blue});
  const float chroma = high - std::min({red, green, blue});
  Hsv hsv{0.0F, high > 0.0F ? chroma / high : 0.0F, high, chroma};
  if (chroma <= 0.0F) return hsv;
  if (high == red) {
    hsv.hue = (green - blue) / chroma + (green < blue ? 6.0F : 0.0F);
  } else if (high == green) {
    hsv.hue = (blue - red) / chroma + 2.0F;
  } else {
    hsv.hue = (red - green) / chroma + 4.0F;
  }
  if (hsv.hue >= 6.0F) hsv.hue -= 6.0F;
  return hsv;
}

enum ColourName {
  kRed,
  kOrange,
  kYellow,
  kGreen,
  kCyan,
  kBlue,
  kPurple,
  kPink,
  kBrown,
  kBlack,
  kGrey,
  kWhite
};

/// The basic colour term of one pixel. Hue borders in degrees: 15, 45, 70, 160, 195, 255, 290, 345.
ColourName name_of(const Hsv& colour) {
  if (colour.value < 0.15F) return kBlack;
  if (colour.saturation < 0.15F || colour.chroma < 0.08F) {
    return colour.value > 0.85F ? kWhite : kGrey;
  }
  const float degrees = colour.hue * 60.0F;
  const bool pale = colour.saturation < 0.5F && colour.value > 0.7F;
  if (degrees < 15.0F || degrees >= 345.0F) return pale ? kPink : kRed;
  if (degrees < 45.0F) return colour.value < 0.6F ? kBrown : kOrange;
  if (degrees < 70.0F) return kYellow;
  if (degrees < 160.0F) return kGreen;
  if (degrees < 195.0F) return kCyan;
  if (degrees < 255.0F) return kBlue;
  if (degrees < 290.0F) return kPurple;
  return kPink;
}

/// Adds `weight` to the two bins whose centres lie around `position` (in bins); small changes of
/// colour then make small changes of the histogram.
template <std::size_t kSize>
void add_soft(std::array<float, kSize>& bins, float position, float weight, bool wraps) {
  const float clamped = std::clamp(position, 0.0F, static_cast<float>(wraps ? kSize : kSize - 1));
  const auto low = static_cast<std::size_t>(clamped);
  const float fraction = clamped - static_cast<float>(low);
  bins[low % kSize] += weight * (1.0F - fraction);
  if (fraction > 0.0F) bins[(low + 1) % kSize] += weight * fraction;
}

float red_green(const FrameGrid& grid, std::size_t at) { return grid.red[at] - grid.green[at]; }
float yellow_blue(const FrameGrid& grid, std::size_t at) {
  return 0.5F * (grid.red[at] + grid.green[at]) - grid.blue[at];
}

/// Sums for a mean and a standard deviation, in double.
struct Moments {
  double sum = 0.0;
  double squares = 0.0;
  double weight = 0.0;

  void add(double value, double by = 1.0) {
    sum += by * value;
    squares += by * value * value;
    weight += by;
  }
  [[nodiscard]] double mean() const { return weight > 0.0 ? sum / weight : 0.0; }
  [[nodiscard]] double variance() const {
    return weight > 0.0 ? std::max(0.0, squares / weight - mean() * mean()) : 0.0;
  }
  [[nodiscard]] float deviation() const { return static_cast<float>(std::sqrt(variance())); }
};

void measure_colours(const FrameGrid& grid, FrameDescription& out) {
  const std::size_t num_pixels = grid.luma.size();
  const float weight = 1.0F / static_cast<float>(num_pixels);
  Moments luma;
  Moments saturation;
  Moments rg;
  Moments yb;
  for (std::size_t at = 0; at < num_pixels; ++at) {
    const Hsv colour = to_hsv(grid.red[at], grid.green[at], grid.blue[at]);
    const float hued =
        std::clamp((colour.chroma - kNeutralChroma) / (kFullChroma - kNeutralChroma), 0.0F, 1.0F);
    add_soft(out.hues, colour.hue * (kNumHues / 6.0F), weight * hued, true);
    add_soft(out.neutrals, colour.value * (kNumNeutrals - 1), weight * (1.0F - hued), false);
    add_soft(out.saturations, colour.saturation * (kNumSaturations - 1), weight, false);
    add_soft(out.lumas, grid.luma[at] * (kNumLumas - 1), weight, false);
    out.colour_names[name_of(colour)] += weight;
    luma.add(grid.luma[at]);
    saturation.add(colour.saturation);
    rg.add(red_green(grid, at));
    yb.add(yellow_blue(grid, at));
  }
  SceneMeasures& scene = out.scene;
  scene.mean_luma = static_cast<float>(luma.mean());
  scene.luma_deviation = luma.deviation();
  scene.mean_saturation = static_cast<float>(saturation.mean());
  scene.saturation_deviation = saturation.deviation();
  scene.mean_red_green = static_cast<float>(rg.mean());
  scene.mean_yellow_blue = static_cast<float>(yb.mean());
  scene.colourfulness =
      static_cast<float>(std::sqrt(rg.variance() + yb.variance()) +
                         0.3 * std::sqrt(rg.mean() * rg.mean() + yb.mean() * yb.mean()));
}

void measure_colour_grid(const FrameGrid& grid, FrameDescription& out) {
  const auto [width, height] = grid.shape;
  std::array<double, kNumColourCells * 3> sums{};
  std::array<int, kNumColourCells> counts{};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::size_t at = static_cast<std::size_t>(y) * width + x;
      const auto cell_row = static_cast<std::size_t>(y * kColourCells / height);
      const std::size_t cell = cell_row * kColourCells + x * kColourCells / width;
      sums[3 * cell] += grid.luma[at];
      sums[3 * cell + 1] += red_green(grid, at);
      sums[3 * cell + 2] += yellow_blue(grid, at);
      ++counts[cell];
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    out.colour_grid[i] = static_cast<float>(sums[i] / counts[i / 3]);
  }
}

/// The orientation whose direction (cos, sin) the gradient lies nearest to, up to its sign.
int orientation_of(float gx, float gy) {
  static constexpr float kDirections[kNumOrientations][2] = {{1.0F, 0.0F},
                                                             {0.92387953F, 0.38268343F},
                                                             {0.70710678F, 0.70710678F},
                                                             {0.38268343F, 0.92387953F},
                                                             {0.0F, 1.0F},
                                                             {-0.38268343F, 0.92387953F},
                                                             {-0.70710678F, 0.70710678F},
                                                             {-0.92387953F, 0.38268343F}};
  int best = 0;
  float best_length = -1.0F;
  for (int i = 0; i < kNumOrientations; ++i) {
    const float length = std::abs(gx * kDirections[i][0] + gy * kDirections[i][1]);
    if (length > best_length) {
      best = i;
      best_length = length;
    }
  }
  return best;
}

void measure_gradients(const FrameGrid& grid, FrameDescription& out) {
  // Not a structured binding: clang 14 cannot capture those.
  const int width = grid.shape.width;
  const int height = grid.shape.height;
  const auto luma = [&](int x, int y) {
    return grid.luma[static_cast<std::size_t>(std::clamp(y, 0, height - 1)) * width +
                     std::clamp(x, 0, width - 1)];
  };
  std::array<double, kNumGradientCells * kNumOrientations> sums{};
  std::array<int, kNumGradientCells> counts{};
  Moments energy_x;
  Moments energy_y;
  double centre_energy = 0.0;
  double laplacian = 0.0;
  int num_edges = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float gx = 0.5F * (luma(x + 1, y) - luma(x - 1, y));
      const float gy = 0.5F * (luma(x, y + 1) - luma(x, y - 1));
      const float magnitude = std::sqrt(gx * gx + gy * gy);
      const int cell = (y * kGradientCells / height) * kGradientCells + x * kGradientCells / width;
      sums[cell * kNumOrientations + orientation_of(gx, gy)] += magnitude;
      ++counts[cell];
      num_edges += magnitude > kEdgeThreshold ? 1 : 0;
      laplacian += std::abs(4.0F * luma(x, y) - luma(x - 1, y) - luma(x + 1, y) - luma(x, y - 1) -
                            luma(x, y + 1));
      energy_x.add((2.0 * x + 1.0) / width - 1.0, magnitude);
      energy_y.add((2.0 * y + 1.0) / height - 1.0, magnitude);
      const bool central =
          4 * x >= width && 4 * x < 3 * width && 4 * y >= height && 4 * y < 3 * height;
      if (central) centre_energy += magnitude;
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    out.gradients[i] = static_cast<float>(sums[i] / counts[i / kNumOrientations]);
  }
  const auto num_pixels = static_cast<double>(grid.luma.size());
  SceneMeasures& scene = out.scene;
  scene.edge_share = static_cast<float>(num_edges / num_pixels);
  scene.detail = static_cast<float>(laplacian / num_pixels);
  scene.energy_x = static_cast<float>(energy_x.mean());
  scene.energy_y = static_cast<float>(energy_y.mean());
  scene.energy_spread_x = energy_x.deviation();
  scene.energy_spread_y = energy_y.deviation();
  // A flat picture has its (no) energy evenly: the middle half by half is a quarter.
  scene.centre_energy =
      energy_x.weight > 1e-6 ? static_cast<float>(centre_energy / energy_x.weight) : 0.25F;
}

void measure_symmetry(const FrameGrid& grid, SceneMeasures& scene) {
  const auto [width, height] = grid.shape;
  double mirrored = 0.0;
  double flipped = 0.0;
  double spread = 0.0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::size_t row = static_cast<std::size_t>(y) * width;
      const float value = grid.luma[row + x];
      mirrored += std::abs(value - grid.luma[row + (width - 1 - x)]);
      flipped += std::abs(value - grid.luma[static_cast<std::size_t>(height - 1 - y) * width + x]);
      spread += std::abs(value - scene.mean_luma);
    }
  }
  // Two unrelated pixels differ by about 2 × the mean deviation at most; the small constant calls a
  // flat picture symmetric.
  const double scale = 2.0 * spread + 1e-3 * static_cast<double>(grid.luma.size());
  scene.mirror_symmetry = static_cast<float>(std::max(0.0, 1.0 - mirrored / scale));
  scene.flip_symmetry = static_cast<float>(std::max(0.0, 1.0 - flipped / scale));
}

void measure_centre_contrast(const FrameGrid& grid, SceneMeasures& scene) {
  const auto [width, height] = grid.shape;
  double sums[2][3] = {};
  int counts[2] = {};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool central =
          4 * x >= width && 4 * x < 3 * width && 4 * y >= height && 4 * y < 3 * height;
      const std::size_t at = static_cast<std::size_t>(y) * width + x;
      const int part = central ? 1 : 0;
      sums[part][0] += grid.red[at];
      sums[part][1] += grid.green[at];
      sums[part][2] += grid.blue[at];
      ++counts[part];
    }
  }
  double difference = 0.0;
  for (int c = 0; c < 3; ++c) {
    difference += std::abs(sums[1][c] / counts[1] - sums[0][c] / counts[0]) / 3.0;
  }
  scene.centre_contrast = static_cast<float>(difference);
}

bool is_uniform_row(const FrameGrid& grid, int y) {
  Moments row;
  const std::size_t begin = static_cast<std::size_t>(y) * grid.shape.width;
  for (int x = 0; x < grid.shape.width; ++x) row.add(grid.luma[begin + x]);
  return row.deviation() < kUniformRowDeviation;
}

float measure_bars(const FrameGrid& grid) {
  int top = 0;
  while (top < grid.shape.height && is_uniform_row(grid, top)) ++top;
  int bottom = grid.shape.height;
  while (bottom > top && is_uniform_row(grid, bottom - 1)) --bottom;
  return static_cast<float>(top + grid.shape.height - bottom) /
         static_cast<float>(grid.shape.height);
}

/// Mean |current(x, y) − previous(x − dx, y − dy)| over every second pixel of the overlap.
float shifted_difference(const FrameGrid& current, const FrameGrid& previous, int dx, int dy) {
  const auto [width, height] = current.shape;
  double sum = 0.0;
  int count = 0;
  for (int y = std::max(0, dy); y < std::min(height, height + dy); y += 2) {
    for (int x = std::max(0, dx); x < std::min(width, width + dx); x += 2) {
      const std::size_t at = static_cast<std::size_t>(y) * width + x;
      const std::size_t from = static_cast<std::size_t>(y - dy) * width + (x - dx);
      sum += std::abs(current.luma[at] - previous.luma[from]);
      ++count;
    }
  }
  return static_cast<float>(sum / count);
}

void measure_shift(const FrameGrid& current, const FrameGrid& previous, MotionMeasures& motion) {
  const float unshifted = shifted_difference(current, previous, 0, 0);
  if (unshifted <= 1e-4F) return;
  float best = unshifted;
  int best_dx = 0;
  int best_dy = 0;
  for (int dy = -kMaxShift; dy <= kMaxShift; ++dy) {
    for (int dx = -kMaxShift; dx <= kMaxShift; ++dx) {
      const float difference = shifted_difference(current, previous, dx, dy);
      const bool shorter = dx * dx + dy * dy < best_dx * best_dx + best_dy * best_dy;
      if (difference < best || (difference == best && shorter)) {
        best = difference;
        best_dx = dx;
        best_dy = dy;
      }
    }
  }
  const float gain = 1.0F - best / unshifted;
  if (gain < kMinShiftGain) return;
  motion.shift_x = static_cast<float>(best_dx) / kMaxShift;
  motion.shift_y = static_cast<float>(best_dy) / kMaxShift;
  motion.shift_explains = gain;
}

void measure_change(const FrameGrid& current, const FrameGrid& previous, MotionMeasures& motion) {
  const auto [width, height] = current.shape;
  std::array<double, kNumGradientCells> sums{};
  std::array<int, kNumGradientCells> counts{};
  double change = 0.0;
  double colour_change = 0.0;
  int num_changed = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::size_t at = static_cast<std::size_t>(y) * width + x;
      const float difference = std::abs(current.luma[at] - previous.luma[at]);
      const int cell = (y * kGradientCells / height) * kGradientCells + x * kGradientCells / width;
      sums[cell] += difference;
      ++counts[cell];
      change += difference;
      num_changed += difference > kChangeThreshold ? 1 : 0;
      colour_change += 0.5 * (std::abs(red_green(current, at) - red_green(previous, at)) +
                              std::abs(yellow_blue(current, at) - yellow_blue(previous, at)));
    }
  }
  const auto num_pixels = static_cast<double>(current.luma.size());
  motion.change = static_cast<float>(change / num_pixels);
  motion.changed_share = static_cast<float>(num_changed / num_pixels);
  motion.colour_change = static_cast<float>(colour_change / num_pixels);
  for (std::size_t cell = 0; cell < sums.size(); ++cell) {
    motion.change_grid[cell] = static_cast<float>(sums[cell] / counts[cell]);
  }
}

template <std::size_t kSize>
float half_l1(const std::array<float, kSize>& a, const std::array<float, kSize>& b) {
  float sum = 0.0F;
  for (std::size_t i = 0; i < kSize; ++i) sum += std::abs(a[i] - b[i]);
  return 0.5F * sum;
}

MotionMeasures measure_motion(const FrameGrid& current_grid, const FrameGrid& previous_grid,
                              const FrameDescription& current, const FrameDescription& previous) {
  MotionMeasures motion;
  motion.has_previous = true;
  measure_change(current_grid, previous_grid, motion);
  measure_shift(current_grid, previous_grid, motion);
  motion.histogram_distance =
      0.5F * (half_l1(current.lumas, previous.lumas) + half_l1(current.hues, previous.hues) +
              half_l1(current.neutrals, previous.neutrals));
  motion.energy_shift_x = current.scene.energy_x - previous.scene.energy_x;
  motion.energy_shift_y = current.scene.energy_y - previous.scene.energy_y;
  return motion;
}

TimeMeasures measure_time(std::span<const media::Frame> frames, std::size_t index) {
  const media::Frame& frame = frames[index];
  const auto saturate = [](double seconds, double half) {
    const double positive = std::isfinite(seconds) ? std::max(0.0, seconds) : 0.0;
    return static_cast<float>(positive / (half + positive));
  };
  TimeMeasures time;
  time.position =
      frames.size() < 2
          ? 0.5F
          : static_cast<float>(static_cast<double>(index) / static_cast<double>(frames.size() - 1));
  time.middleness = 1.0F - std::abs(2.0F * time.position - 1.0F);
  time.is_first = index == 0 ? 1.0F : 0.0F;
  time.is_last = index + 1 == frames.size() ? 1.0F : 0.0F;
  time.gap = index == 0 ? 0.0F : saturate(frame.pts_s - frames[index - 1].pts_s, 1.0);
  time.clip_length = saturate(frames.back().pts_s - frames.front().pts_s, 10.0);
  time.aspect = static_cast<float>(static_cast<double>(frame.width - frame.height) /
                                   static_cast<double>(frame.width + frame.height));
  return time;
}

}  // namespace

std::vector<FrameDescription> describe_frames(std::span<const media::Frame> frames) {
  std::vector<FrameDescription> descriptions;
  if (frames.empty()) return descriptions;
  const GridShape shape = grid_shape_of(frames.front());
  FrameGrid previous;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    FrameGrid grid = shrink_frame(frames[i], shape);
    FrameDescription description;
    measure_colours(grid, description);
    measure_colour_grid(grid, description);
    measure_gradients(grid, description);
    measure_symmetry(grid, description.scene);
    measure_centre_contrast(grid, description.scene);
    description.scene.bars = measure_bars(grid);
    if (i > 0) {
      description.motion = measure_motion(grid, previous, description, descriptions.back());
    }
    description.time = measure_time(frames, i);
    descriptions.push_back(description);
    previous = std::move(grid);
  }
  return descriptions;
}

}  // namespace mmra::encoders
