#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "mmra/media/clip.h"

namespace mmra::encoders {

inline constexpr int kNumHues = 12;        ///< red, orange, yellow … every 30 degrees
inline constexpr int kNumNeutrals = 4;     ///< black, dark grey, light grey, white
inline constexpr int kNumSaturations = 4;  ///< centres 0, 1/3, 2/3, 1
inline constexpr int kNumLumas = 8;        ///< centres 0, 1/7 … 1
inline constexpr int kColourCells = 4;     ///< a 4 × 4 grid of mean colours
inline constexpr int kGradientCells = 3;   ///< a 3 × 3 grid of orientation histograms
inline constexpr int kNumOrientations =
    8;  ///< of the gradient, every 22.5 degrees from 0 (along x)
inline constexpr int kNumColourNames = 12;
inline constexpr std::size_t kNumColourCells = std::size_t{kColourCells} * kColourCells;
inline constexpr std::size_t kNumGradientCells = std::size_t{kGradientCells} * kGradientCells;

/// The basic colour terms, in the order of FrameDescription::colour_names.
inline constexpr std::array<std::string_view, kNumColourNames> kColourNames = {
    "red",    "orange", "yellow", "green", "cyan", "blue",
    "purple", "pink",   "brown",  "black", "grey", "white"};

/// Where the light changes and how evenly; everything about the picture as a whole.
struct SceneMeasures {
  float mean_luma = 0.0F;        ///< [0, 1]
  float luma_deviation = 0.0F;   ///< standard deviation of luma, [0, 0.5]
  float mean_saturation = 0.0F;  ///< HSV saturation, [0, 1]
  float saturation_deviation = 0.0F;
  float colourfulness = 0.0F;     ///< Hasler and Süsstrunk 2003, on channels in [0, 1]
  float mean_red_green = 0.0F;    ///< mean of R − G
  float mean_yellow_blue = 0.0F;  ///< mean of (R + G) / 2 − B
  float edge_share = 0.0F;        ///< pixels whose gradient exceeds 0.06 a grid pixel
  float detail = 0.0F;            ///< mean |Laplacian| of luma: sharpness at the grid's scale
  float mirror_symmetry = 0.0F;   ///< left against right, 1 where equal
  float flip_symmetry = 0.0F;     ///< top against bottom
  float energy_x = 0.0F;          ///< centroid of the gradient energy, −1 left … 1 right
  float energy_y = 0.0F;          ///< −1 top … 1 bottom
  float energy_spread_x = 0.0F;   ///< its standard deviation, in the same units
  float energy_spread_y = 0.0F;
  float centre_energy = 0.0F;    ///< share of the energy in the middle half by half
  float centre_contrast = 0.0F;  ///< mean |colour difference| of the middle and the rest
  float bars = 0.0F;             ///< share of rows that are uniform from top and bottom on
};

/// Against the frame sampled before. All zero for the first frame.
struct MotionMeasures {
  bool has_previous = false;
  float change = 0.0F;              ///< mean |Δ luma|
  float changed_share = 0.0F;       ///< pixels with |Δ luma| > 0.08
  float colour_change = 0.0F;       ///< mean of |Δ red-green| and |Δ yellow-blue|
  float histogram_distance = 0.0F;  ///< half the L1 distance of luma and hue shares: a cut
  float shift_x = 0.0F;             ///< the whole picture's shift, in grid pixels / kMaxShift
  float shift_y = 0.0F;
  float shift_explains = 0.0F;  ///< share of the change that the shift takes away, [0, 1]
  float energy_shift_x = 0.0F;  ///< movement of the centroid of the gradient energy
  float energy_shift_y = 0.0F;
  std::array<float, kNumGradientCells> change_grid{};  ///< mean |Δ luma|, row-major
};

/// Where the frame lies in its clip.
struct TimeMeasures {
  float position = 0.0F;    ///< 0 first … 1 last; 0.5 for a single frame
  float middleness = 0.0F;  ///< 1 in the middle, 0 at both ends
  float is_first = 0.0F;
  float is_last = 0.0F;
  float gap = 0.0F;          ///< seconds since the frame before, g / (1 + g)
  float clip_length = 0.0F;  ///< seconds from first to last frame, s / (10 + s)
  float aspect = 0.0F;       ///< (width − height) / (width + height): portrait < 0 < landscape
};

/// What is measured of one frame, in units a person can read. Everything is a fixed formula: no
/// fitting, no random numbers, and only + − × ÷ √ in a fixed order.
struct FrameDescription {
  std::array<float, kNumHues> hues{};  ///< shares of pixels; with `neutrals` sum 1
  std::array<float, kNumNeutrals> neutrals{};
  std::array<float, kNumSaturations> saturations{};   ///< sum 1
  std::array<float, kNumLumas> lumas{};               ///< sum 1
  std::array<float, kNumColourNames> colour_names{};  ///< shares of pixels, sum 1
  /// Row-major [cell row × cell column × (mean luma, mean R − G, mean (R + G) / 2 − B)].
  std::array<float, kNumColourCells * 3> colour_grid{};
  /// Row-major [cell row × cell column × orientation]: mean gradient magnitude by orientation.
  std::array<float, kNumGradientCells * kNumOrientations> gradients{};
  SceneMeasures scene;
  MotionMeasures motion;
  TimeMeasures time;
};

/// Largest shift that is looked for, in grid pixels.
inline constexpr int kMaxShift = 6;

/// One description a frame, in order. All frames are measured on the grid of the first one's shape.
/// Throws Error{kInvalidInput} for a frame whose bytes do not fit its size. Thread-safe.
[[nodiscard]] std::vector<FrameDescription> describe_frames(std::span<const media::Frame> frames);

}  // namespace mmra::encoders
