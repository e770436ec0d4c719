#include "mmra/plus/plus_predictor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "expect_error.h"
#include "made_clips.h"
#include "test_files.h"

namespace mmra::plus::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

class Plus : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    made_bank = new MadeBank(made_titles(360, /*title_matters=*/true, 1), 240, 60);
    fitted = new PlusPredictor(made_config(), 2);
    fit(*fitted, *made_bank);
  }
  static void TearDownTestSuite() {
    delete fitted;
    delete made_bank;
  }
  static MadeBank* made_bank;
  static PlusPredictor* fitted;
};

MadeBank* Plus::made_bank = nullptr;
PlusPredictor* Plus::fitted = nullptr;

TEST_F(Plus, LearnsFromTitlesAlone) {
  EXPECT_LT(nmse_of(*fitted, made_bank->test()), 0.25);
  EXPECT_NE(fitted->describe_fit().find("trees, chosen by cross-validation"), std::string::npos);
}

TEST_F(Plus, APredictionDoesNotDependOnItsBatch) {
  const std::vector<float> together = fitted->predict(made_bank->test().batch);
  for (std::size_t i = 0; i < together.size(); i += 7) {
    EXPECT_EQ(fitted->predict(made_bank->rows(300 + i, 301 + i).batch).at(0), together[i]);
  }
}

TEST_F(Plus, LoadsWhatItSaved) {
  const TemporaryDirectory directory;
  fitted->save(directory.path());
  PlusPredictor loaded(load_config(directory / "config.json"), directory.path(), 1);
  EXPECT_EQ(loaded.predict(made_bank->test().batch), fitted->predict(made_bank->test().batch));
}

TEST_F(Plus, FitsTheSameOnAnyNumberOfThreads) {
  PlusPredictor once(made_config(), 1);
  fit(once, *made_bank);
  EXPECT_EQ(once.predict(made_bank->test().batch), fitted->predict(made_bank->test().batch));
  EXPECT_EQ(once.describe_fit(), fitted->describe_fit());
}

TEST_F(Plus, LoadsWhatItSavedWithoutAPart) {
  for (bool Parts::*part : {&Parts::kernel, &Parts::neighbours, &Parts::keys, &Parts::shape}) {
    PlusConfig config = made_config();
    config.parts.*part = false;
    PlusPredictor predictor(config, 2);
    fit(predictor, *made_bank);
    EXPECT_FALSE(predictor.config().parts.*part);
    const TemporaryDirectory directory;
    predictor.save(directory.path());
    PlusPredictor loaded(load_config(directory / "config.json"), directory.path(), 1);
    EXPECT_EQ(loaded.predict(made_bank->test().batch), predictor.predict(made_bank->test().batch));
  }
}

TEST_F(Plus, NamesTheInstancesItRestsOn) {
  const auto used = fitted->used_instances(made_bank->test().batch, 5);
  ASSERT_TRUE(used.has_value());
  ASSERT_EQ(used->size(), 60U);
  for (std::size_t i = 0; i < used->size(); ++i) {
    const auto& instances = (*used)[i];
    ASSERT_EQ(instances.size(), 5U);
    double sum = 0.0;
    for (std::size_t j = 0; j < instances.size(); ++j) {
      EXPECT_LT(instances[j].row, 240U) << "honest: from train alone";
      EXPECT_LE(instances[j].weight, instances[j == 0 ? 0 : j - 1].weight);
      sum += instances[j].weight;
    }
    EXPECT_NEAR(sum, 1.0, 1e-9);
  }
}

TEST_F(Plus, HearsThatItIsToStop) {
  std::stop_source stop;
  stop.request_stop();
  PlusPredictor predictor(made_config(), 2);
  EXPECT_THROW(fit(predictor, *made_bank, stop.get_token()), mmra::Interrupted);
}

TEST_F(Plus, WithoutEverythingIsRefused) {
  PlusConfig config = made_config();
  config.parts = {false, false, false, false};
  PlusPredictor predictor(config, 1);
  expect_error(ErrorKind::kInvalidInput, "leave one of them in",
               [&] { fit(predictor, *made_bank); });
}

TEST_F(Plus, PredictsWhatSaysNothing) {
  std::vector<MadeClip> clips = made_titles(361, true, 1);
  clips.back().title = "";
  clips.back().vector = {0.0F, 0.0F, 0.0F};
  const MadeBank bank(clips, 240, 60);
  const float value = fitted->predict(bank.rows(360, 361).batch).at(0);
  EXPECT_TRUE(std::isfinite(value));
  EXPECT_TRUE(fitted->used_instances(bank.rows(360, 361).batch, 3)->at(0).empty());
}

// Leakage is this field's commonest fault: whatever the labels of a fold are, the features of its
// rows stay; but for histories, which are of earlier rows, a row's own never.
TEST(OutOfFold, AFoldsFeaturesDoNotDependOnItsLabels) {
  std::vector<MadeClip> clips = made_titles(80, true, 2);
  for (std::size_t i = 0; i < clips.size(); ++i) {
    clips[i].context["creator"] = "c" + std::to_string(i % 9);
    clips[i].posted_at = Timestamp{static_cast<std::int64_t>(i / 2) * 86'400'000};
  }
  PlusConfig config = made_config();
  config.columns = {{"creator", bank::ColumnType::kCategory}};
  config.lambda = 0.5;  // one number for all folds, which all labels choose
  std::vector<std::int32_t> folds;
  folds.reserve(60);
  for (std::int32_t i = 0; i < 60; ++i) folds.push_back(i % 5);
  const auto features = [&](const std::vector<MadeClip>& of) {
    const MadeBank bank(of, 60, 10);
    SilentProgress silent;
    return fit_first_stage(bank.train(), config, folds, 1, {}, silent).features;
  };
  const FeatureMatrix before = features(clips);
  const std::vector<Part> parts = parts_of_features(config);
  const auto context = static_cast<std::size_t>(
      std::find(parts.begin(), parts.end(), Part::kContext) - parts.begin());
  std::size_t num_changed = 0;
  for (const std::size_t row : {0, 7, 31, 59}) {
    std::vector<MadeClip> changed = clips;
    changed[row].label += 40.0F;
    const FeatureMatrix after = features(changed);
    for (std::size_t i = 0; i < before.num_rows; ++i) {
      if (folds[i] != folds[row]) continue;
      const std::size_t width = i == row ? before.width : context + 2;
      for (std::size_t j = 0; j < width; ++j) {
        const float a = before.row(i)[j];
        const float b = after.row(i)[j];
        ASSERT_TRUE(a == b || (std::isnan(a) && std::isnan(b)))
            << "label " << row << ", row " << i << ", feature " << j;
      }
    }
    for (std::size_t i = 0; i < before.values.size(); ++i) {
      num_changed += before.values[i] != after.values[i] && !std::isnan(before.values[i]);
    }
  }
  EXPECT_GT(num_changed, 100U) << "the others' do";
}

/// Followers over six decades decide the label; 300 creators, most of them seen once; half of the
/// rows lack followers, most lack a category.
std::vector<MadeClip> clips_with_context(std::size_t count) {
  std::vector<MadeClip> clips = made_titles(count, false, 3);
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> of_creator(300);
  for (float& effect : of_creator) effect = 1.5F * normal(random);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t creator = random() % 2 == 0 ? random() % 12 : 12 + random() % 288;
    const float decades = 6.0F * static_cast<float>(random() % 1000) / 1000.0F;
    clips[i].label = 3.0F + 1.2F * decades + of_creator[creator] + 0.5F * normal(random);
    clips[i].context["creator"] = "c" + std::to_string(creator);
    if (random() % 2 == 0) clips[i].context["followers"] = std::pow(10.0, decades);
    if (random() % 10 == 0) clips[i].context["category"] = std::string("k");
    clips[i].posted_at = Timestamp{static_cast<std::int64_t>(i) * 3'600'000};
  }
  return clips;
}

TEST(Context, IsWorthMoreThanTheTitle) {
  const MadeBank bank(clips_with_context(1000), 700, 100);
  PlusPredictor titles(made_config(), 2);
  fit(titles, bank);
  PlusConfig config = made_config();
  config.columns = {{"followers", bank::ColumnType::kNumber},
                    {"creator", bank::ColumnType::kCategory},
                    {"category", bank::ColumnType::kCategory}};
  PlusPredictor context(config, 2);
  fit(context, bank);
  const double without = nmse_of(titles, bank.test());
  const double with = nmse_of(context, bank.test());
  EXPECT_GT(without, 0.9) << "these titles say nothing";
  EXPECT_LT(with, 0.6 * without);

  const TemporaryDirectory directory;
  context.save(directory.path());
  PlusPredictor loaded(load_config(directory / "config.json"), directory.path(), 1);
  EXPECT_EQ(loaded.predict(bank.test().batch), context.predict(bank.test().batch));
}

TEST(Context, NumbersCanBeNames) {
  std::vector<MadeClip> clips = made_titles(300, false, 5);
  for (std::size_t i = 0; i < clips.size(); ++i) {
    clips[i].context["creator"] = static_cast<double>(1000 + i % 10);
    clips[i].label += i % 10 % 3 == 0 ? 3.0F : 0.0F;
  }
  const MadeBank bank(clips, 200, 50);
  PlusConfig config = made_config();
  config.columns = {{"creator", bank::ColumnType::kCategory}};
  PlusPredictor predictor(config, 1);
  fit(predictor, bank);
  EXPECT_LT(nmse_of(predictor, bank.test()), 0.3);
}

TEST(Retrieval, ThatDoesNotHelpIsLeftOut) {
  std::vector<MadeClip> clips = made_titles(700, false, 6);
  std::mt19937 random(7);
  for (MadeClip& clip : clips) {
    const double followers = std::pow(10.0, 6.0 * static_cast<double>(random() % 1000) / 1000.0);
    clip.context["followers"] = followers;
    clip.label += static_cast<float>(std::log2(followers));
  }
  const MadeBank bank(clips, 500, 100);
  PlusConfig config = made_config();
  config.columns = {{"followers", bank::ColumnType::kNumber}};
  PlusPredictor predictor(config, 2);
  fit(predictor, bank);
  EXPECT_FALSE(predictor.config().parts.neighbours);
  EXPECT_FALSE(predictor.config().parts.kernel);
  EXPECT_NE(predictor.describe_fit().find("left out"), std::string::npos)
      << predictor.describe_fit();
  EXPECT_LT(nmse_of(predictor, bank.test()), 0.1);
}

// Near-copies among the train rows share their labels, but what is new is another matter.
TEST(Retrieval, ThatMisleadsOnNewRowsIsLeftOut) {
  std::vector<MadeClip> clips = made_titles(600, true, 8);
  for (std::size_t i = 400; i < clips.size(); ++i) clips[i].label = 15.0F - clips[i].label;
  const MadeBank bank(clips, 400, 100);
  PlusConfig config = made_config();
  config.parts.keys = false;  // what they learn misleads as well
  PlusPredictor predictor(config, 2);
  fit(predictor, bank);
  EXPECT_FALSE(predictor.config().parts.neighbours);
  EXPECT_FALSE(predictor.config().parts.kernel);
  EXPECT_NE(predictor.describe_fit().find("misleads"), std::string::npos)
      << predictor.describe_fit();
}

TEST(Video, IsASpaceOfItsOwn) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<MadeClip> clips = made_titles(400, false, 10);
  for (std::size_t i = 0; i < clips.size(); ++i) {
    if (i % 5 == 0) continue;  // no video
    const float look = normal(random);
    clips[i].visual_mean = {10.0F + look, 3.0F - look, 0.2F * normal(random)};
    clips[i].label += look > 0.0F ? 3.0F : 0.0F;
  }
  const MadeBank bank(clips, 280, 60);
  PlusConfig config = made_config();
  config.visual_dim = 3;
  PlusPredictor with(config, 2);
  fit(with, bank);
  config.without_visual = true;
  PlusPredictor without(config, 2);
  fit(without, bank);
  EXPECT_LT(nmse_of(with, bank.test()), 0.7 * nmse_of(without, bank.test()));
}

}  // namespace
}  // namespace mmra::plus::testing
