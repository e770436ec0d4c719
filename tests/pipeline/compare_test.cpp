#include "mmra/pipeline/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "shared_bank.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Compare : public SharedMixedBank<> {
 protected:
  // Two models for all cases: none of them writes.
  static void SetUpTestSuite() {
    SharedMixedBank::SetUpTestSuite();
    for (const char* system : {"ridge", "mmra-plus"}) {
      (void)train_silently(baseline_request(directory(), system));
    }
    ridge_ = open_engine("ridge");
  }
  static void TearDownTestSuite() {
    ridge_.reset();
    SharedMixedBank::TearDownTestSuite();
  }
  static Query clip() {
    Query query;
    query.video = directory() / "20.mp4";
    return query;
  }

  inline static std::unique_ptr<PredictionEngine> ridge_;
};

TEST_F(Compare, SaysOfEveryTitleWhatPredictSays) {
  const std::vector<std::string> titles{"red boat", "blue tiger", "", "green cake"};
  for (const char* model : {"ridge", "mmra-plus"}) {
    SCOPED_TRACE(model);
    const auto engine = open_engine(model);
    const Comparison comparison = compare_titles(*engine, clip(), titles, {});
    EXPECT_EQ(comparison.titles, titles);
    ASSERT_THAT(comparison.predictions, SizeIs(4));
    for (std::size_t i = 0; i < titles.size(); ++i) {
      Query query = clip();
      query.title = titles[i];
      const Prediction alone = engine->predict(query, {});
      const Prediction& compared = comparison.predictions[i];
      EXPECT_EQ(compared.log2_popularity, alone.log2_popularity);
      EXPECT_EQ(compared.interval_high, alone.interval_high);
      EXPECT_EQ(compared.captions, alone.captions);
      EXPECT_EQ(compared.thumbnails, alone.thumbnails);
      ASSERT_EQ(compared.instances.size(), alone.instances.size());
      for (std::size_t j = 0; j < alone.instances.size(); ++j) {
        EXPECT_EQ(compared.instances[j].id, alone.instances[j].id);
      }
    }
    ASSERT_THAT(comparison.pairs, SizeIs(6));
    for (const TitlePair& pair : comparison.pairs) {
      EXPECT_LT(pair.a, pair.b);
      EXPECT_DOUBLE_EQ(pair.difference_log2, comparison.predictions[pair.a].log2_popularity -
                                                 comparison.predictions[pair.b].log2_popularity);
      EXPECT_DOUBLE_EQ(pair.ratio, std::exp2(pair.difference_log2));
      EXPECT_GE(pair.confidence.value(), 0.5);
    }
    EXPECT_EQ(comparison.level, 0.8);
    for (const Prediction& prediction : comparison.predictions) {
      EXPECT_LE(prediction.log2_popularity,
                comparison.predictions[comparison.best].log2_popularity);
    }
  }
}

TEST_F(Compare, TriesOtherTitlesOnAStoredRecordWhichIsNeverItsOwnInstance) {
  const auto bank = open_made_bank(directory());
  Query query;
  query.id = "v0";
  const std::string own_title = bank->find("v0")->title;
  const Comparison comparison = compare_titles(*ridge_, query, {own_title, "blue piano"}, {});
  const Prediction stored = ridge_->predict(query, {});
  // The stored tokens were halved from the same ones.
  EXPECT_EQ(comparison.predictions[0].log2_popularity, stored.log2_popularity);
  EXPECT_NE(comparison.predictions[1].log2_popularity, stored.log2_popularity);
  for (const Prediction& prediction : comparison.predictions) {
    EXPECT_EQ(prediction.captions, stored.captions);
    for (const Instance& instance : prediction.instances) EXPECT_NE(instance.id, "v0");
  }
}

TEST_F(Compare, RefusesWhatCannotBeCompared) {
  const auto refuse = [](const Query& query, const std::vector<std::string>& titles,
                         const std::string& why) {
    expect_error(ErrorKind::kInvalidInput, why,
                 [&] { (void)compare_titles(*ridge_, query, titles, {}); });
  };
  refuse({}, {"one"}, "at least two titles, got 1");
  refuse({}, {"same", "other", "same"}, "\"same\" is given twice");
  refuse({}, {"one", ""}, "there is no clip");
  std::vector<std::string> many;
  for (std::size_t i = 0; i <= kMaxTitles; ++i) many.push_back(std::to_string(i));
  refuse({}, many, "at most 20 titles");
  Query missing;
  missing.id = "nobody";
  expect_error(ErrorKind::kNotFound, "nobody", [&] {
    (void)compare_titles(*ridge_, missing, {"a", "b"}, {});
  });
}

Prediction predicted(double log2, double error_scale = 1.0) {
  Prediction prediction;
  prediction.log2_popularity = log2;
  prediction.error_scale = error_scale;
  return prediction;
}

/// Errors of −1, −0.98, …, 1.
training::Calibration made_calibration() {
  training::Calibration calibration{0.8, 0.8, 999, std::nullopt, {}};
  for (int i = -50; i <= 50; ++i) calibration.error_quantiles.push_back(i / 50.0);
  return calibration;
}

TEST(Verdict, CallsADifferenceClearWhereTheRowsSaySo) {
  const Comparison clear =
      compare_predictions({"boat", "my boat", "a boat"},
                          {predicted(3.0), predicted(5.0), predicted(4.0)}, made_calibration());
  EXPECT_EQ(clear.best, 1U);
  EXPECT_THAT(clear.verdict, StartsWith("“my boat” does best, 2.00 times “a boat”, and that is a "
                                        "clear difference: "));
  EXPECT_TRUE(std::all_of(clear.pairs.begin(), clear.pairs.end(),
                          [](const TitlePair& pair) { return pair.certain; }));

  const Comparison unclear = compare_predictions(
      {"boat", "my boat"}, {predicted(3.2), predicted(3.0)}, made_calibration());
  EXPECT_EQ(unclear.best, 0U);
  EXPECT_FALSE(unclear.pairs.front().certain);
  // Uniform errors: 1 − (1 − d/2)² / 2 with d = 0.2.
  EXPECT_NEAR(unclear.pairs.front().confidence.value(), 0.595, 0.005);
  EXPECT_THAT(unclear.verdict, HasSubstr("within the uncertainty"));
  EXPECT_THAT(unclear.verdict, HasSubstr("59 % of the time, and 80 % would be clear"));

  // The same difference where errors are expected to be a tenth as large.
  const Comparison narrow = compare_predictions(
      {"boat", "my boat"}, {predicted(3.2, 0.1), predicted(3.0, 0.1)}, made_calibration());
  EXPECT_TRUE(narrow.pairs.front().certain);
}

TEST(Verdict, SaysWhereThereIsNoDifferenceOrNoKnowingIt) {
  EXPECT_THAT(
      compare_predictions({"a", ""}, {predicted(3.0), predicted(3.0)}, made_calibration()).verdict,
      HasSubstr("No difference: “a” and no title are predicted the same"));
  training::Calibration old = made_calibration();
  old.error_quantiles.clear();
  const Comparison comparison =
      compare_predictions({"a", "b"}, {predicted(3.0), predicted(9.0)}, old);
  EXPECT_FALSE(comparison.pairs.front().confidence.has_value());
  EXPECT_FALSE(comparison.pairs.front().certain);
  EXPECT_THAT(comparison.verdict, HasSubstr("“b” does best, 64 times “a”; whether that is more"));
}

TEST(Verdict, QuotesALongTitleWithoutCuttingACharacter) {
  std::string title;
  for (int i = 0; i < 50; ++i) title += "猫";  // three bytes each
  const Comparison comparison =
      compare_predictions({title, "b"}, {predicted(3.0), predicted(2.0)}, made_calibration());
  std::string twenty;
  for (int i = 0; i < 20; ++i) twenty += "猫";
  EXPECT_THAT(comparison.verdict, StartsWith("“" + twenty + "…” does best"));
}

}  // namespace
}  // namespace mmra::pipeline::testing
