#include "mmra/model/neural_baseline_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "expect_error.h"
#include "test_files.h"

namespace mmra::model {
namespace {

using Json = nlohmann::ordered_json;
using testing::expect_error;

/// No field has its default.
NeuralBaselineConfig unusual_config(NeuralBaseline kind) {
  NeuralBaselineConfig config;
  config.kind = kind;
  config.variant = Variant::kReleased;
  config.visual_dim = 96;
  config.text_dim = 48;
  config.num_frames = 7;
  config.k = 3;
  config.without_visual = true;
  config.width = 70;
  config.kld_weight = 0.25;
  config.smoothness = 0.5;
  config.disagreement = 3.0;
  config.dropout_input = 0.1;
  config.dropout_hidden = 0.2;
  config.learning_rate = 3.3e-5;
  config.weight_decay = 0.125;
  config.gradient_clip = 1.5;
  config.ema_decay = 0.99;
  config.seed = 0xFFFFFFFFFFFFFFFFU;
  config.label_mean = -4.7;
  config.label_std = 1.0 / 3.0;
  return config;
}

void expect_refused(const Json& json, const std::string& part,
                    ErrorKind kind = ErrorKind::kCorruptData) {
  SCOPED_TRACE(part);
  const auto read = [&] { (void)neural_baseline_config_from_json(json.dump(), "x/config.json"); };
  expect_error(kind, part, read);
  expect_error(kind, "x/config.json", read);
}

class EachConfig : public ::testing::TestWithParam<NeuralBaseline> {
 protected:
  [[nodiscard]] Json document() const {
    return Json::parse(config_to_json(unusual_config(GetParam())));
  }
};

INSTANTIATE_TEST_SUITE_P(NeuralBaselines, EachConfig,
                         ::testing::ValuesIn(all_neural_baselines().begin(),
                                             all_neural_baselines().end()),
                         [](const auto& each) { return std::string(name_of(each.param)); });

TEST_P(EachConfig, ComesBackFromItsJson) {
  const NeuralBaselineConfig given = unusual_config(GetParam());
  const NeuralBaselineConfig back =
      neural_baseline_config_from_json(config_to_json(given), "config.json");
  EXPECT_EQ(back.kind, given.kind);
  EXPECT_EQ(back.variant, given.variant);
  EXPECT_EQ(back.seed, given.seed);
  EXPECT_EQ(back.label_std, given.label_std);
  EXPECT_EQ(back.num_frames, given.num_frames);
  EXPECT_TRUE(back.without_visual);
  EXPECT_FALSE(back.without_text);
  // The rest: what is written again is what was read.
  EXPECT_EQ(config_to_json(back), config_to_json(given));
}

TEST_P(EachConfig, IsSavedAndLoaded) {
  const testing::TemporaryDirectory directory;
  save_config(unusual_config(GetParam()), directory / "config.json");
  EXPECT_EQ(config_to_json(load_neural_baseline_config(directory / "config.json")),
            config_to_json(unusual_config(GetParam())));
  expect_error(ErrorKind::kNotFound, "missing.json",
               [&] { (void)load_neural_baseline_config(directory / "missing.json"); });
}

TEST_P(EachConfig, NeedsEveryKeyWithItsType) {
  const Json whole = document();
  for (const auto& [key, value] : whole.items()) {
    Json changed = document();
    changed.erase(key);
    // Of before there was a choice: float32.
    if (key != "precision") expect_refused(changed, "has no key \"" + key + "\"");
    changed[key] = Json::array({1});
    expect_refused(changed, key);
    changed[key] = value.is_string() ? Json(1) : Json("1");
    expect_refused(changed, key);
  }
}

TEST_P(EachConfig, RefusesWhatItDoesNotKnow) {
  Json json = document();
  json["alpha"] = 0.6;
  expect_refused(json, "unknown key \"alpha\"");
  json = document();
  json["model"] = "mmra";
  expect_refused(json, "of the model \"mmra\"");
  json = document();
  json["variant"] = "Paper";
  expect_refused(json, "the variant \"Paper\"");
  json = document();
  json["format_version"] = 2;
  expect_refused(json, "format version 2, this program reads 1", ErrorKind::kUnsupported);
  for (const char* text : {"", "{", "[]", "null", "\xff\xfe", "{\"model\": \"clstm\",}"}) {
    expect_error(ErrorKind::kCorruptData, "config.json",
                 [&] { (void)neural_baseline_config_from_json(text, "config.json"); });
  }
}

TEST_P(EachConfig, RefusesEveryFieldOutOfRange) {
  using Config = NeuralBaselineConfig;
  const double nan = std::nan("");
  const std::vector<std::pair<std::string, std::function<void(Config&)>>> faults{
      {"visual_dim", [](Config& c) { c.visual_dim = -1; }},
      {"text_dim", [](Config& c) { c.text_dim = (1 << 16) + 1; }},
      {"num_frames", [](Config& c) { c.num_frames = 0; }},
      {"k", [](Config& c) { c.k = 0; }},
      {"width", [](Config& c) { c.width = 0; }},
      {"kld_weight", [](Config& c) { c.kld_weight = 1.1; }},
      {"smoothness", [](Config& c) { c.smoothness = -1.0; }},
      {"disagreement", [&](Config& c) { c.disagreement = nan; }},
      {"dropout_input", [](Config& c) { c.dropout_input = 1.0; }},
      {"dropout_hidden", [](Config& c) { c.dropout_hidden = -0.1; }},
      {"learning_rate", [](Config& c) { c.learning_rate = -1e-9; }},
      {"weight_decay", [](Config& c) { c.weight_decay = INFINITY; }},
      {"gradient_clip", [](Config& c) { c.gradient_clip = -1.0; }},
      {"ema_decay", [](Config& c) { c.ema_decay = 1.0; }},
      {"label_mean", [&](Config& c) { c.label_mean = nan; }},
      {"label_std", [](Config& c) { c.label_std = 0.0; }},
      {"no input", [](Config& c) { c.without_text = true; }},
      {"no input", [](Config& c) { c.text_dim = 0; }},
  };
  EXPECT_NO_THROW(validate_config(unusual_config(GetParam())));
  for (const auto& [part, fault] : faults) {
    SCOPED_TRACE(part);
    NeuralBaselineConfig config = unusual_config(GetParam());
    fault(config);
    expect_error(ErrorKind::kInvalidInput, part, [&] { validate_config(config); });
  }
  // The same in a file is the file's fault, and named with it.
  const testing::TemporaryDirectory directory;
  NeuralBaselineConfig config = unusual_config(GetParam());
  config.k = 0;
  save_config(config, directory / "config.json");
  expect_error(ErrorKind::kCorruptData, (directory / "config.json").string(),
               [&] { (void)load_neural_baseline_config(directory / "config.json"); });
}

TEST_P(EachConfig, HasAllowedDefaultsInBothVariants) {
  for (const Variant variant : {Variant::kPaper, Variant::kReleased}) {
    NeuralBaselineConfig config = default_config(GetParam(), variant);
    EXPECT_EQ(config.kind, GetParam());
    EXPECT_EQ(config.variant, variant);
    config.text_dim = 8;
    EXPECT_NO_THROW(validate_config(config));
  }
}

TEST(NeuralBaselineConfig, HasTheAuthorsSettingsInTheReleasedVariant) {
  const auto config = [](NeuralBaseline kind) { return default_config(kind, Variant::kReleased); };
  EXPECT_EQ(config(NeuralBaseline::kClstm).width, 50);
  EXPECT_EQ(config(NeuralBaseline::kHmmved).width, 50);
  EXPECT_EQ(config(NeuralBaseline::kMassl).width, 256);
  EXPECT_EQ(config(NeuralBaseline::kTmall).width, 256);
  EXPECT_EQ(config(NeuralBaseline::kTmall).learning_rate, 1e-3);
  EXPECT_EQ(config(NeuralBaseline::kTmall).disagreement, 1.0);
  EXPECT_EQ(config(NeuralBaseline::kCban).learning_rate, 1e-4);
  EXPECT_EQ(config(NeuralBaseline::kMassl).kld_weight, 0.05);
  EXPECT_EQ(config(NeuralBaseline::kHmmved).weight_decay, 0.0);
}

TEST(NeuralBaselineConfig, LeavesMasslsConvolutionsSomething) {
  NeuralBaselineConfig config = unusual_config(NeuralBaseline::kMassl);
  config.width = 63;
  expect_error(ErrorKind::kInvalidInput, "width is 63, it must be from 64",
               [&] { validate_config(config); });
}

TEST(NeuralBaselineConfig, KnowsEveryNameAndNoOther) {
  for (const NeuralBaseline kind : all_neural_baselines()) {
    EXPECT_EQ(parse_neural_baseline(name_of(kind)), kind);
  }
  EXPECT_FALSE(parse_neural_baseline("mmra").has_value());
  EXPECT_FALSE(parse_neural_baseline("svr").has_value());
}

}  // namespace
}  // namespace mmra::model
