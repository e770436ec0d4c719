#include "mmra/baselines/baseline_config.h"

#include <gtest/gtest.h>

#include <string>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::baselines {
namespace {

using testing::expect_error;

BaselineConfig made_config(Kind kind) {
  BaselineConfig config;
  config.kind = kind;
  config.visual_dim = 3;
  config.text_dim = 7;
  config.k = 5;
  config.seed = 0xFFFFFFFFFFFFFFFFU;
  config.without_text = true;
  config.label_mean = 1.0 / 3.0;
  config.similarity_scale = 16.0;
  config.lambda = 300.0;
  config.svr = {2.0, 0.25, 1e-3};
  config.hyfea = {7, 3, 0.125, 2, 9, 5, "abc"};
  return config;
}

TEST(BaselineConfig, EveryKindComesBackAsItWasWritten) {
  for (const Kind kind : all_kinds()) {
    const std::string text = config_to_json(made_config(kind));
    EXPECT_EQ(config_to_json(config_from_json(text, "text")), text);
    EXPECT_NE(text.find("\"" + std::string(name_of(kind)) + "\""), std::string::npos);
  }
  const BaselineConfig config = config_from_json(config_to_json(made_config(Kind::kHyfea)), "text");
  EXPECT_EQ(config.hyfea.learning_rate, 0.125);
  EXPECT_EQ(config.hyfea.trees_fingerprint, "abc");
  EXPECT_EQ(config.label_mean, 1.0 / 3.0);
  EXPECT_EQ(config.seed, 0xFFFFFFFFFFFFFFFFU);
  EXPECT_TRUE(config.without_text);
}

TEST(BaselineConfig, EveryNameIsKnownAndNoOther) {
  for (const Kind kind : all_kinds()) EXPECT_EQ(parse_kind(name_of(kind)), kind);
  EXPECT_FALSE(parse_kind("mmra").has_value());
}

TEST(BaselineConfig, RefusesWhatDoesNotBelong) {
  const std::string text = config_to_json(made_config(Kind::kRidge));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    return other;
  };
  const auto refuse = [](ErrorKind kind, const std::string& part, const std::string& changed_text) {
    expect_error(kind, part, [&] { (void)config_from_json(changed_text, "c.json"); });
    expect_error(kind, "c.json", [&] { (void)config_from_json(changed_text, "c.json"); });
  };
  refuse(ErrorKind::kCorruptData, "not a JSON object", text.substr(0, text.size() / 2));
  refuse(ErrorKind::kCorruptData, "no key \"lambda\"", changed("lambda", "Lambda"));
  refuse(ErrorKind::kCorruptData, "expected a number", changed("300.0", "\"300\""));
  refuse(ErrorKind::kCorruptData, "unknown key \"x\"", changed("{", "{\"x\": 1,"));
  refuse(ErrorKind::kCorruptData, "of the model \"mmra\"", changed("ridge", "mmra"));
  refuse(ErrorKind::kUnsupported, "format version 9",
         changed("\"format_version\": 1", "\"format_version\": 9"));
}

TEST(BaselineConfig, AFileOutOfRangeIsDamaged) {
  const testing::TemporaryDirectory directory;
  BaselineConfig config = made_config(Kind::kKnn);
  config.k = 0;
  save_config(config, directory / "config.json");
  expect_error(ErrorKind::kCorruptData, "k is 0",
               [&] { (void)load_config(directory / "config.json"); });
  config.k = 1;
  config.without_visual = true;
  expect_error(ErrorKind::kInvalidInput, "no input", [&] { validate_config(config); });
}

}  // namespace
}  // namespace mmra::baselines
