#include "mmra/encoders/builtin/frame_grid.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "expect_error.h"
#include "made_frames.h"

namespace mmra::encoders {
namespace {

using testing::Colour;
using testing::paint;
using testing::plain;

TEST(FrameGrid, KeepsTheAspect) {
  const auto shape = [](int width, int height) { return grid_shape_of(plain({}, width, height)); };
  EXPECT_EQ(shape(1280, 720).width, 64);
  EXPECT_EQ(shape(1280, 720).height, 36);
  EXPECT_EQ(shape(90, 160).width, 36);
  EXPECT_EQ(shape(90, 160).height, 64);
  EXPECT_EQ(shape(1, 1).width, 64);
  EXPECT_EQ(shape(2000, 1).height, kMinGridSide);
}

TEST(FrameGrid, AveragesTheAreaThatAPixelCovers) {
  // Three columns 0, 90, 255 onto two: 0·2/3 + 90·1/3 and 90·1/3 + 255·2/3.
  const media::Frame frame = paint(3, 1, [](int x, int) {
    const auto level = static_cast<std::uint8_t>(x == 0 ? 0 : x == 1 ? 90 : 255);
    return Colour{level, 0, 0};
  });
  const FrameGrid grid = shrink_frame(frame, {2, 1});
  EXPECT_NEAR(grid.red[0], 30.0 / 255.0, 1e-6);
  EXPECT_NEAR(grid.red[1], 200.0 / 255.0, 1e-6);
  EXPECT_EQ(grid.green[0], 0.0F);
  EXPECT_NEAR(grid.luma[0], 0.299 * 30.0 / 255.0, 1e-6);
}

TEST(FrameGrid, KeepsTheMeanWhateverTheSizes) {
  std::mt19937 random(5);
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 3}, {64, 36}, {131, 97}}) {
    const media::Frame frame = paint(width, height, [&](int, int) {
      return Colour{static_cast<std::uint8_t>(random()), 0, 0};
    });
    double expected = 0.0;
    for (std::size_t i = 0; i < frame.rgb.size(); i += 3) expected += frame.rgb[i];
    expected /= 255.0 * width * height;
    const FrameGrid grid = shrink_frame(frame, {23, 17});
    EXPECT_NEAR(std::accumulate(grid.red.begin(), grid.red.end(), 0.0) / (23 * 17), expected, 1e-5);
  }
}

TEST(FrameGrid, RefusesFramesThatDoNotFitTheirBytes) {
  media::Frame frame = plain({}, 4, 4);
  frame.rgb.pop_back();
  mmra::testing::expect_error(ErrorKind::kInvalidInput, "4 x 4 pixels cannot have 47 bytes",
                              [&] { (void)grid_shape_of(frame); });
  mmra::testing::expect_error(ErrorKind::kInvalidInput, "0 x 0 pixels", [&] {
    (void)shrink_frame(media::Frame{}, {2, 2});
  });
}

}  // namespace
}  // namespace mmra::encoders
