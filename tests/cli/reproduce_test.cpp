// The paper's experiments from outside, on a bank so small that every model trains in a blink.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Reproduce : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const subjects[] = {"boat", "cake", "tiger", "piano"};
    std::string manifest = "id,title,popularity,split\n";
    for (int i = 0; i < 80; ++i) {
      const char* const split = i % 5 == 3 ? "valid" : i % 5 == 4 ? "test" : "train";
      manifest += std::to_string(i) + ",the " + subjects[i % 4] + " of day " + std::to_string(i) +
                  "," + std::to_string((1 << (2 * (i % 4))) + i % 3) + "," + split + "\n";
    }
    write_file_atomically(directory_ / "m.csv", manifest);
    ASSERT_EQ(
        run_mmra({"ingest", directory_ / "m.csv", "--bank", bank(), "--unit", "likes", "--quiet"})
            .status,
        0);
  }
  [[nodiscard]] std::string bank() const { return directory_ / "a bank"; }
  [[nodiscard]] std::string out() const { return directory_ / "out"; }
  [[nodiscard]] std::vector<std::string> arguments(
      const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"reproduce", "table3", "--bank", bank(),    "--out",    out(),
                                 "--seeds",   "2",      "--json", "--quiet", "--epochs", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  [[nodiscard]] std::string document(const std::string& ending) const {
    return read_file(directory_ / "out" / ("table3" + ending));
  }

  TemporaryDirectory directory_;
};

TEST_F(Reproduce, ATableThatIsStoppedAndKilledGoesOn) {
  // At both moments some models are there and some are not; on a fast machine all may be.
  for (const int signal : {SIGINT, SIGKILL}) {
    const ProgramResult stopped =
        run_mmra_and_signal(arguments(), std::chrono::milliseconds(1500), signal);
    if (stopped.status != 0) {
      EXPECT_EQ(stopped.status, signal == SIGINT ? 130 : 128 + SIGKILL) << stopped.err;
    }
  }
  const ProgramResult finished = run_mmra(arguments());
  ASSERT_EQ(finished.status, 0) << finished.err;
  const json report = json::parse(finished.out);
  // MMRA, without retrieval, negative and positive attention, each twice.
  EXPECT_EQ(report["trained"].get<int>() + report["found"].get<int>(), 8);
  EXPECT_EQ(report["failed"], 0);
  ASSERT_EQ(report["rows"].size(), 6U);
  for (const char* ending : {".md", ".csv", ".json", ".html", "-predictions.csv"}) {
    EXPECT_FALSE(document(ending).empty()) << ending;
  }

  const json table = json::parse(document(".json"));
  EXPECT_EQ(table["n"], 16);
  EXPECT_EQ(table["reference"], "MMRA");
  EXPECT_EQ(table["rows"][0]["runs"].size(), 2U);
  EXPECT_NE(table["rows"][0]["runs"][0]["test"], table["rows"][0]["runs"][1]["test"])
      << "two seeds";
  EXPECT_EQ(table["rows"][0]["paper"]["nmse"], 0.7530);
  EXPECT_TRUE(table["rows"][1].contains("minus_reference"));
  EXPECT_GT(table["rows"][1]["peak_bytes"], 20 << 20);
  EXPECT_THAT(table["rows"][4]["reason"].get<std::string>(), HasSubstr("no visual tokens"));
  EXPECT_THAT(table["rows"][5]["reason"].get<std::string>(), HasSubstr("nothing would be left"));
  EXPECT_THAT(table["rows"][1]["command"].get<std::string>(),
              HasSubstr("--bank '" + bank() + "' --out"));

  // What a run has is what `evaluate` says of its model.
  const std::filesystem::path models = directory_ / "out" / "models";
  const ProgramResult evaluated =
      run_mmra({"evaluate", "--bank", bank(), "--model",
                (models / "mmra-without-retrieval/seed-2025").string(), "--json", "--quiet"});
  // As many threads may round sums differently.
  EXPECT_NEAR(table["rows"][1]["runs"][1]["test"]["nmse"].get<double>(),
              json::parse(evaluated.out)["nmse"].get<double>(), 1e-5);

  // Once more: nothing is trained, the numbers stay.
  const std::string csv = document(".csv");
  const json again = json::parse(run_mmra(arguments()).out);
  EXPECT_EQ(again["trained"], 0);
  EXPECT_EQ(again["found"], 8);
  EXPECT_EQ(document(".csv"), csv);

  const ProgramResult other = run_mmra(arguments({"--protocol", "authors"}));
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("another experiment: its protocol is \"honest\""));

  // A finished model that is damaged is named; nothing is guessed.
  const std::filesystem::path model = models / "mmra/seed-2024";
  write_file_atomically(model / "metrics.json", "{}");
  const ProgramResult damaged = run_mmra(arguments());
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.err, HasSubstr("metrics.json has no key \"valid\""));
  EXPECT_THAT(damaged.err, HasSubstr("remove the model"));

  // A checkpoint that cannot be read: the training says so, and the others stay.
  std::filesystem::remove_all(model);
  std::filesystem::create_directories(model / "checkpoint");
  write_file_atomically(model / "checkpoint/checkpoint.json", "{");
  const ProgramResult failed = run_mmra(arguments());
  EXPECT_EQ(failed.status, 1);
  const json with_failure = json::parse(failed.out);
  EXPECT_EQ(with_failure["failed"], 1);
  EXPECT_EQ(with_failure["found"], 7);
  EXPECT_THAT(with_failure["rows"][0]["reason"].get<std::string>(),
              ::testing::AllOf(::testing::StartsWith("seed 2024: "), HasSubstr("checkpoint.json")));
  EXPECT_EQ(with_failure["rows"][0]["runs"], 1) << "the other seed's";
  EXPECT_EQ(with_failure["rows"][1]["runs"], 2);
}

TEST_F(Reproduce, RefusesWhatItWouldWriteOver) {
  std::filesystem::create_directories(directory_ / "out");
  write_file_atomically(directory_ / "out" / "mine.txt", "mine");
  const ProgramResult result = run_mmra(arguments());
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("holds other things"));
  EXPECT_EQ(run_mmra({"reproduce", "table4", "--bank", bank(), "--out", out()}).status, 2);
  EXPECT_EQ(run_mmra({"reproduce", "table2", "--bank", bank()}).status, 2);
}

}  // namespace
}  // namespace mmra::testing
