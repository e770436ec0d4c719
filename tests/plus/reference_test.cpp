// The first stage against scikit-learn and NumPy (tools/golden/plus.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "made_clips.h"
#include "mmra/core/safetensors.h"
#include "mmra/plus/kernel_ridge.h"
#include "mmra/plus/key_statistics.h"
#include "mmra/plus/lexical_space.h"
#include "mmra/plus/neighbours.h"
#include "mmra/plus/similarity_index.h"

namespace mmra::plus::testing {
namespace {

constexpr std::size_t kRows = 60;
constexpr int kFolds = 5;

class PlusReference : public ::testing::Test {
 protected:
  PlusReference() : file_(std::filesystem::path(MMRA_GOLDEN_DIR) / "plus/reference.safetensors") {
    for (const auto& title : nlohmann::json::parse(file_.metadata().at("titles"))) {
      terms_.push_back(extract_terms(title.get<std::string>()));
    }
    targets_ = floats("targets", 1);
    folds_.resize(kRows);
    const TensorView& folds = file_.tensor("folds");
    std::memcpy(folds_.data(), folds.bytes.data(), folds.bytes.size());
    space_ = LexicalSpace::fit(terms_);
    RowVectors vectors;
    for (const TitleTerms& terms : terms_) space_.append(terms, vectors.lexical);
    vectors.retrieval = {6, floats("vectors", 6)};
    index_ = std::make_unique<SimilarityIndex>(std::move(vectors), space_.num_columns(), Kernel{});
  }

  [[nodiscard]] std::vector<float> floats(const std::string& name, std::int64_t width) const {
    std::vector<std::int64_t> shape = {static_cast<std::int64_t>(kRows)};
    if (width > 1) shape.push_back(width);
    return file_.floats(name, shape);
  }

  static void expect_near(const std::vector<float>& actual, const std::vector<float>& expected,
                          double tolerance) {
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i) {
      ASSERT_NEAR(actual[i], expected[i], tolerance) << "value " << i;
    }
  }

  /// Inner products of all rows over the columns in [first, last), twice (each half has √½).
  [[nodiscard]] std::vector<float> gram(std::size_t first, std::size_t last) const {
    const SparseRows& rows = index_->rows().lexical;
    std::vector<std::vector<double>> dense(kRows, std::vector<double>(space_.num_columns()));
    for (std::size_t i = 0; i < kRows; ++i) {
      const SparseRow row = rows.row(i);
      for (std::size_t j = 0; j < row.columns.size(); ++j) dense[i][row.columns[j]] = row.values[j];
    }
    std::vector<float> products;
    for (const auto& a : dense) {
      for (const auto& b : dense) {
        double sum = 0.0;
        for (std::size_t c = first; c < last; ++c) sum += a[c] * b[c];
        products.push_back(static_cast<float>(2.0 * sum));
      }
    }
    return products;
  }

  SafetensorsFile file_;
  std::vector<TitleTerms> terms_;
  std::vector<float> targets_;
  std::vector<std::int32_t> folds_;
  LexicalSpace space_;
  std::unique_ptr<SimilarityIndex> index_;
};

TEST_F(PlusReference, TfidfIsScikitLearns) {
  expect_near(gram(0, space_.words.size()), floats("gram.words", kRows), 1e-6);
  expect_near(gram(space_.words.size(), space_.num_columns()), floats("gram.characters", kRows),
              1e-6);
}

TEST_F(PlusReference, TheKernelIsTheOneOfTheEquation) {
  std::vector<float> similarities;
  index_->compare(index_->rows(), 0, kRows, similarities);
  expect_near(similarities, floats("kernel", kRows), 5e-6);
}

TEST_F(PlusReference, KernelRidgeIsTheDirectSolution) {
  SilentProgress silent;
  const KernelRidgeFit fit =
      fit_kernel_ridge(*index_, targets_, folds_, kFolds, {{0.5}, 1e-6, 200}, 2, {}, silent);
  expect_near(fit.ridge.coefficients, floats("ridge.coefficients", 1), 2e-5);
  expect_near(fit.out_of_fold, floats("ridge.out_of_fold", 1), 2e-5);
  const KernelRidgeFit usual =
      fit_kernel_ridge(*index_, targets_, folds_, kFolds, {{0.5}}, 1, {}, silent);
  expect_near(usual.out_of_fold, floats("ridge.out_of_fold", 1), 5e-3);
  EXPECT_LT(usual.num_iterations, fit.num_iterations);
}

TEST_F(PlusReference, ThePenaltyIsTheOneWithTheLeastErrorOutOfFold) {
  SilentProgress silent;
  const auto fit = [&](std::vector<double> lambdas) {
    return fit_kernel_ridge(*index_, targets_, folds_, kFolds, {std::move(lambdas), 1e-6, 200}, 1,
                            {}, silent);
  };
  const auto error = [&](const KernelRidgeFit& of) {
    double sum = 0.0;
    for (std::size_t i = 0; i < kRows; ++i) sum += std::pow(of.out_of_fold[i] - targets_[i], 2.0);
    return sum;
  };
  const std::vector<double> lambdas = {64.0, 8.0, 1.0, 0.125, 0.015625};
  const KernelRidgeFit chosen = fit(lambdas);
  std::size_t least = 0;
  std::vector<double> errors;
  for (const double lambda : lambdas) errors.push_back(error(fit({lambda})));
  least = static_cast<std::size_t>(std::min_element(errors.begin(), errors.end()) - errors.begin());
  EXPECT_EQ(chosen.lambda, lambdas[least]);
  EXPECT_GT(least, 0U) << "or the search was not needed";
  EXPECT_LT(least, lambdas.size() - 1) << "or it did not have to end";
  // From the solution of another penalty to the same one as from nothing.
  const KernelRidgeFit alone = fit({chosen.lambda});
  expect_near(chosen.out_of_fold, alone.out_of_fold, 2e-5);
  expect_near(chosen.ridge.coefficients, alone.ridge.coefficients, 2e-5);
}

TEST_F(PlusReference, KeyStatisticsAreThoseOfOtherFolds) {
  const std::tuple<const char*, std::vector<TermHash> TitleTerms::*, double> kinds[] = {
      {"keys.hashtags", &TitleTerms::hashtag_keys, 5.0},
      {"keys.words", &TitleTerms::word_keys, 20.0},
      {"keys.pairs", &TitleTerms::pair_keys, 5.0}};
  for (const auto& [name, keys, shrinkage] : kinds) {
    SCOPED_TRACE(name);
    std::vector<std::span<const TermHash>> keys_of_rows;
    for (const TitleTerms& terms : terms_) keys_of_rows.emplace_back(terms.*keys);
    const KeyStatisticsFit fit =
        fit_key_statistics(keys_of_rows, targets_, folds_, kFolds, shrinkage);
    expect_near(fit.out_of_fold, floats(name, kKeyWidth), 2e-6);
  }
}

TEST_F(PlusReference, NeighbourStatisticsAreThoseOfOtherFolds) {
  std::vector<float> similarities;
  std::vector<float> actual;
  for (std::size_t i = 0; i < kRows; ++i) {
    index_->compare(index_->rows(), i, 1, similarities);
    const auto found = nearest(similarities, kNumNeighbours,
                               [&](std::size_t row) { return folds_[row] != folds_[i]; });
    std::vector<float> labels;
    labels.reserve(found.size());
    for (const Neighbour& neighbour : found) labels.push_back(targets_[neighbour.row]);
    double mean = 0.0;
    for (const float label : labels) mean += label / static_cast<double>(labels.size());
    std::vector<float> row(kNeighbourWidth);
    neighbour_statistics(found, labels, mean, row);
    actual.insert(actual.end(), row.begin(), row.end());
  }
  const std::vector<float> expected = floats("neighbours", kNeighbourWidth);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    // Relative: the effective number of neighbours is up to 48.
    EXPECT_NEAR(actual[i], expected[i], 2e-5 * std::max(1.0F, std::abs(expected[i]))) << i;
  }
}

}  // namespace
}  // namespace mmra::plus::testing
