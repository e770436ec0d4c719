#include "mmra/plus/row_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../expect_error.h"

namespace mmra::plus::testing {
namespace {

using ::mmra::testing::expect_error;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::IsEmpty;

bank::FeatureTable table_of(const std::vector<std::vector<float>>& visual_means) {
  bank::FeatureTable table(0, 0);
  for (const auto& mean : visual_means) {
    table.append({0, 0, {}}, {0, 0, {}}, 1.0);
    bank::RowDetails details;
    details.visual_mean = mean;
    table.append_details(std::move(details));
  }
  return table;
}

TEST(VisualScale, IsOfTheRowsThatHaveFrames) {
  const auto table = table_of({{1.0F, 7.0F}, {}, {5.0F, 7.0F}, {100.0F, 100.0F}});
  const std::vector<std::int32_t> train = {0, 1, 2};
  const VisualScale scale = fit_visual_scale(table, train);
  EXPECT_THAT(scale.origin, ElementsAre(3.0F, 7.0F));
  EXPECT_THAT(scale.deviation, ElementsAre(2.0F, 1.0F)) << "what never varies is not divided by 0";
  const std::vector<std::int32_t> silent = {1};
  EXPECT_THAT(fit_visual_scale(table, silent).origin, IsEmpty());
}

TEST(RowVectors, StandardiseFramesThenHaveUnitLength) {
  const auto table = table_of({{3.0F, 12.0F}, {}, {9.0F, 4.0F}});
  const std::vector<std::int32_t> rows = {0, 1, 2};
  const std::vector<TitleTerms> terms(3);
  Spaces spaces;
  spaces.visual = {{6.0F, 4.0F}, {1.0F, 2.0F}};
  const RowVectors vectors = make_vectors(table, rows, terms, spaces);
  EXPECT_THAT(vectors.visual.row(0), ElementsAre(FloatNear(-0.6F, 1e-6F), FloatNear(0.8F, 1e-6F)))
      << "(-3, 8 / 2) / 5";
  EXPECT_THAT(vectors.visual.row(1), ElementsAre(0.0F, 0.0F)) << "no frames, like nothing";
  EXPECT_THAT(vectors.visual.row(2), ElementsAre(1.0F, 0.0F));
  spaces.visual = {{6.0F}, {1.0F}};
  expect_error(ErrorKind::kInvalidInput,
               "mean of visual tokens has 2 values, the model was fitted on 1",
               [&] { (void)make_vectors(table, rows, terms, spaces); });
}

}  // namespace
}  // namespace mmra::plus::testing
