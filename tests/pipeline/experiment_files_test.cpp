#include "mmra/pipeline/experiment_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "expect_error.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using nlohmann::json;

TEST(CostFile, GivesBackWhatWasWritten) {
  const evaluation::Cost made{1.5, 0.1, std::int64_t{5} << 30, true};
  const evaluation::Cost back = cost_from_json(cost_to_json(made), "f");
  EXPECT_EQ(back.seconds, made.seconds);
  EXPECT_EQ(back.processor_seconds, made.processor_seconds);
  EXPECT_EQ(back.peak_bytes, made.peak_bytes);
  EXPECT_TRUE(back.resumed);
}

TEST(CostFile, NamesWhatIsDamaged) {
  const auto read = [](const std::string& text) { (void)cost_from_json(text, "s.cost.json"); };
  const json good = json::parse(cost_to_json({1.5, 0.1, 7, false}));
  for (const auto& [key, value] : good.items()) {
    SCOPED_TRACE(key);
    json changed = good;
    changed.erase(key);
    expect_error(ErrorKind::kCorruptData, "no key \"" + key + "\"; remove it",
                 [&] { read(changed.dump()); });
    for (const json& other : {json("1"), json::array(), json(nullptr)}) {
      changed[key] = other;
      expect_error(ErrorKind::kCorruptData, "under \"" + key + "\"", [&] { read(changed.dump()); });
    }
  }
  for (const json& bytes : {json(1.0), json(1e300), json(true)}) {
    json changed = good;
    changed["peak_bytes"] = bytes;
    expect_error(ErrorKind::kCorruptData, "expected a whole number", [&] { read(changed.dump()); });
  }
  for (const char* key : {"seconds", "processor_seconds", "peak_bytes"}) {
    json changed = good;
    changed[key] = -1;
    expect_error(ErrorKind::kCorruptData, "s.cost.json has a number below 0",
                 [&] { read(changed.dump()); });
  }
  for (const char* text : {"", "[]", "{", "\xff"}) {
    expect_error(ErrorKind::kCorruptData, "s.cost.json is not a JSON object", [&] { read(text); });
  }
}

TEST(ValidMetrics, AreReadAndMayBeUndefined) {
  const evaluation::Metrics metrics = valid_metrics_from_json(
      R"({"valid": {"n": 16, "nmse": 0.5, "mae": 1, "src": null}, "seconds": 1.5})", "f");
  EXPECT_EQ(metrics.n, 16U);
  EXPECT_EQ(metrics.nmse, 0.5);
  EXPECT_EQ(metrics.mae, 1.0);
  EXPECT_TRUE(std::isnan(metrics.src));
}

TEST(ValidMetrics, NameWhatIsDamaged) {
  const json good = {{"n", 16}, {"nmse", 0.5}, {"mae", 1.5}, {"src", 0.25}};
  const auto expect_damaged = [](const json& document, const std::string& part) {
    expect_error(ErrorKind::kCorruptData, part,
                 [&] { (void)valid_metrics_from_json(document.dump(), "metrics.json"); });
  };
  expect_damaged(json::array(), "metrics.json is not a JSON object; remove the model");
  expect_damaged(json::object(), "no key \"valid\"");
  expect_damaged({{"valid", 3}}, "\"valid\", is not a JSON object");
  for (const auto& [key, value] : good.items()) {
    json changed = good;
    changed.erase(key);
    expect_damaged({{"valid", changed}}, "no key \"" + key + "\"");
    changed[key] = "1";
    expect_damaged({{"valid", changed}}, "under \"" + key + "\"");
  }
  for (const json& n : {json(-1), json(16.0), json(1e300)}) {
    json changed = good;
    changed["n"] = n;
    expect_damaged({{"valid", changed}}, "under \"n\"");
  }
}

TEST(ExperimentFile, IsThatOfTheSameExperimentAlone) {
  const ExperimentIdentity made{"/banks/a bank", 7, "f00d", "honest", true, 3};
  const std::string text = experiment_to_json(made);
  EXPECT_NO_THROW(check_same_experiment(made, text, "out"));
  const json good = json::parse(text);
  ASSERT_EQ(good.size(), 7U);
  for (const auto& [key, value] : good.items()) {
    SCOPED_TRACE(key);
    json changed = good;
    changed.erase(key);
    expect_error(ErrorKind::kInvalidInput,
                 "out holds another experiment: its " + key + " is missing, now it is " +
                     value.dump() + "; name another directory",
                 [&] { check_same_experiment(made, changed.dump(), "out"); });
    changed[key] = 99;
    expect_error(ErrorKind::kInvalidInput, "its " + key + " is 99",
                 [&] { check_same_experiment(made, changed.dump(), "out"); });
  }
}

TEST(ExperimentFile, IsRefusedWhereItIsNone) {
  const ExperimentIdentity made{"/banks/b", 7, "f00d", "honest", false, 0};
  for (const char* text : {"", "[]", "{", "\xff"}) {
    expect_error(ErrorKind::kCorruptData, "out/experiment.json is not a JSON object",
                 [&] { check_same_experiment(made, text, "out"); });
  }
}

// A message with such a value in it would take as much stack as the value is deep.
TEST(ExperimentFile, MayBeAsDeepAsItLikes) {
  constexpr int kDepth = 500000;
  const std::string deep = std::string(kDepth, '[') + std::string(kDepth, ']');
  expect_error(ErrorKind::kInvalidInput, "its format_version is array", [&] {
    check_same_experiment({"/b", 7, "f00d", "honest", false, 0},
                          "{\"format_version\": " + deep + "}", "out");
  });
}

}  // namespace
}  // namespace mmra::pipeline::testing
