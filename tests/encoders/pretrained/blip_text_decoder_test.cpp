#include "mmra/encoders/pretrained/blip_text_decoder.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "expect_error.h"
#include "made_model.h"
#include "mmra/encoders/pretrained/vision_transformer.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::cosine;
using testing::Expected;
using testing::golden_folder;
using testing::MadeTensors;
using testing::relative_error;

constexpr std::int64_t kNumImages = 4;
constexpr std::int64_t kImageTokens = 26;
constexpr std::int64_t kImageHidden = 36;
constexpr std::int64_t kHidden = 40;
constexpr std::int64_t kVocabulary = 56;
constexpr std::size_t kNumSteps = 6;

using Stages = std::map<std::string, std::vector<float>>;

std::shared_ptr<const ModelFiles> golden_files() {
  return std::make_shared<const ModelFiles>(golden_folder("blip"));
}

ConstRows image_states(const std::vector<float>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / kImageHidden, kImageHidden,
          kImageHidden};
}

/// One row of [kNumImages × kNumSteps] ids at a time: the ids of `step`.
std::vector<std::int32_t> ids_of_step(const std::vector<std::int32_t>& ids, std::size_t step) {
  std::vector<std::int32_t> result;
  for (std::size_t i = 0; i < kNumImages; ++i) result.push_back(ids[i * kNumSteps + step]);
  return result;
}

std::vector<int> each_itself(std::size_t count) {
  std::vector<int> rows(count);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

/// Decodes the golden ids a token at a time; every stage as [images × steps × width], as
/// transformers gives it for all tokens at once.
Stages stages_of(const BlipTextDecoder& decoder) {
  const Expected expected("blip");
  const auto states = expected.floats("vision.final");
  const auto ids = expected.integers("decoder.ids");
  Stages stages;
  std::size_t step = 0;
  const auto place = [&](const std::string& stage, ConstRows values) {
    auto& all = stages[stage];
    const auto width = static_cast<std::size_t>(values.cols);
    all.resize(kNumImages * kNumSteps * width);
    for (std::int64_t i = 0; i < values.rows; ++i) {
      std::copy_n(values.row(i), width,
                  all.data() + (static_cast<std::size_t>(i) * kNumSteps + step) * width);
    }
  };
  const auto model = decoder.begin(image_states(states), kNumImages, 20, place);
  std::vector<float> logits(kNumImages * kVocabulary);
  for (; step < kNumSteps; ++step) {
    model->advance(ids_of_step(ids, step), each_itself(kNumImages), logits);
    place("logits", {logits.data(), kNumImages, kVocabulary, kVocabulary});
  }
  return stages;
}

TEST(BlipTextDecoder, EqualsTransformersAtEveryStage) {
  const Expected expected("blip");
  const BlipTextDecoder decoder(golden_files(), kImageHidden, Precision::kFloat32);
  const Stages stages = stages_of(decoder);
  ASSERT_EQ(stages.size(), 4U);
  for (const auto& [name, values] : stages) {
    EXPECT_LT(relative_error(values, expected.floats("decoder." + name)), 1e-5) << name;
  }
  EXPECT_LT(relative_error(stages.at("logits"), expected.floats("decoder.cached_logits")), 1e-5);
}

TEST(BlipTextDecoder, InBFloat16) {
  const Expected expected("blip");
  const BlipTextDecoder decoder(golden_files(), kImageHidden, Precision::kBFloat16);
  for (const auto& [name, values] : stages_of(decoder)) {
    EXPECT_GT(cosine(values, expected.floats("decoder." + name)), 0.999) << name;
  }
}

class GoldenDecoder : public ::testing::Test {
 protected:
  std::vector<float> advance(NextTokenModel& model, const std::vector<std::int32_t>& tokens,
                             const std::vector<int>& parents) const {
    std::vector<float> logits(tokens.size() * kVocabulary);
    model.advance(tokens, parents, logits);
    return logits;
  }
  std::unique_ptr<NextTokenModel> begin(std::int64_t first_image, std::int64_t num_images) const {
    return decoder_.begin(
        image_states(states_).slice(first_image * kImageTokens, num_images * kImageTokens),
        num_images, 20);
  }

  BlipTextDecoder decoder_{golden_files(), kImageHidden, Precision::kFloat32};
  std::vector<float> states_ = Expected("blip").floats("vision.final");
};

TEST_F(GoldenDecoder, ASentenceGivesTheSameAloneAndAmongOthers) {
  const auto together = begin(0, kNumImages);
  std::vector<std::unique_ptr<NextTokenModel>> alone;
  for (std::int64_t i = 0; i < kNumImages; ++i) alone.push_back(begin(i, 1));
  for (const std::int32_t base : {10, 20, 30}) {
    const std::vector<std::int32_t> tokens{base, base + 1, base + 2, base + 3};
    const auto all = advance(*together, tokens, each_itself(kNumImages));
    for (std::size_t i = 0; i < kNumImages; ++i) {
      EXPECT_LT(relative_error(advance(*alone[i], {tokens[i]}, {0}),
                               std::span(all).subspan(i * kVocabulary, kVocabulary)),
                1e-6);
    }
  }
}

TEST_F(GoldenDecoder, RowsFollowTheirParents) {
  // Beams over two images; the second step keeps, doubles, drops and swaps rows.
  const auto beams = begin(0, 2);
  advance(*beams, {54, 54}, {0, 1});
  advance(*beams, {10, 11, 12, 13, 14}, {0, 0, 0, 1, 1});
  const auto actual = advance(*beams, {20, 21, 22, 23}, {4, 1, 1, 3});

  const auto straight = [&](std::int64_t image, std::int32_t second, std::int32_t third) {
    const auto model = begin(image, 1);
    advance(*model, {54}, {0});
    advance(*model, {second}, {0});
    return advance(*model, {third}, {0});
  };
  const std::vector<std::vector<float>> expected{straight(1, 14, 20), straight(0, 11, 21),
                                                 straight(0, 11, 22), straight(1, 13, 23)};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT(relative_error(std::span(actual).subspan(i * kVocabulary, kVocabulary), expected[i]),
              1e-6)
        << i;
  }
}

TEST_F(GoldenDecoder, SaysWhatDoesNotFit) {
  expect_error(ErrorKind::kInvalidInput, "at most 26 tokens need as many positions; this captioner",
               [&] { (void)decoder_.begin(image_states(states_), kNumImages, 26); });
  const auto model = begin(0, 1);
  for (const std::int32_t id : {-1, static_cast<std::int32_t>(kVocabulary)}) {
    expect_error(ErrorKind::kInvalidInput, "is outside of the captioner's 56 words",
                 [&] { advance(*model, {id}, {0}); });
  }
}

TEST_F(GoldenDecoder, OneImagesMemory) {
  EXPECT_EQ(decoder_.bytes_per_image(kImageTokens),
            2U * 2U * kImageTokens * kHidden * sizeof(float));
}

/// The golden model with another config or other tensors.
class ChangedBlip : public ::testing::Test {
 protected:
  std::shared_ptr<const ModelFiles> files() const {
    testing::write_model(folder_.path(), config_.dump(), tensors_);
    return std::make_shared<const ModelFiles>(folder_.path());
  }
  BlipTextDecoder open() const { return {files(), kImageHidden, Precision::kFloat32}; }
  void refuse(ErrorKind kind, const std::string& part, const char* key,
              const nlohmann::json& value) {
    const nlohmann::json before = config_;
    config_["text_config"][key] = value;
    expect_error(kind, part, [&] { (void)open(); });
    config_ = before;
  }

  TemporaryDirectory folder_;
  nlohmann::json config_ =
      nlohmann::json::parse(testing::read_text(golden_folder("blip") / "config.json"));
  MadeTensors tensors_ = testing::read_tensors(golden_folder("blip"));
};

const std::string kHead = "text_decoder.cls.predictions.";
const std::string kWords = "text_decoder.bert.embeddings.word_embeddings.weight";

TEST_F(ChangedBlip, HeadTiedToTheWordEmbeddingsMayBeLeftOut) {
  tensors_[kHead + "decoder.weight"] = tensors_.at(kWords);
  const Stages tied = stages_of(open());
  tensors_.erase(kHead + "decoder.weight");
  EXPECT_EQ(stages_of(open()), tied);
}

TEST_F(ChangedBlip, BiasOfTheHeadUnderEitherName) {
  tensors_[kHead + "decoder.bias"] = tensors_.at(kHead + "bias");
  tensors_.erase(kHead + "bias");
  EXPECT_LT(
      relative_error(stages_of(open()).at("logits"), Expected("blip").floats("decoder.logits")),
      1e-5);
}

TEST_F(ChangedBlip, MissingKeysHaveTransformersDefaults) {
  const BlipTextConfig text = BlipTextConfig::from(ModelConfig::parse("{}", "config.json"), 768);
  EXPECT_EQ(text.vocab_size, 30524);
  EXPECT_EQ(text.num_layers, 12);
  EXPECT_EQ(text.num_heads, 8);
  EXPECT_EQ(text.max_tokens, 512);
  EXPECT_EQ(text.layer_norm_epsilon, 1e-12);
  const VisionConfig vision = VisionConfig::from_blip(ModelConfig::parse("{}", "config.json"));
  EXPECT_EQ(vision.num_tokens(), 577);
  EXPECT_EQ(vision.num_heads, 12);
  EXPECT_EQ(vision.intermediate_size, 3072);
  EXPECT_EQ(vision.layer_norm_epsilon, 1e-5);
}

TEST_F(ChangedBlip, SaysWhatDoesNotFit) {
  refuse(ErrorKind::kCorruptData,
         "\"hidden_size\" is 40, not a multiple of \"num_attention_heads\"", "num_attention_heads",
         7);
  refuse(ErrorKind::kUnsupported, "\"position_embedding_type\" is \"relative_key\"",
         "position_embedding_type", "relative_key");
  refuse(ErrorKind::kCorruptData, "word_embeddings.weight\" has the shape [56, 40]", "vocab_size",
         57);
  refuse(ErrorKind::kCorruptData, "\"text_config.num_hidden_layers\" is \"two\"",
         "num_hidden_layers", "two");
  tensors_.erase("text_decoder.bert.encoder.layer.1.crossattention.self.key.weight");
  expect_error(ErrorKind::kCorruptData,
               "text_decoder.bert.encoder.layer.1.crossattention.self.key.weight",
               [&] { (void)open(); });
}

TEST(BlipVision, EqualsTransformersAtEveryStage) {
  const Expected expected("blip");
  const auto pixels = expected.floats("pixels");
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
    const auto vision = VisionTransformer::blip(golden_files(), precision);
    int num_stages = 0;
    vision.hidden_states(pixels, [&](const std::string& stage, ConstRows values) {
      ++num_stages;
      const std::span<const float> actual(values.data,
                                          static_cast<std::size_t>(values.rows * values.cols));
      const auto wanted = expected.floats("vision." + stage);
      EXPECT_GT(cosine(actual, wanted), 0.999) << stage;
      if (precision == Precision::kFloat32) {
        EXPECT_LT(relative_error(actual, wanted), 1e-5) << stage;
      }
    });
    EXPECT_EQ(num_stages, 4);
  }
}

}  // namespace
}  // namespace mmra::encoders
