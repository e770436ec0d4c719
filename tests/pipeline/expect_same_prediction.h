#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "mmra/pipeline/predict.h"

namespace mmra::pipeline::testing {

/// Equal to the last digits of float32: products of other shapes add in another order.
inline void expect_same_prediction(const Prediction& a, const Prediction& b) {
  const auto expect_near = [](double x, double y, const char* what) {
    EXPECT_NEAR(x, y, 1e-6 * std::max(1.0, std::abs(y))) << what;
  };
  expect_near(a.log2_popularity, b.log2_popularity, "log2");
  expect_near(a.popularity, b.popularity, "popularity");
  expect_near(a.interval_low, b.interval_low, "low");
  expect_near(a.interval_high, b.interval_high, "high");
  expect_near(a.error_scale, b.error_scale, "error scale");
  EXPECT_EQ(a.percentile, b.percentile);
  EXPECT_EQ(a.instances_used, b.instances_used);
  EXPECT_EQ(a.captions, b.captions);
  EXPECT_EQ(a.thumbnails, b.thumbnails);
  EXPECT_EQ(a.warning, b.warning);
  ASSERT_EQ(a.instances.size(), b.instances.size());
  for (std::size_t i = 0; i < a.instances.size(); ++i) {
    EXPECT_EQ(a.instances[i].id, b.instances[i].id);
    EXPECT_EQ(a.instances[i].popularity, b.instances[i].popularity);
    EXPECT_EQ(a.instances[i].similarity, b.instances[i].similarity);
    EXPECT_EQ(a.instances[i].weight, b.instances[i].weight);
    ASSERT_EQ(a.instances[i].effect_log2.has_value(), b.instances[i].effect_log2.has_value());
    if (!a.instances[i].effect_log2) continue;
    expect_near(*a.instances[i].effect_log2, *b.instances[i].effect_log2, "effect");
  }
  ASSERT_EQ(a.frame_effects_log2.size(), b.frame_effects_log2.size());
  for (std::size_t i = 0; i < a.frame_effects_log2.size(); ++i) {
    expect_near(a.frame_effects_log2[i], b.frame_effects_log2[i], "effect of a frame");
  }
  ASSERT_EQ(a.parts.size(), b.parts.size());
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    EXPECT_EQ(a.parts[i].part, b.parts[i].part);
    expect_near(a.parts[i].effect_log2, b.parts[i].effect_log2, "effect of a part");
    expect_near(a.parts[i].popularity_without, b.parts[i].popularity_without, "without a part");
  }
}

/// What predict_all says of these is what predict says of each.
inline void expect_together_as_alone(PredictionEngine& engine, const std::vector<Query>& queries) {
  const std::vector<Prediction> together = engine.predict_all(engine.encode(queries, {}), {});
  ASSERT_EQ(together.size(), queries.size());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same_prediction(together[i], engine.predict(queries[i], {}));
  }
}

}  // namespace mmra::pipeline::testing
