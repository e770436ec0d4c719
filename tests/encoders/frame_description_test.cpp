#include "mmra/encoders/builtin/frame_description.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string_view>
#include <vector>

#include "made_frames.h"

namespace mmra::encoders {
namespace {

using testing::Colour;
using testing::paint;
using testing::plain;
using testing::square;

FrameDescription describe(const media::Frame& frame) {
  return describe_frames(std::vector{frame}).front();
}

float share_of(const FrameDescription& description, std::string_view name) {
  const auto* found = std::find(kColourNames.begin(), kColourNames.end(), name);
  return description.colour_names.at(found - kColourNames.begin());
}

template <typename Shares>
float sum_of(const Shares& shares) {
  return std::accumulate(shares.begin(), shares.end(), 0.0F);
}

TEST(FrameDescription, NamesPlainColours) {
  const std::pair<std::string_view, Colour> expected[] = {
      {"red", {220, 20, 30}},     {"orange", {250, 140, 20}}, {"yellow", {250, 240, 40}},
      {"green", {30, 180, 40}},   {"cyan", {30, 220, 220}},   {"blue", {30, 60, 220}},
      {"purple", {140, 40, 220}}, {"pink", {250, 150, 170}},  {"brown", {120, 70, 30}},
      {"black", {5, 5, 5}},       {"grey", {128, 128, 128}},  {"white", {250, 250, 250}}};
  for (const auto& [name, colour] : expected) {
    EXPECT_NEAR(share_of(describe(plain(colour)), name), 1.0F, 1e-3F) << name;
  }
}

TEST(FrameDescription, SharesSumToOne) {
  const FrameDescription frame = describe(paint(80, 45, [](int x, int y) {
    return Colour{static_cast<std::uint8_t>(3 * x), static_cast<std::uint8_t>(5 * y), 90};
  }));
  EXPECT_NEAR(sum_of(frame.hues) + sum_of(frame.neutrals), 1.0F, 1e-4F);
  EXPECT_NEAR(sum_of(frame.saturations), 1.0F, 1e-4F);
  EXPECT_NEAR(sum_of(frame.lumas), 1.0F, 1e-4F);
  EXPECT_NEAR(sum_of(frame.colour_names), 1.0F, 1e-4F);
}

TEST(FrameDescription, HuesAreACircle) {
  const FrameDescription red = describe(plain({220, 0, 5}));
  const FrameDescription other_red = describe(plain({220, 5, 0}));
  EXPECT_GT(red.hues[0], 0.9F);
  EXPECT_GT(other_red.hues[0], 0.9F);
  EXPECT_GT(red.hues[kNumHues - 1], 0.0F);
  EXPECT_GT(other_red.hues[1], 0.0F);
}

TEST(FrameDescription, BrightnessMovesTheMeanAndKeepsTheGradients) {
  const auto stripes = [](int base) {
    return describe(paint(96, 64, [=](int x, int) {
      const auto level = static_cast<std::uint8_t>(base + (x / 8 % 2 == 0 ? 0 : 40));
      return Colour{level, level, level};
    }));
  };
  const FrameDescription dark = stripes(20);
  const FrameDescription light = stripes(120);
  EXPECT_NEAR(light.scene.mean_luma - dark.scene.mean_luma, 100.0F / 255.0F, 1e-4F);
  EXPECT_NEAR(light.scene.luma_deviation, dark.scene.luma_deviation, 1e-4F);
  for (std::size_t i = 0; i < dark.gradients.size(); ++i) {
    EXPECT_NEAR(dark.gradients[i], light.gradients[i], 1e-5F);
  }
}

TEST(FrameDescription, StripesHaveTheOrientationOfTheirGradient) {
  const auto level = [](bool on) { return on ? Colour{230, 230, 230} : Colour{20, 20, 20}; };
  const FrameDescription vertical =
      describe(paint(96, 64, [&](int x, int) { return level(x / 8 % 2 == 0); }));
  const FrameDescription horizontal =
      describe(paint(96, 64, [&](int, int y) { return level(y / 8 % 2 == 0); }));
  const auto sum_at = [](const FrameDescription& frame, int orientation) {
    float sum = 0.0F;
    for (std::size_t i = orientation; i < frame.gradients.size(); i += kNumOrientations) {
      sum += frame.gradients[i];
    }
    return sum;
  };
  EXPECT_NEAR(sum_at(vertical, 0), sum_of(vertical.gradients), 1e-4F);
  EXPECT_NEAR(sum_at(horizontal, kNumOrientations / 2), sum_of(horizontal.gradients), 1e-4F);
  EXPECT_GT(sum_at(vertical, 0), 0.1F);
}

TEST(FrameDescription, KnowsWhereTheSubjectIs) {
  const FrameDescription left = describe(square(4, 24, 16, {240, 240, 240}));
  const FrameDescription right = describe(square(76, 24, 16, {240, 240, 240}));
  const FrameDescription top = describe(square(40, 2, 16, {240, 240, 240}));
  const FrameDescription centre = describe(square(40, 24, 16, {240, 240, 240}));
  EXPECT_LT(left.scene.energy_x, -0.5F);
  EXPECT_GT(right.scene.energy_x, 0.5F);
  EXPECT_LT(top.scene.energy_y, -0.4F);
  EXPECT_NEAR(centre.scene.energy_x, 0.0F, 0.02F);
  EXPECT_NEAR(centre.scene.centre_energy, 1.0F, 1e-3F);
  EXPECT_GT(centre.scene.centre_contrast, left.scene.centre_contrast);
  EXPECT_GT(centre.scene.mirror_symmetry, 0.95F);
  EXPECT_LT(left.scene.mirror_symmetry, 0.6F);
}

TEST(FrameDescription, SeesBars) {
  const auto noise = [](int x, int y) {
    return static_cast<std::uint8_t>((x * 37 + y * 91) % 256);
  };
  const FrameDescription barred = describe(paint(64, 64, [&](int x, int y) {
    const std::uint8_t level = y < 16 || y >= 48 ? 0 : noise(x, y);
    return Colour{level, level, level};
  }));
  EXPECT_NEAR(barred.scene.bars, 0.5F, 0.04F);
  EXPECT_EQ(describe(plain({9, 9, 9})).scene.bars, 1.0F);
}

TEST(FrameDescription, SeesMotionAgainstTheFrameBefore) {
  const media::Frame here = square(20, 20, 20, {240, 240, 240});
  const media::Frame there = square(50, 20, 20, {240, 240, 240});
  const auto still = describe_frames(std::vector{here, here});
  const auto moving = describe_frames(std::vector{here, there});
  EXPECT_FALSE(still[0].motion.has_previous);
  EXPECT_TRUE(still[1].motion.has_previous);
  EXPECT_EQ(still[1].motion.change, 0.0F);
  EXPECT_EQ(still[1].motion.changed_share, 0.0F);
  EXPECT_EQ(moving[0].motion.change, 0.0F);
  EXPECT_GT(moving[1].motion.change, 0.05F);
  EXPECT_GT(moving[1].motion.changed_share, 0.1F);
  EXPECT_GT(moving[1].motion.energy_shift_x, 0.4F);
  EXPECT_NEAR(moving[1].motion.histogram_distance, 0.0F, 0.02F);
}

TEST(FrameDescription, FindsTheShiftOfTheWholePicture) {
  const auto texture = [](int offset) {
    return paint(128, 72, [=](int x, int y) {
      const int cell = ((x - offset + 400) / 10) * 7 + (y / 10) * 13;
      const auto level = static_cast<std::uint8_t>((cell * 53) % 256);
      return Colour{level, level, level};
    });
  };
  // Six pixels of 128 are three of the grid's 64.
  const auto frames = describe_frames(std::vector{texture(0), texture(6)});
  EXPECT_NEAR(frames[1].motion.shift_x, 3.0F / kMaxShift, 1e-6F);
  EXPECT_EQ(frames[1].motion.shift_y, 0.0F);
  EXPECT_GT(frames[1].motion.shift_explains, 0.5F);
}

TEST(FrameDescription, ACutChangesTheHistogram) {
  const auto frames = describe_frames(std::vector{plain({230, 20, 20}), plain({20, 20, 230})});
  EXPECT_GT(frames[1].motion.histogram_distance, 0.4F);
}

TEST(FrameDescription, KnowsThePlaceInTheClip) {
  std::vector<media::Frame> clip(5, plain({9, 9, 9}, 36, 64));
  for (std::size_t i = 0; i < clip.size(); ++i) clip[i].pts_s = 2.5 * static_cast<double>(i);
  const auto frames = describe_frames(clip);
  EXPECT_EQ(frames[0].time.position, 0.0F);
  EXPECT_EQ(frames[0].time.is_first, 1.0F);
  EXPECT_EQ(frames[2].time.position, 0.5F);
  EXPECT_EQ(frames[2].time.middleness, 1.0F);
  EXPECT_EQ(frames[4].time.is_last, 1.0F);
  EXPECT_NEAR(frames[1].time.gap, 2.5F / 3.5F, 1e-6F);
  EXPECT_NEAR(frames[1].time.clip_length, 0.5F, 1e-6F);
  EXPECT_LT(frames[0].time.aspect, 0.0F);
}

TEST(FrameDescription, TakesFramesOfAnySizeAndShape) {
  EXPECT_TRUE(describe_frames({}).empty());
  const std::vector<media::Frame> mixed{plain({9, 90, 9}, 1, 1), plain({9, 90, 9}, 500, 1),
                                        plain({9, 90, 9}, 3, 700)};
  for (const FrameDescription& frame : describe_frames(mixed)) {
    EXPECT_NEAR(frame.scene.mean_luma, (0.299F * 9 + 0.587F * 90 + 0.114F * 9) / 255.0F, 1e-5F);
    EXPECT_NEAR(frame.motion.change, 0.0F, 1e-6F);
  }
}

}  // namespace
}  // namespace mmra::encoders
