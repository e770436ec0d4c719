#include "mmra/encoders/builtin/visual_encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string_view>
#include <thread>
#include <vector>

#include "made_frames.h"

namespace mmra::encoders {
namespace {

using testing::Colour;
using testing::paint;
using testing::plain;
using testing::square;

VisualBlock block_of(std::string_view name) {
  for (const VisualBlock& block : visual_blocks()) {
    if (block.name == name) return block;
  }
  ADD_FAILURE() << "no block " << name;
  return {};
}

TEST(VisualEncoder, BlocksCoverTheTokenWithoutGaps) {
  int next = 0;
  for (const VisualBlock& block : visual_blocks()) {
    EXPECT_EQ(block.offset, next) << block.name;
    EXPECT_GT(block.size, 0) << block.name;
    EXPECT_GT(block.scale, 0.0F) << block.name;
    next += block.size;
  }
  EXPECT_EQ(next, kVisualDim);
}

TEST(VisualEncoder, GivesOneTokenAFrame) {
  const BuiltinVisualEncoder encoder;
  EXPECT_EQ(encoder.encode({}).num_tokens, 0);
  EXPECT_EQ(encoder.encode({}).dim, kVisualDim);
  const TokenMatrix tokens = encoder.encode(std::vector(3, plain({1, 2, 3})));
  EXPECT_EQ(tokens.num_tokens, 3);
  EXPECT_EQ(tokens.values.size(), 3U * kVisualDim);
}

TEST(VisualEncoder, ElementsAreWhatTheirBlockSays) {
  FrameDescription description;
  description.hues[3] = 0.25F;
  description.scene.mean_luma = 0.7F;
  description.motion.change_grid[8] = 0.5F;
  description.time.aspect = -0.25F;
  description.colour_grid[1] = 0.3F;
  const auto token = to_visual_token(description);
  const auto expect_at = [&](std::string_view name, int index, float measured) {
    const VisualBlock block = block_of(name);
    EXPECT_NEAR(token[block.offset + index], (measured - block.centre) * block.scale, 1e-5F)
        << name;
  };
  expect_at("hues", 3, 0.5F);
  expect_at("mean_luma", 0, 0.7F);
  expect_at("change_grid", 8, 0.5F);
  expect_at("aspect", 0, -0.25F);
  EXPECT_NEAR(token[block_of("colour_grid").offset + 1], (0.3F - 0.04F) * 9.0F, 1e-5F);
}

TEST(VisualEncoder, RedAndBlueDifferInColourAlone) {
  const BuiltinVisualEncoder encoder;
  // The same luma: 0.299 · 191 = 57 = 0.114 · 0 + 0.587 · 97.
  const TokenMatrix red = encoder.encode(std::vector{plain({191, 0, 0})});
  const TokenMatrix green = encoder.encode(std::vector{plain({0, 97, 1})});
  const auto distance = [&](std::string_view name) {
    const VisualBlock block = block_of(name);
    double sum = 0.0;
    for (int i = block.offset; i < block.offset + block.size; ++i) {
      sum += std::abs(red.values[i] - green.values[i]);
    }
    return sum;
  };
  EXPECT_GT(distance("hues"), 1.0);
  EXPECT_GT(distance("colour_grid"), 1.0);
  EXPECT_NEAR(distance("mean_luma"), 0.0, 0.01);
  EXPECT_NEAR(distance("gradients"), 0.0, 1e-3);
}

TEST(VisualEncoder, ValuesAreFiniteAndModest) {
  const BuiltinVisualEncoder encoder;
  std::vector<media::Frame> frames{
      plain({0, 0, 0}), plain({255, 255, 255}), plain({255, 0, 0}, 1, 1),
      paint(64, 64,
            [](int x, int y) {
              return (x + y) % 2 == 0 ? Colour{255, 255, 0} : Colour{0, 0, 255};
            }),
      square(0, 0, 10, {255, 0, 255})};
  frames[1].pts_s = -1e300;
  frames[2].pts_s = NAN;
  for (const float value : encoder.encode(frames).values) {
    EXPECT_TRUE(std::isfinite(value));
    EXPECT_LT(std::abs(value), 30.0F);
  }
}

TEST(VisualEncoder, IsTheSameOnEveryThread) {
  const BuiltinVisualEncoder encoder;
  const std::vector<media::Frame> frames{square(3, 9, 20, {200, 90, 10}),
                                         square(30, 9, 20, {200, 90, 10})};
  const TokenMatrix expected = encoder.encode(frames);
  std::vector<TokenMatrix> found(4);
  {
    std::vector<std::jthread> threads;
    for (TokenMatrix& tokens : found) {
      threads.emplace_back([&] { tokens = encoder.encode(frames); });
    }
  }
  for (const TokenMatrix& tokens : found) EXPECT_EQ(tokens.values, expected.values);
}

}  // namespace
}  // namespace mmra::encoders
