#include "mmra/plus/plus_config.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::plus::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

PlusConfig full_config() {
  PlusConfig config;
  config.retrieval_dim = 384;
  config.visual_dim = 768;
  config.has_visual = true;
  config.seed = 18446744073709551615ULL;
  config.parts.neighbours = false;
  config.columns = {{"followers", bank::ColumnType::kNumber},
                    {"creator", bank::ColumnType::kCategory}};
  config.trees.num_rounds = 256;
  config.trees.fingerprint = "00";
  config.label_mean = 5.25;
  return config;
}

TEST(PlusConfig, IsReadAsItWasWritten) {
  const TemporaryDirectory directory;
  save_config(full_config(), directory / "config.json");
  const PlusConfig config = load_config(directory / "config.json");
  EXPECT_EQ(config_to_json(config), config_to_json(full_config()));
  EXPECT_EQ(config.columns, full_config().columns);
  EXPECT_EQ(config.parts, full_config().parts);
  EXPECT_EQ(config.seed, full_config().seed);
}

TEST(PlusConfig, DamageIsNamed) {
  const std::string text = config_to_json(full_config());
  const std::tuple<const char*, const char*, const char*> changes[] = {
      {"\"neighbours\": false", "\"neighbours\": 3", "neighbours"},
      {"\"lexical_scale\"", "\"lexical_scal\"", "lexical_scale"},
      {"\"type\": \"number\"", "\"type\": \"colour\"", "colour"},
      {"\"seed\"", "\"sed\": 1, \"seed\"", "sed"},
      {"\"mmra-plus\"", "\"mmra\"", "expected mmra-plus"}};
  for (const auto& [from, to, part] : changes) {
    std::string broken = text;
    broken.replace(broken.find(from), std::string(from).size(), to);
    expect_error(ErrorKind::kCorruptData, part,
                 [&] { (void)config_from_json(broken, "config.json"); });
  }
  for (std::size_t size = 0; size + 2 < text.size(); size += 7) {
    expect_error(ErrorKind::kCorruptData, "config.json",
                 [&] { (void)config_from_json(text.substr(0, size), "config.json"); });
  }
  std::string newer = text;
  newer.replace(newer.find("\"format_version\": 2"), 19, "\"format_version\": 9");
  expect_error(ErrorKind::kUnsupported, "version 9",
               [&] { (void)config_from_json(newer, "config.json"); });
}

TEST(PlusConfig, ValuesThatCannotBeAreRefused) {
  PlusConfig config = full_config();
  config.trees.learning_rate = 0.0;
  expect_error(ErrorKind::kInvalidInput, "learning_rate", [&] { validate_config(config); });
  config = full_config();
  config.num_folds = 1;
  expect_error(ErrorKind::kInvalidInput, "num_folds", [&] { validate_config(config); });
  config = full_config();
  config.columns.push_back(config.columns.front());
  expect_error(ErrorKind::kInvalidInput, "followers", [&] { validate_config(config); });
  const TemporaryDirectory directory;
  config = full_config();
  config.lambda = -1.0;
  save_config(config, directory / "config.json");
  expect_error(ErrorKind::kCorruptData, "lambda",
               [&] { (void)load_config(directory / "config.json"); });
}

}  // namespace
}  // namespace mmra::plus::testing
