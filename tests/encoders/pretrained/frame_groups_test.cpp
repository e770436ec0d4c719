#include "mmra/encoders/pretrained/frame_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "encoders/made_frames.h"
#include "expect_error.h"

namespace mmra::encoders {
namespace {

using testing::Colour;
using ::testing::ElementsAre;
using testing::paint;

std::uint8_t level(double value) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

/// A scene of soft colours; `shift` moves it, `noise` is in levels of 255 to either side.
media::Frame scene(double shift, int noise, unsigned seed, int width = 160, int height = 90) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> any(-noise, noise);
  return paint(width, height, [&](int x, int y) {
    return Colour{level(120 + 80 * std::sin((x + shift) / 17.0) + any(random)),
                  level(110 + 60 * std::cos((y + shift) / 11.0) + any(random)),
                  level(90 + 40 * std::sin((x + y + shift) / 23.0) + any(random))};
  });
}

TEST(FrameGroups, AStillImageIsOneGroup) {
  const std::vector<media::Frame> frames(10, scene(0, 0, 1));
  EXPECT_EQ(group_similar_frames(frames), std::vector<std::size_t>(10, 0));
}

TEST(FrameGroups, NoiseAndASlightFlickerAreOneGroup) {
  std::vector<media::Frame> frames;
  for (unsigned seed = 0; seed < 6; ++seed) frames.push_back(scene(0, 10, seed));
  for (std::uint8_t& byte : frames[3].rgb) byte = level(byte + 2.0);
  EXPECT_EQ(group_similar_frames(frames), std::vector<std::size_t>(6, 0));
}

TEST(FrameGroups, ACutMakesTwoGroups) {
  const media::Frame before = scene(0, 4, 1);
  const media::Frame after = scene(300, 4, 2);
  EXPECT_THAT(group_similar_frames(std::vector{before, before, after, after}),
              ElementsAre(0, 0, 2, 2));
}

TEST(FrameGroups, AFrameJoinsAnyEarlierGroup) {
  const media::Frame a = scene(0, 4, 1);
  const media::Frame b = scene(300, 4, 2);
  EXPECT_THAT(group_similar_frames(std::vector{a, b, scene(0, 4, 3), scene(300, 4, 4)}),
              ElementsAre(0, 1, 0, 1));
}

TEST(FrameGroups, ASmallThingThatAppearsIsAGroupOfItsOwn) {
  const media::Frame without = scene(0, 0, 1);
  media::Frame with = without;
  // One hundredth of the picture: the mean hardly sees it, its cells do.
  for (int y = 40; y < 50; ++y) {
    for (int x = 70; x < 84; ++x) {
      for (int c = 0; c < 3; ++c) {
        with.rgb[static_cast<std::size_t>((y * 160 + x) * 3 + c)] = 250;
      }
    }
  }
  EXPECT_THAT(group_similar_frames(std::vector{without, with}), ElementsAre(0, 1));
  FrameGroupOptions mean_alone;
  mean_alone.max_cell_difference = 1.0F;
  EXPECT_THAT(group_similar_frames(std::vector{without, with}, mean_alone), ElementsAre(0, 0));
}

TEST(FrameGroups, ASmallChangeEverywhereIsSeenByTheMean) {
  const media::Frame before = scene(0, 0, 1);
  media::Frame after = before;
  for (std::uint8_t& byte : after.rgb) byte = level(byte + 5.0);
  EXPECT_THAT(group_similar_frames(std::vector{before, after}), ElementsAre(0, 1));
}

TEST(FrameGroups, ASlowChangeMakesNewGroups) {
  std::vector<media::Frame> frames;
  for (int i = 0; i < 12; ++i) {
    frames.push_back(paint(64, 64, [i](int, int) {
      const std::uint8_t grey = level(100.0 + i);
      return Colour{grey, grey, grey};
    }));
  }
  // Neighbours differ by 1 of 255, a group spans 2.
  EXPECT_THAT(group_similar_frames(frames), ElementsAre(0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9));
}

TEST(FrameGroups, OtherSizesAreOtherGroups) {
  EXPECT_THAT(group_similar_frames(std::vector{scene(0, 0, 1, 160, 90), scene(0, 0, 1, 160, 92)}),
              ElementsAre(0, 1));
}

TEST(FrameGroups, NothingAndNonsense) {
  EXPECT_TRUE(group_similar_frames({}).empty());
  media::Frame broken = scene(0, 0, 1);
  broken.rgb.pop_back();
  mmra::testing::expect_error(ErrorKind::kInvalidInput, "160 x 90 pixels cannot have", [&] {
    (void)group_similar_frames(std::vector{scene(0, 0, 1), broken});
  });
}

}  // namespace
}  // namespace mmra::encoders
