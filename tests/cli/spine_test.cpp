#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>

#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Titles whose words decide their popularity, with some chance: small enough to train in seconds.
std::string make_manifest(int count, unsigned seed) {
  std::mt19937 random(seed);
  const char* subjects[] = {"boat", "cake", "tiger", "piano", "garden", "rocket"};
  const double effects[] = {1, 3, 5, 7, 9, 11};
  std::string text = "id,title,popularity,split\n";
  for (int i = 0; i < count; ++i) {
    const auto subject = static_cast<std::size_t>(random() % 6);
    const double value =
        std::exp2(effects[subject] * 0.9 + static_cast<double>(random() % 100) / 80);
    text += std::to_string(i) + ",the " + subjects[subject] + " of day " + std::to_string(i) + "," +
            std::to_string(static_cast<int>(value)) + "," +
            (i % 5 == 3   ? "valid"
             : i % 5 == 4 ? "test"
                          : "train") +
            "\n";
  }
  return text;
}

class Spine : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file_atomically(directory_ / "m.csv", make_manifest(400, 1));
    ASSERT_EQ(run_mmra({"ingest", directory_ / "m.csv", "--bank", bank(), "--unit", "comments",
                        "--horizon", "7d", "--quiet"})
                  .status,
              0);
  }
  [[nodiscard]] std::string bank() const { return directory_ / "bank"; }
  [[nodiscard]] std::string model(const std::string& name = "model") const {
    return directory_ / name;
  }
  [[nodiscard]] ProgramResult train(const std::string& out,
                                    std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"train", "--bank",  bank(),  "--out",
                                       out,     "--quiet", "--json"};
    if (std::find(more.begin(), more.end(), "--epochs") == more.end()) {
      arguments.insert(arguments.end(), {"--epochs", "6"});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_mmra(arguments);
  }

  TemporaryDirectory directory_;
};

TEST_F(Spine, FromManifestToPrediction) {
  const ProgramResult trained = train(model());
  ASSERT_EQ(trained.status, 0) << trained.err;
  for (const char* file : {"config.json", "model.safetensors", "calibration.json", "metrics.json",
                           "history.csv", "history.svg", "training.json", "encoders"}) {
    EXPECT_TRUE(std::filesystem::exists(directory_ / "model" / file)) << file;
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ / "model/checkpoint"));

  const ProgramResult evaluated = run_mmra({"evaluate", "--bank", bank(), "--model", model(),
                                            "--json", "--quiet", "--batch-metrics", "32"});
  ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  const json metrics = json::parse(evaluated.out);
  EXPECT_EQ(metrics["n"], 80);
  EXPECT_LT(metrics["nmse"], 0.5) << "six subjects explain nearly everything";
  EXPECT_GT(metrics["src"], 0.8);
  EXPECT_GT(metrics["mean_of_train"]["nmse"], 0.9);
  EXPECT_EQ(metrics["batch_means"]["batch"], 32);

  const ProgramResult predicted = run_mmra(
      {"predict", "--bank", bank(), "--model", model(), "--title", "the rocket", "--json"});
  ASSERT_EQ(predicted.status, 0) << predicted.err;
  const json prediction = json::parse(predicted.out);
  EXPECT_GT(prediction["log2"], 7.0);
  EXPECT_NEAR(prediction["popularity"], std::exp2(prediction["log2"].get<double>()), 1e-3);
  EXPECT_LT(prediction["interval"]["low"], prediction["popularity"]);
  EXPECT_GT(prediction["interval"]["high"], prediction["popularity"]);
  EXPECT_EQ(prediction["interval"]["level"], 0.8);
  EXPECT_EQ(prediction["unit"], "comments");
  EXPECT_EQ(prediction["horizon"], "7d");
  ASSERT_EQ(prediction["instances"].size(), 10U);
  double weights = 0.0;
  for (const auto& instance : prediction["instances"]) weights += instance["weight"].get<double>();
  EXPECT_NEAR(weights, 1.0, 1e-6);
  EXPECT_TRUE(prediction["instances"][9].contains("effect_log2"));
  ASSERT_EQ(prediction["parts"].size(), 2U) << "title and retrieval";
  EXPECT_EQ(prediction["parts"][0]["part"], "title");
  EXPECT_NEAR(
      prediction["parts"][0]["share"].get<double>() + prediction["parts"][1]["share"].get<double>(),
      1.0, 1e-6);

  const ProgramResult text =
      run_mmra({"predict", "--bank", bank(), "--model", model(), "--id", "7"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("comments after 7d predicted"));
  EXPECT_THAT(text.out, HasSubstr("What each part does to the number:"));
}

TEST_F(Spine, PredictsAManifestLineByLine) {
  ASSERT_EQ(train(model(), {"--epochs", "1"}).status, 0);
  const std::string lines =
      "{\"id\":\"a\",\"title\":\"the tiger\"}\n"
      "{\"id\":\"b\",\"title\":\"x\",\"video\":\"/nowhere.mp4\"}\n"
      "{\"id\":\"c\",\"title\":\"the boat\"}\n";
  const ProgramResult result =
      run_mmra({"predict", "--bank", bank(), "--model", model(), "--manifest", "-"}, lines);
  EXPECT_EQ(result.status, 1) << "one row failed";
  std::istringstream out(result.out);
  std::string line;
  std::vector<json> rows;
  while (std::getline(out, line)) rows.push_back(json::parse(line));
  ASSERT_EQ(rows.size(), 3U) << result.out << result.err;
  EXPECT_EQ(rows[0]["id"], "a");
  EXPECT_TRUE(rows[0].contains("popularity"));
  EXPECT_THAT(rows[1]["error"].get<std::string>(), HasSubstr("/nowhere.mp4"));
  EXPECT_EQ(rows[2]["id"], "c");
}

TEST_F(Spine, AManifestsRowIsNeverItsOwnInstance) {
  ASSERT_EQ(train(model(), {"--epochs", "1"}).status, 0);
  write_file_atomically(directory_ / "known.csv", make_manifest(20, 1));  // the bank's first rows
  const ProgramResult result = run_mmra(
      {"predict", "--bank", bank(), "--model", model(), "--manifest", directory_ / "known.csv"});
  ASSERT_EQ(result.status, 0) << result.err;
  std::istringstream out(result.out);
  std::string line;
  int num_rows = 0;
  for (; std::getline(out, line); ++num_rows) {
    const json row = json::parse(line);
    for (const auto& instance : row["instances"]) EXPECT_NE(instance["id"], row["id"]);
  }
  EXPECT_EQ(num_rows, 20);
}

// What each of them then evaluates and predicts is in tests/pipeline/train_test.cpp: a process
// takes a second to load LibTorch.
TEST_F(Spine, EveryVariantAndAblationTrains) {
  for (const std::vector<std::string>& flags :
       std::vector<std::vector<std::string>>{{"--variant", "released"},
                                             {"--without", "retrieval"},
                                             {"--without", "positive,visual"},
                                             {"--without", "negative"},
                                             {"--without", "text"},
                                             {"--protocol", "authors", "-k", "3"}}) {
    SCOPED_TRACE(flags[1]);
    const std::string out = model("m-" + flags[1]);
    std::vector<std::string> more{"--epochs", "1"};
    more.insert(more.end(), flags.begin(), flags.end());
    const ProgramResult trained = train(out, more);
    ASSERT_EQ(trained.status, 0) << trained.err;
    const json config = json::parse(read_file(out + "/config.json"));
    const bool released = flags[1] == "released";
    EXPECT_EQ(config["variant"], released ? "released" : "paper");
    EXPECT_EQ(config["similarity_scale"], released ? 1.0 : 10.0);
    for (const char* part : {"retrieval", "positive", "negative", "visual", "text"}) {
      const std::string name = part;
      const bool attention = name == "positive" || name == "negative";
      const bool left_out = flags[0] == "--without" && flags[1].find(name) != std::string::npos;
      EXPECT_EQ(config["without"][attention ? name + "_attention" : name], left_out) << name;
    }
    EXPECT_EQ(json::parse(read_file(out + "/training.json"))["protocol"],
              flags[1] == "authors" ? "authors" : "honest");
    if (!released && flags[1] != "authors") continue;
    const ProgramResult evaluated =
        run_mmra({"evaluate", "--bank", bank(), "--model", out, "--json", "--quiet"});
    EXPECT_EQ(evaluated.status, 0) << evaluated.err;
    const ProgramResult predicted =
        run_mmra({"predict", "--bank", bank(), "--model", out, "--title", "the cake"});
    EXPECT_EQ(predicted.status, 0) << predicted.err;
  }
}

TEST_F(Spine, AKilledRunIsResumedAndEndsLikeAnUninterruptedOne) {
  const std::vector<std::string> more{"--epochs", "8", "--patience", "100"};
  ASSERT_EQ(train(model("whole"), more).status, 0);
  for (const int signal : {SIGKILL, SIGINT}) {
    const std::string out = model("killed-" + std::to_string(signal));
    const ProgramResult killed = run_mmra_and_signal(
        {"train", "--bank", bank(), "--out", out, "--quiet", "--epochs", "8", "--patience", "100"},
        std::chrono::milliseconds(1800), signal);
    if (killed.status == 0) continue;  // a fast machine was done before
    EXPECT_EQ(killed.status, signal == SIGINT ? 130 : 128 + SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(out) / "training.json"));
    if (std::filesystem::exists(std::filesystem::path(out) / "checkpoint")) {
      const ProgramResult refused = train(out, more);
      EXPECT_EQ(refused.status, 1);
      EXPECT_THAT(refused.err, HasSubstr("--resume"));
    }
    auto resumed = more;
    resumed.emplace_back("--resume");
    const ProgramResult result = train(out, resumed);
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(read_file(std::filesystem::path(out) / "model.safetensors"),
              read_file(directory_ / "whole/model.safetensors"))
        << "the same numbers, interrupted or not";
  }
}

TEST_F(Spine, RefusesABankMadeByOtherEncoders) {
  ASSERT_EQ(train(model(), {"--epochs", "1"}).status, 0);
  write_file_atomically(directory_ / "n.csv",
                        make_manifest(30, 2) + "999,quite another word,3,train\n");
  const std::string other = directory_ / "other";
  ASSERT_EQ(run_mmra({"ingest", directory_ / "n.csv", "--bank", other, "--quiet"}).status, 0);
  for (const char* command : {"evaluate", "predict"}) {
    std::vector<std::string> arguments{command, "--bank", other, "--model", model()};
    if (std::string(command) == "predict") arguments.insert(arguments.end(), {"--title", "x"});
    const ProgramResult result = run_mmra(arguments);
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, StartsWith("error: the model was trained with the encoders builtin"));
  }
}

TEST_F(Spine, ClearLinesForWhatIsMissingOrDamaged) {
  EXPECT_THAT(run_mmra({"evaluate", "--bank", bank(), "--model", model("none")}).err,
              HasSubstr("mmra train"));
  ASSERT_EQ(train(model(), {"--epochs", "1"}).status, 0);
  EXPECT_THAT(train(model()).err, HasSubstr("finished model"));
  EXPECT_EQ(run_mmra({"predict", "--bank", bank(), "--model", model()}).status, 2);
  const auto weights = directory_ / "model/model.safetensors";
  const std::string bytes = read_file(weights);
  write_file_atomically(weights, bytes.substr(0, bytes.size() / 2));
  const ProgramResult result = run_mmra({"evaluate", "--bank", bank(), "--model", model()});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("model.safetensors"));

  write_file_atomically(directory_ / "few.csv", "id,title,popularity\n1,a,2\n2,b,3\n");
  const std::string few = directory_ / "few";
  ASSERT_EQ(run_mmra({"ingest", directory_ / "few.csv", "--bank", few, "--quiet"}).status, 0);
  const ProgramResult too_few = run_mmra({"train", "--bank", few, "--out", model("few-model")});
  EXPECT_EQ(too_few.status, 1);
  EXPECT_THAT(too_few.err, HasSubstr("at least"));
}

TEST_F(Spine, NeuralBaselinesTrainAndPredict) {
  for (const std::string name : {"clstm", "hmmved"}) {
    const ProgramResult trained =
        train(model(name), {"--model", name, "--lr", "0.005", "--epochs", "12", "--threads", "1"});
    ASSERT_EQ(trained.status, 0) << trained.err;
    const json summary = json::parse(trained.out);
    EXPECT_EQ(summary["system"], name);
    EXPECT_LE(summary["epochs"], 12);
    EXPECT_FALSE(summary.contains("fit"));
    const json metrics = json::parse(
        run_mmra({"evaluate", "--bank", bank(), "--model", model(name), "--json", "--quiet"}).out);
    EXPECT_EQ(metrics["n"], 80);
    EXPECT_LT(metrics["nmse"], 0.6) << name << ": the subject decides";
    const ProgramResult predicted =
        run_mmra({"predict", "--bank", bank(), "--model", model(name), "--title", "the rocket"});
    EXPECT_THAT(predicted.out, HasSubstr("this model does not look at them"));
  }
  const ProgramResult wrong = train(model("wrong"), {"--model", "cban", "--alpha", "0.5"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("not of cban"));
}

}  // namespace
}  // namespace mmra::testing
