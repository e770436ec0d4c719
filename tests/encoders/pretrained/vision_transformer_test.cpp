#include "mmra/encoders/pretrained/vision_transformer.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "expect_error.h"
#include "made_model.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::cosine;
using testing::Expected;
using testing::golden_folder;
using testing::MadeTensor;
using testing::MadeTensors;
using testing::read_tensors;
using testing::read_text;
using testing::relative_error;
using testing::write_model;

constexpr std::size_t kImageFloats = std::size_t{3} * 20 * 20;
constexpr std::size_t kStateFloats = std::size_t{17} * 36;

using Stages = std::map<std::string, std::vector<float>>;

Stages stages_of(const VisionTransformer& vit) {
  Stages stages;
  const auto images = Expected("vit").floats("images");
  const Matrix states = vit.hidden_states(images, [&](const std::string& stage, ConstRows values) {
    stages[stage].assign(values.data, values.data + values.rows * values.cols);
  });
  EXPECT_EQ(states.view().rows, 3 * 17);
  stages["class"] = vit.class_states(images);
  return stages;
}

void expect_equal(const Stages& stages, const Expected& expected) {
  ASSERT_EQ(stages.size(), 5U);
  for (const auto& [name, values] : stages) {
    EXPECT_LT(relative_error(values, expected.floats(name)), 2e-6) << name;
  }
}

void expect_close(const Stages& stages, const Expected& expected) {
  ASSERT_EQ(stages.size(), 5U);
  for (const auto& [name, values] : stages) {
    EXPECT_GT(cosine(values, expected.floats(name)), 0.999) << name;
  }
}

TEST(VisionTransformer, EqualsTransformersAtEveryStage) {
  const auto vit = VisionTransformer::open(golden_folder("vit"), Precision::kFloat32);
  EXPECT_EQ(vit.config().num_tokens(), 17);
  EXPECT_EQ(vit.config().image_floats(), std::int64_t{kImageFloats});
  expect_equal(stages_of(vit), Expected("vit"));
}

TEST(VisionTransformer, OfFloat16Shards) {
  expect_equal(
      stages_of(VisionTransformer::open(golden_folder("vit/sharded_f16"), Precision::kFloat32)),
      Expected("vit/sharded_f16"));
}

TEST(VisionTransformer, InBFloat16) {
  const auto vit = VisionTransformer::open(golden_folder("vit/bf16"), Precision::kBFloat16);
  if (!has_bfloat16_products()) expect_equal(stages_of(vit), Expected("vit/bf16"));
  expect_close(stages_of(vit), Expected("vit/bf16"));
  expect_close(stages_of(VisionTransformer::open(golden_folder("vit"), Precision::kBFloat16)),
               Expected("vit"));
}

/// The golden model with another config or other tensors.
class ChangedVit : public ::testing::Test {
 protected:
  VisionTransformer open(const nlohmann::json& config, const MadeTensors& tensors) const {
    write_model(folder_.path(), config.dump(), tensors);
    return VisionTransformer::open(folder_.path(), Precision::kFloat32);
  }
  void expect(ErrorKind kind, const std::string& part, const char* key,
              const nlohmann::json& value) const {
    auto config = config_;
    config[key] = value;
    expect_error(kind, part, [&] { open(config, tensors_); });
  }

  TemporaryDirectory folder_;
  nlohmann::json config_ = nlohmann::json::parse(read_text(golden_folder("vit") / "config.json"));
  MadeTensors tensors_ = read_tensors(golden_folder("vit"));
};

TEST_F(ChangedVit, PrefixAndUnusedHead) {
  MadeTensors renamed;
  for (auto& [name, tensor] : tensors_) renamed["vit." + name] = tensor;
  renamed["classifier.weight"] = {{1}, {1}};
  expect_equal(stages_of(open(config_, renamed)), Expected("vit"));
}

TEST_F(ChangedVit, WithoutBiasesInAttentionAsQkvBiasSays) {
  MadeTensors zeroed = tensors_;
  MadeTensors without = tensors_;
  for (const auto& [name, tensor] : tensors_) {
    if (name.find("attention.attention") == std::string::npos || !name.ends_with("bias")) continue;
    zeroed[name].values.assign(tensor.values.size(), 0.0F);
    without.erase(name);
  }
  const auto expected = stages_of(open(config_, zeroed));
  config_["qkv_bias"] = false;
  const auto actual = stages_of(open(config_, without));
  EXPECT_LT(relative_error(actual.at("final"), expected.at("final")), 1e-6);
}

TEST_F(ChangedVit, SaysWhatDoesNotFit) {
  expect(ErrorKind::kUnsupported, "\"model_type\" is \"swin\"; visual encoders of type \"vit\"",
         "model_type", "swin");
  expect(ErrorKind::kUnsupported, "\"num_channels\" is not 3", "num_channels", 1);
  expect(ErrorKind::kCorruptData, "\"image_size\" is 20, not a multiple of \"patch_size\", 7",
         "patch_size", 7);
  expect(ErrorKind::kCorruptData, "\"image_size\" is a list", "image_size", {20, 20});
  expect(
      ErrorKind::kCorruptData,
      "tensor \"embeddings.position_embeddings\" has the shape [1, 17, 36], expected [1, 37, 36]",
      "image_size", 30);
}

/// The golden ViT's tensors under BLIP's names, queries, keys and values in one.
MadeTensors as_blip(const MadeTensors& vit) {
  const auto joined = [&](const std::string& layer, const std::string& kind) {
    MadeTensor all;
    for (const char* part : {"query", "key", "value"}) {
      const auto& tensor = vit.at(layer + "attention.attention." + part + "." + kind);
      all.shape = tensor.shape;
      all.values.insert(all.values.end(), tensor.values.begin(), tensor.values.end());
    }
    all.shape[0] *= 3;
    return all;
  };
  const std::string root = "vision_model.";
  MadeTensors blip = {
      {root + "embeddings.class_embedding", vit.at("embeddings.cls_token")},
      {root + "embeddings.position_embedding", vit.at("embeddings.position_embeddings")}};
  for (const std::string kind : {"weight", "bias"}) {
    blip[root + "embeddings.patch_embedding." + kind] =
        vit.at("embeddings.patch_embeddings.projection." + kind);
    blip[root + "post_layernorm." + kind] = vit.at("layernorm." + kind);
    for (const std::string number : {"0", "1"}) {
      const std::string from = "encoder.layer." + number + ".";
      const std::string to = root + "encoder.layers." + number + ".";
      blip[to + "self_attn.qkv." + kind] = joined(from, kind);
      blip[to + "self_attn.projection." + kind] = vit.at(from + "attention.output.dense." + kind);
      blip[to + "layer_norm1." + kind] = vit.at(from + "layernorm_before." + kind);
      blip[to + "layer_norm2." + kind] = vit.at(from + "layernorm_after." + kind);
      blip[to + "mlp.fc1." + kind] = vit.at(from + "intermediate.dense." + kind);
      blip[to + "mlp.fc2." + kind] = vit.at(from + "output.dense." + kind);
    }
  }
  return blip;
}

TEST_F(ChangedVit, UnderBlipsNames) {
  const nlohmann::json config = {{"model_type", "blip"}, {"vision_config", config_}};
  write_model(folder_.path(), config.dump(), as_blip(tensors_));
  const auto files = std::make_shared<const ModelFiles>(folder_.path());
  expect_equal(stages_of(VisionTransformer::blip(files, Precision::kFloat32)), Expected("vit"));
}

class GoldenVit : public ::testing::Test {
 protected:
  VisionTransformer vit_ = VisionTransformer::open(golden_folder("vit"), Precision::kFloat32);
  std::vector<float> images_ = Expected("vit").floats("images");
};

TEST_F(GoldenVit, AnImageGivesTheSameAloneAndAmongOthers) {
  const Matrix all = vit_.hidden_states(images_);
  for (std::size_t i = 0; i < 3; ++i) {
    const Matrix alone =
        vit_.hidden_states(std::span(images_).subspan(i * kImageFloats, kImageFloats));
    EXPECT_LT(relative_error({alone.view().data, kStateFloats},
                             {all.view().data + i * kStateFloats, kStateFloats}),
              1e-6);
  }
}

TEST_F(GoldenVit, MoreImagesThanFitAPass) {
  constexpr std::size_t kMany = 250;  // of 17 tokens
  std::vector<float> many;
  for (std::size_t i = 0; i < kMany; ++i) {
    const auto image = std::span(images_).subspan(i % 3 * kImageFloats, kImageFloats);
    many.insert(many.end(), image.begin(), image.end());
  }
  const auto few = vit_.class_states(images_);
  const auto states = vit_.class_states(many);
  ASSERT_EQ(states.size(), kMany * 36);
  for (std::size_t i = 0; i < kMany; ++i) {
    ASSERT_LT(relative_error(std::span(states).subspan(i * 36, 36),
                             std::span(few).subspan(i % 3 * 36, 36)),
              1e-6);
  }
}

TEST_F(GoldenVit, RefusesAPartOfAnImage) {
  expect_error(
      ErrorKind::kInvalidInput, "1199 floats are no whole number of images of 3 × 20 × 20",
      [&] { static_cast<void>(vit_.class_states(std::span(images_).first(kImageFloats - 1))); });
  EXPECT_TRUE(vit_.class_states({}).empty());
}

}  // namespace
}  // namespace mmra::encoders
