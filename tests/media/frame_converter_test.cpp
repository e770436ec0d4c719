#include "mmra/media/frame_converter.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <string>

#include "expect_error.h"
#include "mmra/media/sample_frames.h"
#include "test_clips.h"
#include "test_files.h"

namespace mmra::media {
namespace {

using Rgb = std::array<int, 3>;
using mmra::testing::TemporaryDirectory;

constexpr Rgb kRed = {220, 30, 30};
constexpr Rgb kGreen = {30, 200, 30};
constexpr Rgb kBlue = {30, 30, 220};
constexpr Rgb kWhite = {230, 230, 230};

Rgb pixel(const Frame& frame, int x, int y) {
  const std::size_t at =
      (static_cast<std::size_t>(y) * static_cast<std::size_t>(frame.width) + x) * 3;
  return {frame.rgb[at], frame.rgb[at + 1], frame.rgb[at + 2]};
}

int distance(const Rgb& a, const Rgb& b) {
  int largest = 0;
  for (std::size_t i = 0; i < 3; ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

Frame filled(int width, int height, const Rgb& colour) {
  Frame frame;
  frame.width = width;
  frame.height = height;
  for (int i = 0; i < width * height; ++i) {
    for (const int value : colour) frame.rgb.push_back(static_cast<std::uint8_t>(value));
  }
  return frame;
}

/// Red, green / blue, white.
Frame quarters(int width, int height) {
  Frame frame = filled(width, height, kWhite);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (x >= width / 2 && y >= height / 2) continue;
      const Rgb& colour = y >= height / 2 ? kBlue : x >= width / 2 ? kGreen : kRed;
      for (std::size_t i = 0; i < 3; ++i) {
        frame.rgb[(static_cast<std::size_t>(y) * width + x) * 3 + i] =
            static_cast<std::uint8_t>(colour[i]);
      }
    }
  }
  return frame;
}

Frame through_file(const Frame& frame, const ClipWriterOptions& options, const char* name,
                   int max_side_px = 0) {
  const TemporaryDirectory directory;
  ClipWriter writer(directory / name, options);
  writer.add(frame);
  writer.finish();
  SampleOptions sample;
  sample.max_side_px = max_side_px;
  const SampledClip clip = sample_frames(directory / name, sample);
  return clip.frames.at(0);
}

void expect_corners(const Frame& frame, const std::array<Rgb, 4>& corners) {
  const int x = frame.width / 4;
  const int y = frame.height / 4;
  EXPECT_LE(distance(pixel(frame, x, y), corners[0]), 12) << "top left";
  EXPECT_LE(distance(pixel(frame, 3 * x, y), corners[1]), 12) << "top right";
  EXPECT_LE(distance(pixel(frame, x, 3 * y), corners[2]), 12) << "bottom left";
  EXPECT_LE(distance(pixel(frame, 3 * x, 3 * y), corners[3]), 12) << "bottom right";
}

TEST(FrameConverter, TurnsPicturesAsTheFileAsks) {
  struct Case {
    int rotation_degrees;
    bool mirror;
    std::array<Rgb, 4> corners;
  };
  const std::vector<Case> cases = {
      {0, false, {kRed, kGreen, kBlue, kWhite}},   {90, false, {kBlue, kRed, kWhite, kGreen}},
      {180, false, {kWhite, kBlue, kGreen, kRed}}, {270, false, {kGreen, kWhite, kRed, kBlue}},
      {0, true, {kGreen, kRed, kWhite, kBlue}},    {90, true, {kWhite, kGreen, kBlue, kRed}},
      {180, true, {kBlue, kWhite, kRed, kGreen}},  {270, true, {kRed, kBlue, kGreen, kWhite}},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(std::to_string(test.rotation_degrees) + (test.mirror ? " mirrored" : ""));
    ClipWriterOptions options;
    options.quality = 4;
    options.rotation_degrees = test.rotation_degrees;
    options.mirror = test.mirror;
    const bool upright = test.rotation_degrees % 180 == 0;
    const Frame native = through_file(quarters(96, 64), options, "a.mp4");
    EXPECT_EQ(native.width, upright ? 96 : 64);
    EXPECT_EQ(native.height, upright ? 64 : 96);
    expect_corners(native, test.corners);
    const Frame small = through_file(quarters(96, 64), options, "a.mp4", 48);
    EXPECT_EQ(small.width, upright ? 48 : 32);
    EXPECT_EQ(small.height, upright ? 32 : 48);
    expect_corners(small, test.corners);
  }
}

TEST(FrameConverter, TellsTheTurnedSize) {
  const TemporaryDirectory directory;
  ClipWriterOptions options;
  options.rotation_degrees = 90;
  testing::write_numbered_clip(directory / "a.mp4", 2, options, 96, 64);
  const ClipInfo info = sample_frames(directory / "a.mp4", {.max_side_px = 32}).info;
  EXPECT_EQ(info.width, 64);
  EXPECT_EQ(info.height, 96);
}

TEST(FrameConverter, ReadsDisplayMatrices) {
  constexpr std::int32_t kOne = 1 << 16;
  const auto read = [](std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d) {
    const std::array<std::int32_t, 9> matrix = {a, b, 0, c, d, 0, 0, 0, 1 << 30};
    const Orientation turn = orientation_of(matrix);
    return std::string(turn.transpose ? "t" : "-") + (turn.mirror_x ? "x" : "-") +
           (turn.mirror_y ? "y" : "-");
  };
  EXPECT_EQ(read(kOne, 0, 0, kOne), "---");
  EXPECT_EQ(read(0, kOne, -kOne, 0), "tx-");   // 90° clockwise
  EXPECT_EQ(read(-kOne, 0, 0, -kOne), "-xy");  // 180°
  EXPECT_EQ(read(0, -kOne, kOne, 0), "t-y");   // 270° clockwise
  EXPECT_EQ(read(-kOne, 0, 0, kOne), "-x-");
  EXPECT_EQ(read(65'000, 5'000, -5'000, 65'000), "---");  // a few degrees
  EXPECT_EQ(read(0, 0, 0, 0), "---");
  EXPECT_EQ(read(INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN), "-xy");
}

TEST(FrameConverter, HasTheColoursOfEveryMatrixAndRange) {
  for (const Rgb& colour : {kRed, kGreen, kBlue, kWhite, Rgb{0, 0, 0}, Rgb{255, 255, 255}}) {
    for (const bool bt709 : {false, true}) {
      for (const bool full_range : {false, true}) {
        for (const int bit_depth : {8, 10}) {
          ClipWriterOptions options;
          options.quality = 1;
          options.bt709 = bt709;
          options.full_range = full_range;
          options.bit_depth = bit_depth;
          const Frame frame = through_file(filled(64, 64, colour), options, "a.mkv");
          EXPECT_LE(distance(pixel(frame, 20, 20), colour), 4)
              << "BT.709 " << bt709 << ", full range " << full_range << ", bits " << bit_depth
              << ", red " << colour[0];
        }
      }
    }
  }
}

/// The colour that comes out of pictures of the same luma and chroma, which say no matrix.
Rgb unspecified_colour(int height) {
  const FramePtr picture = make_picture(AV_PIX_FMT_YUV420P, 32, height);
  for (const int plane : {0, 1, 2}) {
    const int rows = plane == 0 ? height : height / 2;
    const int value = plane == 0 ? 63 : plane == 1 ? 102 : 240;
    std::fill_n(picture->data[plane], picture->linesize[plane] * rows,
                static_cast<std::uint8_t>(value));
  }
  AVStream stream{};
  FrameConverter converter(stream, 0);
  return pixel(converter.convert(*picture), 5, 5);
}

TEST(FrameConverter, TakesBt709From720LinesOnWhereNothingIsSaid) {
  // Y 63, Cb 102, Cr 240 is pure red in BT.709: R = 1.164·47 + 1.793·112, G = 1.164·47 −
  // 0.213·(−26) − 0.533·112; BT.601: R = 1.164·47 + 1.596·112, G = 1.164·47 + 0.391·26 − 0.813·112.
  EXPECT_LE(distance(unspecified_colour(720), {255, 1, 0}), 2);
  EXPECT_LE(distance(unspecified_colour(718), {233, 0, 2}), 2);
}

TEST(FrameConverter, ShrinksByAveraging) {
  // A chequerboard of single pixels becomes grey, not black or white, and keeps the aspect.
  Frame board = filled(640, 320, {0, 0, 0});
  for (int y = 0; y < 320; ++y) {
    for (int x = y % 2; x < 640; x += 2) {
      for (std::size_t i = 0; i < 3; ++i) {
        board.rgb[(static_cast<std::size_t>(y) * 640 + x) * 3 + i] = 255;
      }
    }
  }
  const Frame small = through_file(board, {.codec = ClipCodec::kPng}, "a.png", 64);
  EXPECT_EQ(small.width, 64);
  EXPECT_EQ(small.height, 32);
  for (int y = 2; y < 30; ++y) {
    for (int x = 2; x < 62; ++x) {
      ASSERT_LE(distance(pixel(small, x, y), {127, 127, 127}), 3) << x << ", " << y;
    }
  }
}

TEST(FrameConverter, NeverEnlargesAndKeepsAtLeastOnePixel) {
  const ClipWriterOptions png = {.codec = ClipCodec::kPng};
  EXPECT_EQ(through_file(filled(20, 10, kRed), png, "a.png", 64).width, 20);
  const Frame line = through_file(filled(2000, 1, kRed), png, "a.png", 64);
  EXPECT_EQ(line.width, 64);
  EXPECT_EQ(line.height, 1);
  EXPECT_LE(distance(pixel(line, 30, 0), kRed), 2);
  const Frame column = through_file(filled(1, 3000, kBlue), png, "a.png", 16);
  EXPECT_EQ(column.width, 1);
  EXPECT_EQ(column.height, 16);
}

TEST(FrameConverter, KeepsOddSizesAndSinglePixels) {
  for (const auto& [width, height] : {std::pair{1, 1}, {3, 1}, {1, 5}, {33, 17}, {97, 65}}) {
    const Frame frame =
        through_file(filled(width, height, kGreen), {.codec = ClipCodec::kPng}, "a.png");
    ASSERT_EQ(frame.width, width);
    ASSERT_EQ(frame.height, height);
    EXPECT_EQ(pixel(frame, width - 1, height - 1), kGreen);
    const Frame coded =
        through_file(filled(width, height, kGreen), {.codec = ClipCodec::kFfv1}, "a.mkv");
    ASSERT_EQ(coded.width, width);
    EXPECT_LE(distance(pixel(coded, width / 2, height / 2), kGreen), 3);
  }
}

}  // namespace
}  // namespace mmra::media
