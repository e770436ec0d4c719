#include "mmra/encoders/pretrained/model_config.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;

ModelConfig config() {
  return ModelConfig::parse(
      R"({"size": 12, "eps": 1e-5, "whole": 2, "name": "bert", "on": true, "none": null,
          "negative": -3, "huge": 18446744073709551615, "half": 1.5,
          "text_config": {"size": 7, "list": [1, 2]}})",
      "m/config.json");
}

TEST(ModelConfig, ReadsEachType) {
  const ModelConfig c = config();
  EXPECT_EQ(c.integer("size", 1, 100), 12);
  EXPECT_EQ(c.integer("negative", -5, 0), -3);
  EXPECT_EQ(c.number("eps", 0, 1), 1e-5);
  EXPECT_EQ(c.number("whole", 0, 5), 2.0);
  EXPECT_EQ(c.text("name"), "bert");
  EXPECT_TRUE(c.boolean("on"));
  EXPECT_EQ(c.section("text_config").integer("size", 1, 100), 7);
}

TEST(ModelConfig, MissingAndNullTakeTheFallback) {
  const ModelConfig c = config();
  EXPECT_FALSE(c.has("none"));
  EXPECT_FALSE(c.has("absent"));
  EXPECT_EQ(c.integer("none", 1, 9, 4), 4);
  EXPECT_EQ(c.number("absent", 0, 1, 0.5), 0.5);
  EXPECT_EQ(c.text("absent", "gelu"), "gelu");
  EXPECT_FALSE(c.boolean("absent", false));
  expect_error(ErrorKind::kCorruptData,
               "m/config.json has no \"none\"; expected a whole number from 1 to 9",
               [&] { static_cast<void>(c.integer("none", 1, 9)); });
}

TEST(ModelConfig, ErrorsNameFileKeyFoundAndExpected) {
  const ModelConfig c = config();
  expect_error(ErrorKind::kCorruptData,
               "m/config.json: \"size\" is 12; expected a whole number from 1 to 9",
               [&] { static_cast<void>(c.integer("size", 1, 9)); });
  expect_error(ErrorKind::kCorruptData, "\"half\" is 1.5; expected a whole number",
               [&] { static_cast<void>(c.integer("half", 1, 9)); });
  expect_error(ErrorKind::kCorruptData, "\"huge\" is 18446744073709551615",
               [&] { static_cast<void>(c.integer("huge", INT64_MIN, INT64_MAX)); });
  expect_error(ErrorKind::kCorruptData, "\"size\" is 12; expected a string",
               [&] { static_cast<void>(c.text("size")); });
  expect_error(ErrorKind::kCorruptData, "\"name\" is \"bert\"; expected a number from 0 to 1",
               [&] { static_cast<void>(c.number("name", 0, 1)); });
  expect_error(ErrorKind::kCorruptData, "\"eps\" is 1e-05; expected true or false",
               [&] { static_cast<void>(c.boolean("eps")); });
  expect_error(ErrorKind::kCorruptData, "\"size\" is 12; expected an object",
               [&] { static_cast<void>(c.section("size")); });
  expect_error(ErrorKind::kCorruptData, "\"text_config.list\" is a list; expected a string",
               [&] { static_cast<void>(c.section("text_config").text("list")); });
}

TEST(ModelConfig, OutlivesTheConfigItIsASectionOf) {
  const ModelConfig section = config().section("text_config");
  EXPECT_EQ(section.integer("size", 1, 100), 7);
}

TEST(ModelConfig, RefusesWhatIsNoObject) {
  for (const char* text : {"", "{", "[1]", "12", "{\"a\": }"}) {
    expect_error(ErrorKind::kCorruptData, "f is not a JSON object",
                 [&] { static_cast<void>(ModelConfig::parse(text, "f")); });
  }
  const mmra::testing::TemporaryDirectory folder;
  expect_error(ErrorKind::kNotFound, "config.json",
               [&] { static_cast<void>(ModelConfig::read(folder / "config.json")); });
}

}  // namespace
}  // namespace mmra::encoders
