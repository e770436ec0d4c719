// Every system that needs no network, through training, evaluation and prediction; what the network
// does there is in train_test, evaluate_test and predict_test.
#include "mmra/pipeline/systems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "expect_error.h"
#include "expect_same_prediction.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/predict.h"
#include "shared_bank.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(Systems, HaveNamesOfTheirOwnAndTheNetworkFirst) {
  EXPECT_EQ(names_of_systems(),
            "mmra, mmra-plus, svr, hyfea, clstm, tmall, massl, cban, hmmved, ridge, knn, mean");
  for (const System* system : all_systems()) {
    EXPECT_EQ(&find_system(system->name()), system);
    EXPECT_FALSE(system->summary().empty());
  }
  expect_error(ErrorKind::kInvalidInput, "no model \"magic\"; there are mmra, mmra-plus, svr",
               [] { (void)find_system("magic"); });
}

bool retrieves(const std::string& system) { return system == "knn" || system == "mmra-plus"; }

class Baselines : public SharedMixedBank<::testing::TestWithParam<const char*>> {
 protected:
  void SetUp() override {
    request_ = baseline_request(directory(), GetParam());
    std::filesystem::remove_all(request_.model_directory);
  }
  [[nodiscard]] EvaluationReport evaluate() const {
    return evaluate_silently(directory(), bank::Split::kTest, GetParam());
  }

  TrainRequest request_;
};

TEST_P(Baselines, TrainEvaluateAndSayWhatTheyAre) {
  const TrainSummary summary = train_silently(request_);
  EXPECT_FALSE(summary.fit.empty());
  EXPECT_TRUE(summary.history.epochs.empty());
  EXPECT_EQ(summary.valid.n, 16U);
  EXPECT_EQ(summary.calibration.num_rows, 8);
  const TrainingCard card = load_training_card(request_.model_directory);
  EXPECT_EQ(card.model, GetParam());
  EXPECT_EQ(card.k, 3);
  EXPECT_EQ(card.num_train, 48);
  const auto config = nlohmann::json::parse(read_file(request_.model_directory / "config.json"));
  EXPECT_EQ(config["model"], GetParam());
  EXPECT_EQ(config["visual_dim"], 192);
  EXPECT_FALSE(std::filesystem::exists(request_.model_directory / "history.csv"));
  const auto metrics = nlohmann::json::parse(read_file(request_.model_directory / "metrics.json"));
  EXPECT_EQ(metrics["fit"], summary.fit);

  const EvaluationReport report = evaluate();
  EXPECT_EQ(report.metrics.n, 16U);
  EXPECT_EQ(report.card.model, GetParam());
  for (const float prediction : report.predictions) EXPECT_TRUE(std::isfinite(prediction));
  expect_error(ErrorKind::kInvalidInput, "finished model", [&] { (void)train_silently(request_); });
}

TEST_P(Baselines, PredictWhatIsAskedWithAnIntervalAndInstances) {
  (void)train_silently(request_);
  const auto engine = open_engine(GetParam());
  Query title;
  title.title = "red boat";
  Query video;
  video.video = directory() / "120.mp4";
  Query record;
  record.id = "mute";
  for (const Query& query : {title, video, record}) {
    const Prediction prediction = engine->predict(query, {});
    EXPECT_TRUE(std::isfinite(prediction.popularity));
    EXPECT_LE(prediction.interval_low, prediction.popularity);
    EXPECT_GE(prediction.interval_high, prediction.popularity);
    EXPECT_THAT(prediction.instances, SizeIs(3));
    const bool uses = retrieves(GetParam());
    EXPECT_EQ(prediction.instances_used, uses);
    double sum = 0.0;
    for (const Instance& instance : prediction.instances) sum += instance.weight;
    EXPECT_NEAR(sum, uses ? 1.0 : 0.0, 1e-9);
    for (const Instance& instance : prediction.instances) {
      EXPECT_EQ(instance.effect_log2.has_value(), uses);
    }
    ASSERT_FALSE(prediction.parts.empty());
    EXPECT_EQ(prediction.parts.back().part == "retrieval", uses);
  }
}

TEST_P(Baselines, SayTogetherWhatTheySayAlone) {
  (void)train_silently(request_);
  PredictionEngine engine(directory() / "bank", request_.model_directory, 1);
  std::vector<Query> queries(4);
  queries[0].title = "red boat";
  queries[1].id = "mute";
  queries[2].video = directory() / "120.mp4";
  queries[3].title = "green piano";
  expect_together_as_alone(engine, queries);
}

TEST_P(Baselines, APredictionIsThatOfTheEvaluation) {
  (void)train_silently(request_);
  if (retrieves(GetParam())) {
    GTEST_SKIP()
        << "a deployed model retrieves from all labelled records, an evaluation from train";
  }
  const EvaluationReport report = evaluate();
  const auto engine = open_engine(GetParam());
  for (std::size_t i = 0; i < report.ids.size(); i += 5) {
    Query query;
    query.id = report.ids[i];
    EXPECT_FLOAT_EQ(static_cast<float>(engine->predict(query, {}).log2_popularity),
                    report.predictions[i]);
  }
}

TEST_P(Baselines, AStoppedTrainingLeavesRoomForTheNext) {
  std::stop_source stop;
  stop.request_stop();
  request_.stop = stop.get_token();
  EXPECT_THROW((void)train_silently(request_), Interrupted);
  EXPECT_FALSE(std::filesystem::exists(request_.model_directory / "training.json"));
  request_.stop = {};
  EXPECT_NO_THROW((void)train_silently(request_));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Baselines,
                         ::testing::Values("mmra-plus", "svr", "hyfea", "ridge", "knn", "mean"),
                         [](const auto& test) {
                           const std::string name = test.param;
                           return name.substr(name.find('-') + 1);
                         });

TEST(MmraPlus, LooksAtTheContextThatItIsToldToUse) {
  const TemporaryDirectory directory;
  const auto further = [](int row) -> std::string {
    if (row < 0) return ",followers,creator,posted_at";
    const int popularity = (row * 37) % 101 + 1;
    return "," + std::to_string(popularity * popularity) + ",c" + std::to_string(row % 7) + "," +
           std::to_string(1'700'000'000 + row * 1000);
  };
  (void)ingest_text(directory.path(), made_manifest(400, further), {});
  TrainRequest request = baseline_request(directory.path(), "mmra-plus");
  request.use = {"folowers"};
  expect_error(ErrorKind::kInvalidInput, "no context column \"folowers\" to use; it has creator, ",
               [&] { (void)train_silently(request); });
  request.use = {"followers", "creator"};
  EXPECT_LT(train_silently(request).valid.nmse, 0.3);
  EXPECT_LT(evaluate_silently(directory.path(), bank::Split::kTest, "mmra-plus").metrics.nmse, 0.3);

  PredictionEngine engine(directory / "bank", request.model_directory, 1);
  Query query;
  query.title = "red boat";
  query.context = {{"followers", 10000.0}, {"creator", std::string("c1")}};
  const double many = engine.predict(query, {}).popularity;
  query.context["followers"] = 4.0;
  const Prediction few = engine.predict(query, {});
  EXPECT_GT(many, 4.0 * few.popularity);
  query.context.clear();
  EXPECT_TRUE(std::isfinite(engine.predict(query, {}).log2_popularity));
  // A clip sees what was posted before it.
  query.posted_at = Timestamp{1'700'000'000'000 + 100 * 1'000'000};
  for (const Instance& instance : engine.predict(query, {}).instances) {
    EXPECT_LT(std::stoi(instance.id.substr(1)), 100);
  }
  query.posted_at = Timestamp{0};
  EXPECT_TRUE(engine.predict(query, {}).instances.empty());
}

TEST(UnknownSystem, IsOneClearLineInEveryUse) {
  const TemporaryDirectory directory;
  make_bank_with_visual_tokens(directory.path(), 80, 4);
  TrainRequest request = baseline_request(directory.path(), "mean");
  (void)train_silently(request);
  const auto file = request.model_directory / "training.json";
  std::string card = read_file(file);
  card.replace(card.find("\"mean\""), 6, "\"magic\"");
  write_file_atomically(file, card);
  const std::string part = "holds a model \"magic\"; this program knows mmra, mmra-plus, svr";
  expect_error(ErrorKind::kUnsupported, part,
               [&] { (void)evaluate_silently(directory.path(), bank::Split::kTest, "mean"); });
  expect_error(ErrorKind::kUnsupported, part, [&] {
    const PredictionEngine engine(directory / "bank", request.model_directory, 1);
  });
  request = baseline_request(directory.path(), "magic");
  expect_error(ErrorKind::kInvalidInput, "no model \"magic\"",
               [&] { (void)train_silently(request); });
  EXPECT_FALSE(std::filesystem::exists(request.model_directory));
}

TEST(MixedUpModel, IsRefused) {
  const TemporaryDirectory directory;
  make_bank_with_visual_tokens(directory.path(), 80, 4);
  const TrainRequest mean = baseline_request(directory.path(), "mean");
  (void)train_silently(mean);
  const auto file = mean.model_directory / "training.json";
  std::string card = read_file(file);
  card.replace(card.find("\"mean\""), 6, "\"svr\"");
  write_file_atomically(file, card);
  expect_error(ErrorKind::kCorruptData, "is of the model \"mean\", expected \"svr\"",
               [&] { (void)evaluate_silently(directory.path(), bank::Split::kTest, "mean"); });
}

}  // namespace
}  // namespace mmra::pipeline::testing
