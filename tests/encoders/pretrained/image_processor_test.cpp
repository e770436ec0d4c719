#include "mmra/encoders/pretrained/image_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "crc32.h"
#include "encoders/pretrained/made_pictures.h"
#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using Json = nlohmann::json;
using mmra::testing::crc32_of;
using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

media::Frame made_frame(int width, int height) {
  media::Frame frame;
  frame.width = width;
  frame.height = height;
  frame.rgb = made_picture("noise", width, height);
  return frame;
}

std::vector<float> pixels_of(const ImageProcessor& processor, const media::Frame& frame) {
  std::vector<float> pixels(static_cast<std::size_t>(processor.width() * processor.height()) * 3);
  processor.process(frame, pixels);
  return pixels;
}

TEST(ImageProcessor, GivesTheReferencesPixels) {
  const auto golden =
      Json::parse(read_file(std::string(MMRA_GOLDEN_DIR) + "/pretrained/images/images.json"));
  std::size_t num_whole = 0;
  for (const auto& entry : golden.at("processors")) {
    const ImageProcessor processor = ImageProcessor::parse(entry.at("config").dump(), "p.json");
    const auto from = entry.at("from").get<std::vector<int>>();
    const auto to = entry.at("to").get<std::vector<int>>();
    ASSERT_EQ(processor.width(), to[0]) << entry.at("config");
    ASSERT_EQ(processor.height(), to[1]) << entry.at("config");
    const auto pixels = pixels_of(processor, made_frame(from[0], from[1]));
    if (entry.contains("values")) {
      ++num_whole;
      const auto expected = entry.at("values").get<std::vector<float>>();
      ASSERT_EQ(expected.size(), pixels.size());
      for (std::size_t i = 0; i < pixels.size(); ++i) ASSERT_FLOAT_EQ(pixels[i], expected[i]) << i;
    }
    // Not only near: every bit, since each step is one rounding on both sides.
    EXPECT_EQ(crc32_of(std::as_bytes(std::span(pixels))), entry.at("crc").get<std::uint32_t>())
        << entry.at("config") << " " << entry.at("from");
  }
  EXPECT_GE(num_whole, 6U);
}

TEST(ImageProcessor, OpensAModelsFolder) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kNotFound, "preprocessor_config.json",
               [&] { static_cast<void>(ImageProcessor::open(directory.path())); });
  write_file_atomically(directory / "preprocessor_config.json",
                        R"({"image_processor_type": "ViTImageProcessor", "size": 32})");
  EXPECT_EQ(ImageProcessor::open(directory.path()).width(), 32);
}

TEST(ImageProcessor, RefusesWhatItCannotDoOrRead) {
  const auto refuse = [](ErrorKind kind, const std::string& part, Json change) {
    Json config = {{"image_processor_type", "ViTImageProcessor"}};
    config.update(change);
    expect_error(kind, part,
                 [&] { static_cast<void>(ImageProcessor::parse(config.dump(), "p.json")); });
  };
  const ErrorKind unsupported = ErrorKind::kUnsupported;
  refuse(unsupported, "p.json, \"image_processor_type\": is \"CLIPImageProcessor\"",
         {{"image_processor_type", "CLIPImageProcessor"}});
  refuse(unsupported, "\"do_center_crop\": is true", {{"do_center_crop", true}});
  refuse(unsupported, "\"do_resize\": is false", {{"do_resize", false}});
  refuse(unsupported, "\"size\": has \"shortest_edge\"", {{"size", {{"shortest_edge", 224}}}});
  refuse(unsupported, "\"resample\": is 1, this program has 0 (nearest)", {{"resample", 1}});
  const ErrorKind corrupt = ErrorKind::kCorruptData;
  refuse(corrupt, "lacks the key \"image_processor_type\"", {{"image_processor_type", nullptr}});
  refuse(corrupt, "\"size\": lacks the key \"width\"", {{"size", {{"height", 224}}}});
  refuse(corrupt, "\"size.height\": is 0, expected from 1 to 8192",
         {{"size", {{"height", 0}, {"width", 4}}}});
  refuse(corrupt, "\"size\": has 1.5, expected a whole number", {{"size", 1.5}});
  refuse(corrupt, "\"size\": has \"x\", expected an object", {{"size", "x"}});
  refuse(corrupt, "\"resample\": has \"2\"", {{"resample", "2"}});
  refuse(corrupt, "\"image_mean\": has 2 numbers, expected 3", {{"image_mean", {0.5, 0.5}}});
  refuse(corrupt, "\"image_mean.1\": has \"x\", expected a number", {{"image_mean", {1, "x", 2}}});
  refuse(corrupt, "\"image_std\": has a zero", {{"image_std", {0.5, 0.0, 0.5}}});
  expect_error(corrupt, "p.json is not a JSON object",
               [] { static_cast<void>(ImageProcessor::parse("{\"size\"", "p.json")); });
}

TEST(ImageProcessor, RefusesFramesAndRoomOfAnotherSize) {
  const auto processor =
      ImageProcessor::parse(R"({"image_processor_type": "ViTImageProcessor", "size": 4})", "p");
  std::vector<float> room(47);
  expect_error(ErrorKind::kInvalidInput, "room for 47 values of a frame, expected 48",
               [&] { processor.process(made_frame(3, 3), room); });
  room.resize(48);
  media::Frame frame = made_frame(3, 3);
  frame.rgb.pop_back();
  expect_error(ErrorKind::kInvalidInput, "has 26 bytes, expected 27",
               [&] { processor.process(frame, room); });
}

}  // namespace
}  // namespace mmra::encoders
