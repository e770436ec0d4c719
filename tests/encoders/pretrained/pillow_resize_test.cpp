#include "mmra/encoders/pretrained/pillow_resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "crc32.h"
#include "encoders/pretrained/made_pictures.h"
#include "expect_error.h"
#include "mmra/core/files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using ::testing::Each;

std::uint32_t checksum(const std::vector<std::uint8_t>& bytes) {
  return mmra::testing::crc32_of(std::as_bytes(std::span(bytes)));
}

TEST(PillowResize, GivesPillowsBytes) {
  const auto golden = nlohmann::json::parse(
      read_file(std::string(MMRA_GOLDEN_DIR) + "/pretrained/images/images.json"));
  const auto filters = golden.at("filters").get<std::vector<int>>();
  ASSERT_EQ(filters, (std::vector<int>{0, 2, 3}));
  ASSERT_GT(golden.at("resizes").size(), 50U);
  for (const auto& entry : golden.at("resizes")) {
    const auto from = entry.at("from").get<std::vector<int>>();
    const auto to = entry.at("to").get<std::vector<int>>();
    const auto picture = made_picture(entry.at("kind"), from[0], from[1]);
    for (std::size_t i = 0; i < filters.size(); ++i) {
      const auto resized = pillow_resize(picture, from[0], from[1], to[0], to[1],
                                         static_cast<Resampling>(filters[i]));
      EXPECT_EQ(checksum(resized), entry.at("crcs").at(i).get<std::uint32_t>())
          << entry.at("kind") << " " << entry.at("from") << " to " << entry.at("to") << ", filter "
          << filters[i];
    }
  }
}

TEST(PillowResize, KeepsOneColour) {
  const std::vector<std::uint8_t> picture(31 * 17 * 3, 201);
  for (const Resampling filter :
       {Resampling::kNearest, Resampling::kBilinear, Resampling::kBicubic}) {
    EXPECT_THAT(pillow_resize(picture, 31, 17, 100, 3, filter), Each(201));
    EXPECT_THAT(pillow_resize(picture, 31, 17, 4, 50, filter), Each(201));
  }
}

TEST(PillowResize, StandsTheLargestReduction) {
  // Windows of a whole line, half of whose bicubic weights are negative.
  const int width = 65'535;
  const std::vector<std::uint8_t> picture(static_cast<std::size_t>(width) * 3, 255);
  for (const Resampling filter : {Resampling::kBilinear, Resampling::kBicubic}) {
    EXPECT_THAT(pillow_resize(picture, width, 1, 2, 1, filter), Each(255));
  }
}

TEST(PillowResize, RefusesSizesThatCannotBe) {
  const std::vector<std::uint8_t> picture(2 * 3 * 3);
  const auto resize = [&](int width, int height, int new_width, int new_height) {
    return [=, &picture] {
      static_cast<void>(
          pillow_resize(picture, width, height, new_width, new_height, Resampling::kBilinear));
    };
  };
  expect_error(ErrorKind::kInvalidInput, "2 x 2 pixels has 18 bytes, expected 12",
               resize(2, 2, 4, 4));
  expect_error(ErrorKind::kInvalidInput, "its width is 0", resize(0, 3, 4, 4));
  expect_error(ErrorKind::kInvalidInput, "its height is -3", resize(2, -3, 4, 4));
  expect_error(ErrorKind::kInvalidInput, "its new width is 65536", resize(2, 3, 65'536, 4));
  expect_error(ErrorKind::kInvalidInput, "its new height is 0", resize(2, 3, 4, 0));
}

}  // namespace
}  // namespace mmra::encoders
