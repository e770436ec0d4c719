// The neural baselines through training, evaluation and prediction; what they compute is in
// tests/model/.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/predict.h"
#include "mmra/pipeline/systems.h"
#include "shared_bank.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

TrainRequest neural_request(const std::filesystem::path& directory, const std::string& system,
                            const std::string& model, model::Variant variant) {
  TrainRequest request = default_train_request(system, variant);
  request.bank_directory = directory / "bank";
  request.model_directory = directory / model;
  request.neural_baseline.k = 3;
  request.max_epochs = 2;
  request.batch_size = 16;
  return request;
}

class NeuralBaselines : public SharedMixedBank<::testing::TestWithParam<const char*>> {
 protected:
  void SetUp() override {
    for (const char* model : {"model", "whole", "stopped"}) {
      std::filesystem::remove_all(directory() / model);
    }
  }
  [[nodiscard]] TrainRequest request(const std::string& model = "model",
                                     model::Variant variant = model::Variant::kPaper) const {
    return neural_request(directory(), GetParam(), model, variant);
  }
  [[nodiscard]] static std::string weights(const std::string& model) {
    return read_file(directory() / model / "model.safetensors");
  }
};

INSTANTIATE_TEST_SUITE_P(Systems, NeuralBaselines,
                         ::testing::Values("clstm", "tmall", "massl", "cban", "hmmved"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(NeuralBaselines, TrainEvaluateAndSayWhatTheyAre) {
  const TrainSummary summary = train_silently(request());
  EXPECT_EQ(summary.history.epochs.size(), 2U);
  EXPECT_TRUE(summary.fit.empty());
  const TrainingCard card = load_training_card(directory() / "model");
  EXPECT_EQ(card.model, GetParam());
  EXPECT_EQ(card.k, 3);
  const auto config = nlohmann::json::parse(read_file(directory() / "model/config.json"));
  EXPECT_EQ(config["model"], GetParam());
  EXPECT_EQ(config["visual_dim"], 192);
  EXPECT_EQ(config["num_frames"], 2);
  EXPECT_GT(config["label_mean"], 1.0);
  EXPECT_TRUE(std::filesystem::exists(directory() / "model/history.csv"));
  EXPECT_FALSE(std::filesystem::exists(directory() / "model/checkpoint"));

  const EvaluationReport report = evaluate_silently(directory(), bank::Split::kTest);
  EXPECT_EQ(report.metrics.n, 16U);
  const auto engine = open_engine("model");
  for (std::size_t i = 0; i < report.ids.size(); i += 5) {
    Query query;
    query.id = report.ids[i];
    const Prediction prediction = engine->predict(query, {});
    EXPECT_NEAR(prediction.log2_popularity, report.predictions[i], 1e-4);
    EXPECT_FALSE(prediction.instances_used);
    EXPECT_EQ(prediction.instances.size(), 3U);
  }
  Query title;
  title.title = "red boat";
  EXPECT_TRUE(std::isfinite(engine->predict(title, {}).popularity));
  Query video;
  video.video = directory() / "120.mp4";
  EXPECT_TRUE(std::isfinite(engine->predict(video, {}).popularity));
  Query mute;
  mute.id = "mute";
  EXPECT_TRUE(std::isfinite(engine->predict(mute, {}).popularity));
}

TEST_P(NeuralBaselines, TheReleasedVariantLearnsLabelsAsTheyAre) {
  (void)train_silently(request("model", model::Variant::kReleased));
  const auto config = nlohmann::json::parse(read_file(directory() / "model/config.json"));
  EXPECT_EQ(config["variant"], "released");
  EXPECT_EQ(config["label_mean"], 0.0);
  EXPECT_EQ(config["label_std"], 1.0);
  EXPECT_EQ(evaluate_silently(directory(), bank::Split::kTest).metrics.n, 16U);
}

TEST_P(NeuralBaselines, AStoppedRunIsResumedAndEndsLikeAnUninterruptedOne) {
  TrainRequest whole = request("whole");
  whole.max_epochs = 3;
  (void)train_silently(whole);
  TrainRequest stopped = request("stopped");
  stopped.max_epochs = 3;
  std::stop_source stop;
  stopped.stop = stop.get_token();
  StopAfterAnEpoch progress(stop);
  EXPECT_THROW((void)train_model(stopped, progress), Interrupted);
  stopped.stop = {};
  stopped.resume = true;
  TrainRequest other = stopped;
  other.neural_baseline.learning_rate = 0.5;
  expect_error(ErrorKind::kInvalidInput, "other data", [&] { (void)train_silently(other); });
  EXPECT_EQ(train_silently(stopped).history.epochs.size(), 3U);
  EXPECT_EQ(weights("stopped"), weights("whole"));
}

TEST(NeuralBaselinesAndTestRows, TheirLabelsAreNeverLookedAt) {
  const TemporaryDirectory directory;
  make_bank_with_visual_tokens(directory.path(), 80, 4);
  const auto weights = [&](const std::string& system, const std::string& model) {
    TrainRequest request = neural_request(directory.path(), system, model, model::Variant::kPaper);
    request.neural_baseline.smoothness = 1.0;
    (void)train_silently(request);
    return read_file(directory / model / "model.safetensors");
  };
  const std::string tmall = weights("tmall", "tmall-before");
  const std::string hmmved = weights("hmmved", "hmmved-before");
  change_records(
      directory.path(), [](const auto& record) { return record.split == bank::Split::kTest; },
      [](bank::Record& record) { record.popularity = 1e6; });
  EXPECT_EQ(weights("tmall", "tmall-after"), tmall);
  EXPECT_EQ(weights("hmmved", "hmmved-after"), hmmved);
  // TMALL looks at what these rows are: without them it learns something else.
  std::vector<std::string> ids;
  open_made_bank(directory.path())->for_each([&](const bank::Record& record) {
    if (record.split == bank::Split::kTest) ids.push_back(record.id);
    return true;
  });
  const auto bank = bank::open_bank(directory / "bank", bank::OpenMode::kReadWrite);
  EXPECT_EQ(bank->remove(ids), 16);
  EXPECT_NE(weights("tmall", "tmall-without"), tmall);
  EXPECT_EQ(weights("hmmved", "hmmved-without"), hmmved);
}

TEST(MixedUpNeuralBaseline, IsRefused) {
  const TemporaryDirectory directory;
  make_bank_with_visual_tokens(directory.path(), 80, 4);
  (void)train_silently(neural_request(directory.path(), "clstm", "model", model::Variant::kPaper));
  const auto file = directory / "model/training.json";
  std::string card = read_file(file);
  card.replace(card.find("\"clstm\""), 7, "\"cban\"");
  write_file_atomically(file, card);
  expect_error(ErrorKind::kCorruptData, "is of the model \"clstm\", expected \"cban\"",
               [&] { (void)evaluate_silently(directory.path(), bank::Split::kTest); });
}

}  // namespace
}  // namespace mmra::pipeline::testing
