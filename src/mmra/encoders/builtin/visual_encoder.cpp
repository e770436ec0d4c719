#include "mmra/encoders/builtin/visual_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <vector>

#include "mmra/core/threads.h"

namespace mmra::encoders {
namespace {

// clang-format off
constexpr VisualBlock kBlocks[] = {
    // name, offset, size, centre, scale, square root
    {"hues",                   0, 12, 0.15F,   5.0F, true},
    {"neutrals",              12,  4, 0.35F,   5.0F, true},
    {"saturations",           16,  4, 0.45F,   5.0F, true},
    {"lumas",                 20,  8, 0.30F,   5.0F, true},
    {"colour_grid",           28, 48, 0.0F,    1.0F, false},  // centred per channel: kCellCentres
    {"gradients",             76, 72, 0.06F,  20.0F, true},
    {"mean_luma",            148,  1, 0.40F,   6.0F, false},
    {"luma_deviation",       149,  1, 0.20F,  14.0F, false},
    {"mean_saturation",      150,  1, 0.35F,   5.0F, false},
    {"saturation_deviation", 151,  1, 0.20F,  10.0F, false},
    {"colourfulness",        152,  1, 0.20F,   8.0F, false},
    {"mean_red_green",       153,  1, 0.04F,  12.0F, false},
    {"mean_yellow_blue",     154,  1, 0.04F,   9.0F, false},
    {"edge_share",           155,  1, 0.25F,   7.0F, false},
    {"detail",               156,  1, 0.13F,  12.0F, false},
    {"mirror_symmetry",      157,  1, 0.50F,   6.0F, false},
    {"flip_symmetry",        158,  1, 0.45F,   6.0F, false},
    {"energy_x",             159,  1, 0.0F,    7.0F, false},
    {"energy_y",             160,  1, 0.0F,    7.0F, false},
    {"energy_spread_x",      161,  1, 0.53F,  14.0F, false},
    {"energy_spread_y",      162,  1, 0.53F,  14.0F, false},
    {"centre_energy",        163,  1, 0.30F,   9.0F, false},
    {"centre_contrast",      164,  1, 0.12F,   9.0F, false},
    {"bars",                 165,  1, 0.05F,   5.0F, false},
    {"has_previous",         166,  1, 0.90F,   3.0F, false},
    {"change",               167,  1, 0.0F,    8.0F, false},
    {"changed_share",        168,  1, 0.0F,    2.5F, false},
    {"colour_change",        169,  1, 0.0F,   12.0F, false},
    {"histogram_distance",   170,  1, 0.0F,    4.0F, false},
    {"shift",                171,  2, 0.0F,    2.0F, false},
    {"shift_explains",       173,  1, 0.0F,    4.0F, false},
    {"energy_shift",         174,  2, 0.0F,    6.0F, false},
    {"change_grid",          176,  9, 0.0F,    7.0F, false},
    {"position",             185,  1, 0.50F,   3.0F, false},
    {"middleness",           186,  1, 0.50F,   3.0F, false},
    {"is_first",             187,  1, 0.10F,   3.0F, false},
    {"is_last",              188,  1, 0.10F,   3.0F, false},
    {"gap",                  189,  1, 0.50F,   3.0F, false},
    {"clip_length",          190,  1, 0.50F,   4.0F, false},
    {"aspect",               191,  1, 0.0F,    3.0F, false},
};
// clang-format on

/// The colour grid's channels have ranges of their own: luma, red-green, yellow-blue.
constexpr float kCellCentres[3] = {0.40F, 0.04F, 0.04F};
constexpr float kCellScales[3] = {4.5F, 9.0F, 7.0F};

/// The raw quantities in the order of kBlocks.
std::vector<float> raw_values(const FrameDescription& frame) {
  std::vector<float> raw;
  raw.reserve(kVisualDim);
  const auto append = [&raw](const auto& values) {
    raw.insert(raw.end(), std::begin(values), std::end(values));
  };
  append(frame.hues);
  append(frame.neutrals);
  append(frame.saturations);
  append(frame.lumas);
  append(frame.colour_grid);
  append(frame.gradients);
  const SceneMeasures& scene = frame.scene;
  append(std::initializer_list<float>{
      scene.mean_luma, scene.luma_deviation, scene.mean_saturation, scene.saturation_deviation,
      scene.colourfulness, scene.mean_red_green, scene.mean_yellow_blue, scene.edge_share,
      scene.detail, scene.mirror_symmetry, scene.flip_symmetry, scene.energy_x, scene.energy_y,
      scene.energy_spread_x, scene.energy_spread_y, scene.centre_energy, scene.centre_contrast,
      scene.bars});
  const MotionMeasures& motion = frame.motion;
  append(std::initializer_list<float>{
      motion.has_previous ? 1.0F : 0.0F, motion.change, motion.changed_share, motion.colour_change,
      motion.histogram_distance, motion.shift_x, motion.shift_y, motion.shift_explains,
      motion.energy_shift_x, motion.energy_shift_y});
  append(motion.change_grid);
  const TimeMeasures& time = frame.time;
  append(std::initializer_list<float>{time.position, time.middleness, time.is_first, time.is_last,
                                      time.gap, time.clip_length, time.aspect});
  return raw;
}

}  // namespace

std::span<const VisualBlock> visual_blocks() { return kBlocks; }

std::array<float, kVisualDim> to_visual_token(const FrameDescription& description) {
  const std::vector<float> raw = raw_values(description);
  std::array<float, kVisualDim> token{};
  for (const VisualBlock& block : kBlocks) {
    const bool is_colour_grid = block.name == "colour_grid";
    for (int i = 0; i < block.size; ++i) {
      const float value = raw.at(block.offset + i);
      const float centre = is_colour_grid ? kCellCentres[i % 3] : block.centre;
      const float scale = is_colour_grid ? kCellScales[i % 3] : block.scale;
      const float measured = block.square_root ? std::sqrt(std::max(0.0F, value)) : value;
      token[block.offset + i] = (measured - centre) * scale;
    }
  }
  return token;
}

std::vector<TokenMatrix> BuiltinVisualEncoder::encode_clips(std::span<const Clip> clips,
                                                            const EncodeOptions& options) const {
  return parallel_map(clips, options.num_threads, encode);
}

TokenMatrix BuiltinVisualEncoder::encode(Clip frames) {
  TokenMatrix tokens{static_cast<int>(frames.size()), kVisualDim, {}};
  tokens.values.reserve(frames.size() * kVisualDim);
  for (const FrameDescription& description : describe_frames(frames)) {
    const auto token = to_visual_token(description);
    tokens.values.insert(tokens.values.end(), token.begin(), token.end());
  }
  return tokens;
}

}  // namespace mmra::encoders
