#include "mmra/media/jpeg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "expect_error.h"
#include "mmra/media/sample_frames.h"
#include "test_clips.h"

namespace mmra::media {
namespace {

using mmra::testing::expect_error;

Frame decode(const std::vector<std::uint8_t>& jpeg) {
  return sample_frames_from_memory(std::as_bytes(std::span(jpeg)), {}).frames.at(0);
}

/// Smooth colours, as photographs have.
Frame gradient(int width, int height) {
  Frame frame;
  frame.width = width;
  frame.height = height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      frame.rgb.push_back(static_cast<std::uint8_t>(x * 255 / width));
      frame.rgb.push_back(static_cast<std::uint8_t>(y * 255 / height));
      frame.rgb.push_back(static_cast<std::uint8_t>(128 + 100 * std::sin(x * 0.1)));
    }
  }
  return frame;
}

double mean_difference(const Frame& a, const Frame& b) {
  EXPECT_EQ(a.rgb.size(), b.rgb.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < std::min(a.rgb.size(), b.rgb.size()); ++i) {
    sum += std::abs(a.rgb[i] - b.rgb[i]);
  }
  return sum / static_cast<double>(a.rgb.size());
}

TEST(EncodeJpeg, LooksLikeTheFrame) {
  const Frame frame = gradient(160, 90);
  const std::vector<std::uint8_t> jpeg = encode_jpeg(frame, 0, 90);
  ASSERT_GT(jpeg.size(), 100U);
  EXPECT_EQ(jpeg[0], 0xFF);
  EXPECT_EQ(jpeg[1], 0xD8);
  EXPECT_EQ(jpeg[jpeg.size() - 2], 0xFF);
  EXPECT_EQ(jpeg[jpeg.size() - 1], 0xD9);
  EXPECT_LT(mean_difference(decode(jpeg), frame), 3.0);
}

TEST(EncodeJpeg, ShrinksToTheSide) {
  const Frame wide = decode(encode_jpeg(gradient(320, 180), 64, 80));
  EXPECT_EQ(wide.width, 64);
  EXPECT_EQ(wide.height, 36);
  const Frame tall = decode(encode_jpeg(gradient(90, 160), 80, 80));
  EXPECT_EQ(tall.width, 45);
  EXPECT_EQ(tall.height, 80);
  EXPECT_EQ(decode(encode_jpeg(gradient(20, 10), 64, 80)).width, 20);
}

TEST(EncodeJpeg, CostsMoreBytesAndDiffersLessWithQuality) {
  const Frame frame = gradient(160, 90);
  std::size_t size = 0;
  double difference = 1e9;
  for (const int quality : {1, 30, 60, 100}) {
    const std::vector<std::uint8_t> jpeg = encode_jpeg(frame, 0, quality);
    EXPECT_GT(jpeg.size(), size) << quality;
    const double now = mean_difference(decode(jpeg), frame);
    EXPECT_LT(now, difference) << quality;
    size = jpeg.size();
    difference = now;
  }
}

TEST(EncodeJpeg, IsDeterministic) {
  const Frame frame = gradient(133, 77);
  EXPECT_EQ(encode_jpeg(frame, 100, 75), encode_jpeg(frame, 100, 75));
}

TEST(EncodeJpeg, TakesTheSmallestFrame) {
  const Frame dot = decode(encode_jpeg(gradient(1, 1), 64, 90));
  EXPECT_EQ(dot.width, 1);
  EXPECT_EQ(dot.height, 1);
}

TEST(EncodeJpeg, RefusesWhatMakesNoSense) {
  const Frame frame = gradient(16, 16);
  expect_error(ErrorKind::kInvalidInput, "quality", [&] { (void)encode_jpeg(frame, 0, 0); });
  expect_error(ErrorKind::kInvalidInput, "quality", [&] { (void)encode_jpeg(frame, 0, 101); });
  expect_error(ErrorKind::kInvalidInput, "side", [&] { (void)encode_jpeg(frame, -1, 50); });
  Frame broken = frame;
  broken.rgb.pop_back();
  expect_error(ErrorKind::kInvalidInput, "767 bytes", [&] { (void)encode_jpeg(broken, 0, 50); });
  expect_error(ErrorKind::kInvalidInput, "0x0", [&] { (void)encode_jpeg(Frame(), 0, 50); });
}

}  // namespace
}  // namespace mmra::media
