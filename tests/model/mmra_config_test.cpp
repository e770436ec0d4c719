#include "mmra/model/mmra_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::model {
namespace {

using Json = nlohmann::ordered_json;
using testing::expect_error;

/// No field has its default.
MmraConfig unusual_config() {
  MmraConfig config;
  config.variant = Variant::kReleased;
  config.precision = Precision::kBFloat16;
  config.visual_dim = 96;
  config.text_dim = 48;
  config.width = 33;
  config.mlp_hidden = {70, 7};
  config.k = 3;
  config.alpha = 0.1;
  config.without = {true, false, true, false, true};
  config.similarity_scale = 12.5;
  config.scaled_interactions = false;
  config.learning_rate = 3.3e-5;
  config.weight_decay = 0.25;
  config.dropout_input = 0.1;
  config.dropout_hidden = 0.2;
  config.token_dropout = 0.3;
  config.gradient_clip = 1.5;
  config.ema_decay = 0.99;
  config.seed = std::numeric_limits<std::uint64_t>::max();
  config.label_mean = -4.7;
  config.label_std = 1.0 / 3.0;
  return config;
}

Json document() { return Json::parse(config_to_json(unusual_config())); }

void expect_refused(const Json& json, const std::string& part,
                    ErrorKind kind = ErrorKind::kCorruptData) {
  SCOPED_TRACE(part);
  expect_error(kind, part, [&] { (void)config_from_json(json.dump(), "x/config.json"); });
  expect_error(kind, "x/config.json",
               [&] { (void)config_from_json(json.dump(), "x/config.json"); });
}

TEST(MmraConfig, ComesBackFromItsJson) {
  const MmraConfig given = unusual_config();
  const MmraConfig back = config_from_json(config_to_json(given), "config.json");
  EXPECT_EQ(back.variant, given.variant);
  EXPECT_EQ(back.precision, given.precision);
  EXPECT_EQ(back.mlp_hidden, given.mlp_hidden);
  EXPECT_EQ(back.seed, given.seed);
  EXPECT_EQ(back.alpha, given.alpha);
  EXPECT_EQ(back.label_std, given.label_std);
  EXPECT_TRUE(back.without.retrieval);
  EXPECT_FALSE(back.without.positive_attention);
  EXPECT_TRUE(back.without.negative_attention);
  EXPECT_FALSE(back.without.visual);
  EXPECT_TRUE(back.without.text);
  // The rest: what is written again is what was read.
  EXPECT_EQ(config_to_json(back), config_to_json(given));
  EXPECT_NE(config_to_json(back), config_to_json(MmraConfig{}));
}

TEST(MmraConfig, IsSavedAndLoaded) {
  const testing::TemporaryDirectory directory;
  save_config(unusual_config(), directory / "config.json");
  EXPECT_EQ(config_to_json(load_config(directory / "config.json")),
            config_to_json(unusual_config()));
  expect_error(ErrorKind::kNotFound, "missing.json",
               [&] { (void)load_config(directory / "missing.json"); });
}

TEST(MmraConfig, NeedsEveryKey) {
  const Json whole = document();
  for (const auto& [key, value] : whole.items()) {
    Json without_it = document();
    without_it.erase(key);
    if (key == "precision") continue;  // below
    expect_refused(without_it, "has no key \"" + key + "\"");
  }
  const Json ablations = document().at("without");
  for (const auto& [key, value] : ablations.items()) {
    Json without_it = document();
    without_it["without"].erase(key);
    expect_refused(without_it, "under \"without\", has no key \"" + key + "\"");
  }
}

/// Of before there was a choice.
TEST(MmraConfig, WithoutAPrecisionWasTrainedInFloat32) {
  Json json = document();
  json.erase("precision");
  EXPECT_EQ(config_from_json(json.dump(), "config.json").precision, Precision::kFloat32);
  for (const char* name : {"auto", "float32", ""}) {
    json["precision"] = name;
    expect_refused(json, std::string("the precision \"") + name + "\", expected \"f32\"");
  }
}

TEST(MmraConfig, NeedsTheTypeOfEveryKey) {
  const std::vector<Json> others{
      nullptr, "1", true, 7, 1.5, Json::array({"a"}), Json::array({1.5}), Json::object({{"a", 1}})};
  const Json whole = document();
  for (const auto& [key, value] : whole.items()) {
    int refused = 0;
    for (const Json& other : others) {
      Json changed = document();
      changed[key] = other;
      // A number goes where a number is: 7 for 0.1, and 1 as the version.
      if (value.is_number() && other.is_number() &&
          (value.is_number_float() || other.is_number_integer())) {
        continue;
      }
      if (value.is_string() && other.is_string()) continue;
      if (value.is_boolean() && other.is_boolean()) continue;
      expect_refused(changed, key);
      ++refused;
    }
    EXPECT_GE(refused, 5) << key;
  }
  Json changed = document();
  changed["without"]["text"] = 1;
  expect_refused(changed, "has number under \"text\", expected true or false");
}

TEST(MmraConfig, RefusesWhatItDoesNotKnow) {
  Json json = document();
  json["depth"] = 3;
  expect_refused(json, "unknown key \"depth\"");
  json = document();
  json["without"]["audio"] = true;
  expect_refused(json, "unknown key \"audio\"");
  json = document();
  json["model"] = "svr";
  expect_refused(json, "of the model \"svr\"");
  json = document();
  json["variant"] = "Paper";
  expect_refused(json, "the variant \"Paper\"");
  json = document();
  json["format_version"] = 2;
  expect_refused(json, "format version 2, this program reads 1", ErrorKind::kUnsupported);
}

TEST(MmraConfig, RefusesNumbersBeyondItsTypes) {
  for (const char* key : {"k", "width", "visual_dim"}) {
    for (const Json& value : {Json(std::int64_t{1} << 40), Json(-(std::int64_t{1} << 40)),
                              Json(std::numeric_limits<std::uint64_t>::max())}) {
      Json json = document();
      json[key] = value;
      expect_refused(json, std::string("out of range under \"") + key + "\"");
    }
  }
  Json json = document();
  json["seed"] = -1;
  expect_refused(json, "\"seed\"");
}

TEST(MmraConfig, RefusesTextThatIsNoObject) {
  for (const char* text :
       {"", "{", "[]", "null", "{\"model\": \"mmra\",}", "\xff\xfe", "3", "{\"alpha\": 1e999}"}) {
    expect_error(ErrorKind::kCorruptData, "config.json",
                 [&] { (void)config_from_json(text, "config.json"); });
  }
}

TEST(MmraConfig, RefusesEveryFieldOutOfRange) {
  const double nan = std::nan("");
  const std::vector<std::pair<std::string, std::function<void(MmraConfig&)>>> faults{
      {"visual_dim", [](auto& c) { c.visual_dim = -1; }},
      {"text_dim", [](auto& c) { c.text_dim = (1 << 16) + 1; }},
      {"width", [](auto& c) { c.width = 0; }},
      {"mlp_hidden",
       [](auto& c) {
         c.mlp_hidden = {8, 0};
       }},
      {"k", [](auto& c) { c.k = 0; }},
      {"k", [](auto& c) { c.k = 10001; }},
      {"alpha", [](auto& c) { c.alpha = 1.01; }},
      {"alpha", [&](auto& c) { c.alpha = nan; }},
      {"similarity_scale", [](auto& c) { c.similarity_scale = -1.0; }},
      {"learning_rate", [](auto& c) { c.learning_rate = -1e-9; }},
      {"weight_decay", [](auto& c) { c.weight_decay = INFINITY; }},
      {"dropout_input", [](auto& c) { c.dropout_input = 1.0; }},
      {"dropout_hidden", [](auto& c) { c.dropout_hidden = -0.1; }},
      {"token_dropout", [](auto& c) { c.token_dropout = 1.0; }},
      {"gradient_clip", [](auto& c) { c.gradient_clip = -1.0; }},
      {"ema_decay", [](auto& c) { c.ema_decay = 1.0; }},
      {"label_mean", [&](auto& c) { c.label_mean = nan; }},
      {"label_std", [](auto& c) { c.label_std = 0.0; }},
      {"no input", [](auto& c) { c.without.visual = c.without.text = true; }},
      {"no dimensions", [](auto& c) { c.visual_dim = c.text_dim = 0; }},
  };
  EXPECT_NO_THROW(validate_config(unusual_config()));
  const testing::TemporaryDirectory directory;
  for (const auto& [part, fault] : faults) {
    SCOPED_TRACE(part);
    MmraConfig config = unusual_config();
    fault(config);
    expect_error(ErrorKind::kInvalidInput, part, [&] { validate_config(config); });
    if (std::isnan(config.alpha + config.label_mean + config.weight_decay)) continue;
    // The same in a file is the file's fault, and named with it.
    save_config(config, directory / "config.json");
    expect_error(ErrorKind::kCorruptData, (directory / "config.json").string(),
                 [&] { (void)load_config(directory / "config.json"); });
  }
}

TEST(MmraConfig, GivesTheVariantsOwnHiddenLayers) {
  MmraConfig config;
  config.width = 123;
  EXPECT_THAT(hidden_sizes(config), ::testing::ElementsAre(123));
  config.variant = Variant::kReleased;
  EXPECT_THAT(hidden_sizes(config), ::testing::ElementsAre(800, 200));
  config.mlp_hidden = {5};
  EXPECT_THAT(hidden_sizes(config), ::testing::ElementsAre(5));
}

}  // namespace
}  // namespace mmra::model
