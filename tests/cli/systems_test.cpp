// The models that need no network, from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Systems : public ::testing::Test {
 protected:
  /// 120 titles of a subject and a colour; the subject decides the popularity.
  void SetUp() override {
    const char* const subjects[] = {"boat", "cake", "tiger", "piano"};
    const char* const colours[] = {"red", "blue", "green"};
    std::string manifest = "id,title,popularity,split\n";
    for (int i = 0; i < 120; ++i) {
      const char* const split = i % 5 == 3 ? "valid" : i % 5 == 4 ? "test" : "train";
      manifest += std::to_string(i) + "," + colours[i % 3] + " " + subjects[i % 4] + "," +
                  std::to_string((1 << (2 * (i % 4))) + i % 3) + "," + split + "\n";
    }
    write_file_atomically(directory_ / "m.csv", manifest);
    const ProgramResult result =
        run_mmra({"ingest", directory_ / "m.csv", "--bank", bank(), "--quiet"});
    ASSERT_EQ(result.status, 0) << result.err;
  }
  [[nodiscard]] std::string bank() const { return directory_ / "bank"; }
  [[nodiscard]] ProgramResult train(const std::string& name,
                                    const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"train",           "--bank",  bank(), "--out",
                                       directory_ / name, "--model", name,   "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_mmra(arguments);
  }

  TemporaryDirectory directory_;
};

TEST_F(Systems, TrainEvaluateAndPredict) {
  for (const std::string name : {"svr", "hyfea", "ridge", "knn", "mean"}) {
    const ProgramResult trained = train(name, {"--json"});
    ASSERT_EQ(trained.status, 0) << trained.err;
    const json summary = json::parse(trained.out);
    EXPECT_EQ(summary["system"], name);
    EXPECT_FALSE(summary["fit"].get<std::string>().empty());
    EXPECT_FALSE(summary.contains("epochs"));

    const std::string model = directory_ / name;
    const json metrics = json::parse(
        run_mmra({"evaluate", "--bank", bank(), "--model", model, "--json", "--quiet"}).out);
    EXPECT_EQ(metrics["n"], 24);
    EXPECT_EQ(metrics["system"], name);
    if (name != "mean") {
      EXPECT_LT(metrics["nmse"], 0.6) << name << ": the subject decides";
    }

    const json prediction = json::parse(
        run_mmra({"predict", "--bank", bank(), "--model", model, "--title", "red tiger", "--json"})
            .out);
    EXPECT_GT(prediction["popularity"], 0.0);
    EXPECT_LE(prediction["interval"]["low"], prediction["popularity"]);
    EXPECT_EQ(prediction["instances"].size(), 10U);
    EXPECT_EQ(prediction.value("instances_used", true), name == "knn");
    const ProgramResult text =
        run_mmra({"predict", "--bank", bank(), "--model", model, "--id", "7"});
    EXPECT_THAT(text.out, HasSubstr(name == "knn" ? "how much each counted"
                                                  : "this model does not look at them"));
  }
}

// One list that is always looked through, and a graph that is walked to its end.
TEST_F(Systems, AnIndexThatLooksEverywhereChangesNoPrediction) {
  ASSERT_EQ(train("knn").status, 0);
  const auto predicted = [&](const std::string& title) {
    const ProgramResult result = run_mmra(
        {"predict", "--bank", bank(), "--model", directory_ / "knn", "--title", title, "--json"});
    EXPECT_EQ(result.status, 0) << result.err;
    const json all = json::parse(result.out);
    return json{all["popularity"], all["interval"], all["instances"]};
  };
  const std::vector<std::string> titles{"red tiger", "blue boat", "a piano and a cake"};
  std::vector<json> exact(titles.size());
  std::transform(titles.begin(), titles.end(), exact.begin(), predicted);
  for (const char* spec : {"IVF1,Flat", "IVF1,SQ8", "HNSW32"}) {
    ASSERT_EQ(run_mmra({"bank", "reindex", "--index", spec, "--bank", bank(), "--quiet"}).status,
              0);
    for (std::size_t i = 0; i < titles.size(); ++i) {
      EXPECT_EQ(predicted(titles[i]), exact[i]) << spec << " " << titles[i];
    }
  }
}

TEST_F(Systems, PrintWhatWasFoundAndWhereItIs) {
  const ProgramResult result = train("ridge", {"--without", "visual"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("Trained ridge on 72 rows"));
  EXPECT_THAT(result.out, HasSubstr("lambda "));
  EXPECT_THAT(result.out, HasSubstr(directory_ / "ridge"));
  EXPECT_THAT(train("ridge").err, HasSubstr("finished model"));
}

TEST_F(Systems, AFlagOfTheNetworkGivenToAnotherIsWrongUsage) {
  for (const std::vector<std::string>& flags : std::vector<std::vector<std::string>>{
           {"--alpha", "0.5"}, {"--epochs", "3"}, {"--resume"}, {"--without", "retrieval"}}) {
    const ProgramResult result = train("svr", flags);
    EXPECT_EQ(result.status, 2);
    EXPECT_THAT(result.err, StartsWith("error: " + flags[0]));
    EXPECT_THAT(result.err, HasSubstr("svr"));
  }
  const ProgramResult unknown = train("magic");
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err,
              HasSubstr("mmra,mmra-plus,svr,hyfea,clstm,tmall,massl,cban,hmmved,ridge,knn,mean"));
}

TEST_F(Systems, HelpSaysWhatEachIs) {
  const std::string help = run_mmra({"train", "--help"}).out;
  for (const char* line :
       {"svr       support vectors", "hyfea     gradient-boosted trees", "ridge     a linear model",
        "knn       the weighted mean", "mean      the mean"}) {
    EXPECT_THAT(help, HasSubstr(line));
  }
}

TEST_F(Systems, CompareTitles) {
  ASSERT_EQ(train("ridge").status, 0);
  const std::vector<std::string> asked{
      "compare", "--bank",   bank(),    "--model",  directory_ / "ridge",
      "--title", "red boat", "--title", "red piano"};
  const ProgramResult text = run_mmra(asked);
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, StartsWith("“red piano” does best, "));
  EXPECT_THAT(text.out, HasSubstr("clear"));

  std::vector<std::string> as_json = asked;
  as_json.emplace_back("--json");
  const json comparison = json::parse(run_mmra(as_json).out);
  EXPECT_EQ(comparison["best"], 1);
  ASSERT_EQ(comparison["results"].size(), 2U);
  EXPECT_EQ(comparison["results"][0]["title"], "red boat");
  EXPECT_EQ(comparison["results"][0]["instances"].size(), 10U);
  ASSERT_EQ(comparison["pairs"].size(), 1U);
  EXPECT_LT(comparison["pairs"][0]["difference_log2"], 0.0);
  EXPECT_TRUE(comparison["pairs"][0]["certain"]) << "the subject decides";

  const ProgramResult one =
      run_mmra({"compare", "--bank", bank(), "--model", directory_ / "ridge", "--title", "alone"});
  EXPECT_EQ(one.status, 1);
  EXPECT_THAT(one.err, HasSubstr("at least two titles"));
}

TEST_F(Systems, PredictAManifestRowByRow) {
  ASSERT_EQ(train("mean").status, 0);
  const std::filesystem::path out = directory_ / "lines";
  const std::string command = std::string(MMRA_PROGRAM) + " predict --bank '" + bank() +
                              "' --model '" + (directory_ / "mean").string() +
                              "' --manifest - > '" + out.string() + "'";
  std::FILE* const manifest = ::popen(command.c_str(), "w");
  ASSERT_NE(manifest, nullptr);
  // Each row is answered before the next one is known, so none is waited for or kept.
  for (int row = 1; row <= 3; ++row) {
    std::fprintf(manifest, "{\"id\": \"r%d\", \"title\": \"red boat\"}\n", row);
    ASSERT_EQ(std::fflush(manifest), 0);
    const auto lines = [&] {
      const std::string text = std::filesystem::exists(out) ? read_file(out) : std::string();
      return std::count(text.begin(), text.end(), '\n');
    };
    for (int tenths = 0; tenths < 600 && lines() < row; ++tenths) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    ASSERT_EQ(lines(), row) << "the rows that came are answered, no more and no fewer";
  }
  EXPECT_EQ(::pclose(manifest), 0);
  EXPECT_EQ(json::parse(read_file(out).substr(0, read_file(out).find('\n')))["id"], "r1");
}

}  // namespace
}  // namespace mmra::testing
