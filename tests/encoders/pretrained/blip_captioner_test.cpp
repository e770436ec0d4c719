#include "mmra/encoders/pretrained/blip_captioner.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "expect_error.h"
#include "made_model.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::Expected;
using testing::golden_folder;
using Sentences = std::vector<std::vector<std::int32_t>>;
using Strings = std::vector<std::string>;

nlohmann::json golden_cases() {
  return nlohmann::json::parse(
      testing::read_text(golden_folder("blip") / "captions.json"))["cases"];
}

BlipCaptionerOptions one_thread() {
  BlipCaptionerOptions options;
  options.precision = Precision::kFloat32;
  options.num_threads = 1;
  return options;
}

std::vector<media::Frame> golden_pictures() {
  const SafetensorsFile file(golden_folder("blip") / "expected.safetensors");
  std::vector<media::Frame> frames;
  for (int i = 0; i < 4; ++i) {
    const TensorView& view = file.tensor("picture." + std::to_string(i));
    media::Frame& frame = frames.emplace_back();
    frame.height = static_cast<int>(view.shape[0]);
    frame.width = static_cast<int>(view.shape[1]);
    frame.rgb.resize(view.bytes.size());
    std::memcpy(frame.rgb.data(), view.bytes.data(), view.bytes.size());
  }
  return frames;
}

std::vector<const media::Frame*> pointers_to(const std::vector<media::Frame>& frames) {
  std::vector<const media::Frame*> pointers;
  for (const media::Frame& frame : frames) pointers.push_back(&frame);
  return pointers;
}

/// A copy of the golden model's folder to change.
class CopiedModel {
 public:
  CopiedModel() {
    for (const auto& entry : std::filesystem::directory_iterator(golden_folder("blip"))) {
      std::filesystem::copy_file(entry.path(), folder_ / entry.path().filename().string());
    }
  }
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }
  void write(const std::string& name, const std::string& text) const {
    testing::write_text(folder_ / name, text);
  }
  void change(const std::string& name, const std::string& pointer,
              const nlohmann::json& value) const {
    auto json = nlohmann::json::parse(testing::read_text(folder_ / name));
    json[nlohmann::json::json_pointer(pointer)] = value;
    write(name, json.dump());
  }

 private:
  TemporaryDirectory folder_;
};

TEST(BlipCaptioner, EqualsTransformersInEveryWayOfGenerating) {
  const auto frames = golden_pictures();
  const auto pixels = Expected("blip").floats("pixels");
  const nlohmann::json cases = golden_cases();
  ASSERT_EQ(cases.size(), 13U);
  for (const nlohmann::json& golden : cases) {
    const CopiedModel folder;
    folder.write("generation_config.json", golden["options"].dump());
    const auto captioner = BlipCaptioner::open(folder.path(), one_thread());
    EXPECT_EQ(captioner.generate_ids(pixels), golden["ids"].get<Sentences>()) << golden["options"];
    EXPECT_EQ(captioner.caption(pointers_to(frames)), golden["captions"].get<Strings>())
        << golden["options"];
  }
}

class GoldenBlip : public ::testing::Test {
 protected:
  BlipCaptioner captioner_ = BlipCaptioner::open(golden_folder("blip"), one_thread());
  std::vector<media::Frame> frames_ = golden_pictures();
  Strings captions_ = golden_cases()[0]["captions"].get<Strings>();
};

TEST_F(GoldenBlip, TakesTheFoldersSettingsButItsEndIdFromTheSeparator) {
  EXPECT_EQ(captioner_.generation().max_length, 17);
  EXPECT_EQ(captioner_.generation().start_id, 54);
  EXPECT_EQ(captioner_.generation().end_ids, std::vector<std::int32_t>{3});  // not eos_token_id, 2
  EXPECT_EQ(captioner_.precision(), Precision::kFloat32);
}

TEST_F(GoldenBlip, BatchesOfAnySizeGiveTheSame) {
  std::vector<const media::Frame*> many;
  Strings expected;
  for (std::size_t i = 0; i < 11; ++i) {
    many.push_back(&frames_[i % 4]);
    expected.push_back(captions_[i % 4]);
  }
  std::vector<std::size_t> batch_sizes;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{100'000}, std::size_t{1} << 30}) {
    BlipCaptionerOptions options = one_thread();
    options.batch_bytes = bytes;
    const auto captioner = BlipCaptioner::open(golden_folder("blip"), options);
    batch_sizes.push_back(captioner.batch_size());
    EXPECT_EQ(captioner.caption(many), expected) << bytes;
  }
  EXPECT_EQ(batch_sizes[0], 1U);
  EXPECT_EQ(batch_sizes[1], 3U);
  EXPECT_GT(batch_sizes[2], many.size());
}

TEST_F(GoldenBlip, ClipsAreCaptionedFrameByFrame) {
  const std::vector<media::Frame> first{frames_[0], frames_[0], frames_[3], frames_[0]};
  const std::vector<media::Frame> nothing;
  const std::vector<media::Frame> second{frames_[2], frames_[1], frames_[1]};
  const std::vector<std::span<const media::Frame>> clips{first, nothing, second};
  const auto captions = captioner_.caption_clips(clips);
  ASSERT_EQ(captions.size(), 3U);
  EXPECT_EQ(captions[0], (Strings{captions_[0], captions_[0], captions_[3], captions_[0]}));
  EXPECT_TRUE(captions[1].empty());
  EXPECT_EQ(captions[2], (Strings{captions_[2], captions_[1], captions_[1]}));
}

TEST_F(GoldenBlip, NearlyTheSameFramesShareTheFirstOnesCaption) {
  BlipCaptionerOptions options = one_thread();
  options.grouping = {1.0F, 1.0F};  // whatever has the same size is the same
  const auto captioner = BlipCaptioner::open(golden_folder("blip"), options);
  media::Frame other = frames_[0];
  for (std::uint8_t& byte : other.rgb) byte = static_cast<std::uint8_t>(255 - byte);
  ASSERT_NE(captioner.caption(std::vector<const media::Frame*>{&other}).front(), captions_[0]);
  const std::vector<media::Frame> clip{frames_[0], other};
  EXPECT_EQ(captioner.caption_clips(std::vector<std::span<const media::Frame>>{clip}),
            (std::vector<Strings>{{captions_[0], captions_[0]}}));
}

TEST_F(GoldenBlip, ThreadsMayAskAtTheSameTime) {
  std::vector<Strings> results(3);
  std::vector<std::thread> threads;
  for (Strings& result : results) {
    threads.emplace_back([&] { result = captioner_.caption(pointers_to(frames_)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Strings& result : results) EXPECT_EQ(result, captions_);
}

TEST_F(GoldenBlip, NoFramesNoCaptions) {
  EXPECT_TRUE(captioner_.caption({}).empty());
  EXPECT_TRUE(captioner_.caption_clips({}).empty());
}

TEST_F(GoldenBlip, RefusesAFrameWhoseBytesDoNotFit) {
  frames_[1].rgb.pop_back();
  expect_error(ErrorKind::kInvalidInput, "bytes",
               [&] { (void)captioner_.caption(pointers_to(frames_)); });
}

TEST(BlipCaptioner, InBFloat16EveryFrameHasACaption) {
  BlipCaptionerOptions options = one_thread();
  options.precision = Precision::kBFloat16;
  const auto captioner = BlipCaptioner::open(golden_folder("blip"), options);
  const auto frames = golden_pictures();
  const Strings captions = captioner.caption(pointers_to(frames));
  ASSERT_EQ(captions.size(), 4U);
  // Its margin is wide; the longer ones may part ways where two words are nearly as likely.
  EXPECT_EQ(captions[3], golden_cases()[0]["captions"][3]);
}

TEST(BlipCaptioner, SaysWhichPartsDoNotFit) {
  const auto refuse = [](ErrorKind kind, const std::string& part, const CopiedModel& folder) {
    expect_error(kind, part, [&] { (void)BlipCaptioner::open(folder.path(), one_thread()); });
  };
  const CopiedModel other_type;
  other_type.change("config.json", "/model_type", "git");
  refuse(ErrorKind::kUnsupported, "\"model_type\" is \"git\"; captioners of type \"blip\"",
         other_type);

  const CopiedModel other_size;
  other_size.change("preprocessor_config.json", "/size", {{"height", 30}, {"width", 24}});
  refuse(ErrorKind::kCorruptData, "makes images of 24 × 30 pixels, config.json takes 30 × 30",
         other_size);

  const CopiedModel too_long;
  too_long.change("generation_config.json", "/max_length", 40);
  refuse(ErrorKind::kInvalidInput, "at most 40 tokens", too_long);

  const CopiedModel no_such_start;
  no_such_start.change("config.json", "/text_config/bos_token_id", 56);
  refuse(ErrorKind::kInvalidInput, "start id must be in [0, 56)", no_such_start);

  const CopiedModel more_words;
  std::filesystem::remove(more_words.path() / "tokenizer.json");
  more_words.write("vocab.txt",
                   testing::read_text(more_words.path() / "vocab.txt") + "one\nmore\nthan\n");
  refuse(ErrorKind::kCorruptData, "the tokenizer has 57 words, the model 56", more_words);

  const CopiedModel no_processor;
  std::filesystem::remove(no_processor.path() / "preprocessor_config.json");
  refuse(ErrorKind::kNotFound, "preprocessor_config.json", no_processor);
}

}  // namespace
}  // namespace mmra::encoders
