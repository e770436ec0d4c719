#include "mmra/pipeline/predict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "expect_error.h"
#include "expect_same_prediction.h"
#include "mmra/core/error.h"
#include "shared_bank.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::Each;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::Ne;
using ::testing::SizeIs;

// Popularity is that of seven days: a row's label is known when the next one is posted.
constexpr int kSecondsApart = 8 * 24 * 3600;

class Predict : public SharedDirectory<> {
 protected:
  // One bank and one model for all cases: none of them writes.
  static void SetUpTestSuite() {
    SharedDirectory::SetUpTestSuite();
    write_clip(directory() / "dark.mp4", 20);
    write_clip(directory() / "bright.mp4", 230);
    IngestOptions options;
    options.num_frames = 3;
    options.popularity_unit = "likes";
    options.popularity_horizon = "7d";
    const auto further = [](int row) -> std::string {
      if (row < 0) return ",posted_at,video";
      const std::string video = row % 10 == 0 ? "dark.mp4" : row % 10 == 5 ? "bright.mp4" : "";
      return "," + std::to_string(1'700'000'000 + row * kSecondsApart) + "," + video;
    };
    const std::string unlabelled = "u,red boat,,test,,\n";
    (void)ingest_text(directory(), made_manifest(80, further) + unlabelled, options);
    (void)train_silently(small_request(directory()));
    engine_ = open_engine("model");
  }
  static void TearDownTestSuite() {
    engine_.reset();
    SharedDirectory::TearDownTestSuite();
  }
  [[nodiscard]] static Prediction predict(const Query& query) {
    return engine_->predict(query, {});
  }
  [[nodiscard]] static Query by_title(const std::string& title) {
    Query query;
    query.title = title;
    return query;
  }
  [[nodiscard]] static Query by_id(const std::string& id) {
    Query query;
    query.id = id;
    return query;
  }

  inline static std::unique_ptr<PredictionEngine> engine_;
};

TEST_F(Predict, SaysTheNumberItsIntervalAndItsUnit) {
  const Prediction prediction = predict(by_title("red boat"));
  const training::Calibration calibration =
      training::load_calibration(directory() / "model/calibration.json");
  EXPECT_DOUBLE_EQ(prediction.popularity, std::exp2(prediction.log2_popularity));
  EXPECT_EQ(prediction.interval_level, calibration.level);
  // Eight stopping rows are too few to learn a scale from: intervals are of one width.
  ASSERT_TRUE(calibration.scale.has_value());
  EXPECT_NEAR(std::log2(prediction.interval_low),
              prediction.log2_popularity - calibration.half_width_log2, 1e-9);
  EXPECT_NEAR(std::log2(prediction.interval_high),
              prediction.log2_popularity + calibration.half_width_log2, 1e-9);
  EXPECT_EQ(prediction.unit, "likes");
  EXPECT_EQ(prediction.horizon, "7d");
}

TEST_F(Predict, ThePercentileIsTheShareOfLabelledRecordsBelow) {
  for (const char* title : {"red boat", "blue cake", "green piano"}) {
    const Prediction prediction = predict(by_title(title));
    int below = 0;
    int labelled = 0;
    engine_->bank().for_each([&](const bank::Record& record) {
      labelled += record.popularity ? 1 : 0;
      below += record.popularity && *record.popularity < prediction.popularity ? 1 : 0;
      return true;
    });
    ASSERT_EQ(labelled, 80);
    EXPECT_NEAR(prediction.percentile, 100.0 * below / labelled, 1e-9) << title;
  }
}

TEST_F(Predict, TheWeightsOfTheInstancesSumToOne) {
  for (const char* title : {"red boat", "blue tiger and cake", "unheard"}) {
    const Prediction prediction = predict(by_title(title));
    ASSERT_THAT(prediction.instances, SizeIs(3)) << "k of the model";
    double sum = 0.0;
    for (const Instance& instance : prediction.instances) sum += instance.weight;
    EXPECT_NEAR(sum, 1.0, 1e-9) << title;
    EXPECT_GE(prediction.instances[0].weight, prediction.instances[2].weight);
  }
}

/// The prediction of a title that may see the rows with these ids alone: all others have no label.
double predict_seeing(const std::filesystem::path& directory, const Query& query,
                      const std::vector<std::string>& ids) {
  const TemporaryDirectory copy;
  std::filesystem::copy(directory / "bank", copy / "bank",
                        std::filesystem::copy_options::recursive);
  change_records(
      copy.path(),
      [&](const bank::Record& record) {
        return std::find(ids.begin(), ids.end(), record.id) == ids.end();
      },
      [](bank::Record& record) { record.popularity.reset(); });
  PredictionEngine engine(copy / "bank", directory / "model", 1);
  return engine.predict(query, {}).log2_popularity;
}

TEST_F(Predict, AnInstancesEffectIsWhatThePredictionLosesWithoutIt) {
  const Query query = by_title("red boat");
  const Prediction prediction = predict(query);
  ASSERT_THAT(prediction.instances, SizeIs(3));
  double largest = 0.0;
  for (std::size_t left_out = 0; left_out < 3; ++left_out) {
    std::vector<std::string> others;
    for (std::size_t j = 0; j < 3; ++j) {
      if (j != left_out) others.push_back(prediction.instances[j].id);
    }
    const double without = predict_seeing(directory(), query, others);
    ASSERT_TRUE(prediction.instances[left_out].effect_log2.has_value());
    EXPECT_NEAR(*prediction.instances[left_out].effect_log2, prediction.log2_popularity - without,
                1e-4);
    largest = std::max(largest, std::abs(*prediction.instances[left_out].effect_log2));
  }
  EXPECT_GT(largest, 5e-4) << "or the comparisons above compare nothing";
}

TEST_F(Predict, PartsAreThoseThatTheQueryHas) {
  const auto names = [](const Prediction& prediction) {
    std::vector<std::string> parts;
    for (const PartEffect& part : prediction.parts) parts.push_back(part.part);
    return parts;
  };
  Query both = by_title("red boat");
  EXPECT_THAT(names(predict(both)), ::testing::ElementsAre("title", "retrieval"));
  both.video = directory() / "bright.mp4";
  const Prediction prediction = predict(both);
  EXPECT_THAT(names(prediction), ::testing::ElementsAre("video", "title", "retrieval"));
  double shares = 0.0;
  for (const PartEffect& part : prediction.parts) {
    shares += part.share;
    EXPECT_NEAR(part.effect_log2, prediction.log2_popularity - std::log2(part.popularity_without),
                1e-6);
  }
  EXPECT_NEAR(shares, 1.0, 1e-9);
  Query early = by_title("red boat");
  early.as_of = Timestamp{0};
  EXPECT_THAT(names(predict(early)), ::testing::ElementsAre("title")) << "nothing was retrieved";
  EXPECT_THAT(names(predict(by_title("?!"))), IsEmpty());
}

TEST_F(Predict, AFramesEffectIsWhatIsLostWithoutItsToken) {
  Query query = by_title("red boat");
  query.video = directory() / "bright.mp4";
  const EncodedQuery encoded = engine_->encode(std::span(&query, 1), {}).front();
  ASSERT_EQ(encoded.features.visual_tokens.num_tokens, 3);
  const Prediction prediction = engine_->predict(encoded, {});
  ASSERT_THAT(prediction.frame_effects_log2, SizeIs(3));
  const auto dim = static_cast<std::ptrdiff_t>(encoded.features.visual_tokens.dim);
  for (std::ptrdiff_t frame = 0; frame < 3; ++frame) {
    EncodedQuery without = encoded;
    auto& tokens = without.features.visual_tokens;
    tokens.values.erase(tokens.values.begin() + frame * dim,
                        tokens.values.begin() + (frame + 1) * dim);
    --tokens.num_tokens;
    EXPECT_NEAR(prediction.frame_effects_log2.at(static_cast<std::size_t>(frame)),
                prediction.log2_popularity - engine_->predict(without, {}).log2_popularity, 1e-5)
        << frame;
  }
  EXPECT_THAT(prediction.frame_effects_log2, ::testing::Contains(Ne(0.0)));
  EXPECT_THAT(predict(by_title("red boat")).frame_effects_log2, IsEmpty());
}

TEST_F(Predict, RetrievalsPartIsWhatIsLostWithoutAnyInstance) {
  const Query query = by_title("red boat");
  const Prediction prediction = predict(query);
  EXPECT_NEAR(std::log2(prediction.parts.back().popularity_without),
              predict_seeing(directory(), query, {}), 1e-4);
}

TEST_F(Predict, ARecordIsPredictedAsANewClipLikeItWouldBe) {
  const Prediction stored = predict(by_id("v77"));
  EXPECT_THAT(stored.instances, Each(Field(&Instance::id, Ne("v77"))));
  EXPECT_THAT(stored.captions, IsEmpty());
  const auto record = engine_->bank().find("v77").value();
  Query same = by_title(record.title);
  same.as_of = record.posted_at;
  EXPECT_FLOAT_EQ(static_cast<float>(predict(same).log2_popularity),
                  static_cast<float>(stored.log2_popularity));
}

TEST_F(Predict, ARecordWithoutALabelIsPredicted) {
  EXPECT_TRUE(std::isfinite(predict(by_id("u")).popularity));
}

TEST_F(Predict, SeesOnlyWhatWasPostedBefore) {
  Query query = by_title("red boat");
  query.as_of = Timestamp{(1'700'000'000LL + 2 * kSecondsApart) * 1000};
  const Prediction two = predict(query);
  EXPECT_THAT(two.instances, SizeIs(2));
  double sum = 0.0;
  for (const Instance& instance : two.instances) {
    EXPECT_THAT(instance.id, ::testing::AnyOf("v0", "v1"));
    sum += instance.weight;
  }
  EXPECT_NEAR(sum, 1.0, 1e-9) << "also where there are fewer than k";
  query.as_of = Timestamp{0};
  const Prediction none = predict(query);
  EXPECT_THAT(none.instances, IsEmpty());
  EXPECT_TRUE(std::isfinite(none.popularity));
}

TEST_F(Predict, ATitleWithoutWordsIsPredictedFromNothing) {
  const Prediction prediction = predict(by_title("?!"));
  EXPECT_THAT(prediction.instances, IsEmpty());
  EXPECT_TRUE(std::isfinite(prediction.popularity));
}

TEST_F(Predict, TakesAVideoATitleOrBoth) {
  Query query;
  query.video = directory() / "bright.mp4";
  const Prediction video = predict(query);
  EXPECT_THAT(video.captions, SizeIs(3));
  EXPECT_THAT(video.thumbnails, SizeIs(3));
  query.title = "red boat";
  const Prediction both = predict(query);
  EXPECT_NE(both.log2_popularity, video.log2_popularity);
  EXPECT_NE(both.log2_popularity, predict(by_title("red boat")).log2_popularity);
  query.video = directory() / "dark.mp4";
  EXPECT_NE(predict(query).log2_popularity, both.log2_popularity);
}

TEST_F(Predict, SaysTheSameTwice) {
  EXPECT_EQ(predict(by_title("red boat")).log2_popularity,
            predict(by_title("red boat")).log2_popularity);
}

TEST_F(Predict, SaysTogetherWhatItSaysAlone) {
  std::vector<Query> queries;
  for (const char* title : {"red boat", "green piano", "blue tiger", "a boat and a cake", "zzz"}) {
    queries.push_back(by_title(title));
    queries.push_back(by_id("v" + std::to_string(7 * queries.size())));
  }
  queries.push_back(by_title("red boat"));
  queries.back().video = directory() / "bright.mp4";
  queries.push_back(by_id("v60"));
  queries.back().as_of = Timestamp{(1'700'000'000LL + 3 * kSecondsApart) * 1000};
  queries.push_back(by_id("u"));
  expect_together_as_alone(*engine_, queries);
  EXPECT_THAT(engine_->predict_all({}, {}), IsEmpty());
}

TEST_F(Predict, NamesWhatIsMissing) {
  expect_error(ErrorKind::kNotFound, "\"nobody\"", [] { (void)predict(by_id("nobody")); });
  expect_error(ErrorKind::kInvalidInput, "nothing to ask about", [] { (void)predict({}); });
  expect_error(ErrorKind::kNotFound, "mmra train", [] {
    const PredictionEngine engine(directory() / "bank", directory() / "nowhere", 1);
  });
  expect_error(ErrorKind::kNotFound, "mmra ingest", [] {
    const PredictionEngine engine(directory() / "nowhere", directory() / "model", 1);
  });
}

TEST_F(Predict, RefusesABankMadeByOtherEncoders) {
  const TemporaryDirectory other;
  (void)ingest_text(other.path(), "id,title,popularity\n1,other words,2\n");
  expect_error(ErrorKind::kInvalidInput, "the model was trained with the encoders builtin",
               [&] { const PredictionEngine engine(other / "bank", directory() / "model", 1); });
}

TEST(PredictWithFeaturesMadeElsewhere, NeedsARecordForThatPart) {
  const TemporaryDirectory directory;
  make_bank_with_visual_tokens(directory.path(), 80, 4);
  (void)train_silently(small_request(directory.path()));
  PredictionEngine engine(directory / "bank", directory / "model", 1);
  Query query;
  query.title = "red boat";
  EXPECT_TRUE(std::isfinite(engine.predict(query, {}).popularity)) << "titles are the bank's own";
  write_clip(directory / "a.mp4", 40);
  query.video = directory / "a.mp4";
  expect_error(ErrorKind::kInvalidInput, "leave --video out",
               [&] { (void)engine.predict(query, {}); });
  query = {};
  query.id = "v7";
  EXPECT_TRUE(std::isfinite(engine.predict(query, {}).popularity));
}

}  // namespace
}  // namespace mmra::pipeline::testing
