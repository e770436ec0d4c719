#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/baselines/features.h"
#include "mmra/baselines/scaler.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// Least squares with a penalty λ|w|² on the pooled features, standardised: what a linear model
/// gets out of the same numbers. λ is the one of a few with the smallest mean squared error on the
/// stop rows.
class Ridge final : public model::FittedPredictor {
 public:
  explicit Ridge(BaselineConfig config) : config_(std::move(config)) {}
  /// From model.safetensors. Throws Error{kNotFound|kCorruptData} naming file and tensor.
  Ridge(BaselineConfig config, const std::filesystem::path& directory);

  void fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
           const std::stop_token& stop_token, ProgressSink& progress) override;
  [[nodiscard]] std::string describe_fit() const override;
  [[nodiscard]] std::vector<float> predict(const model::Batch& batch) override;
  void save(const std::filesystem::path& directory) const override;

 private:
  BaselineConfig config_;
  Scaler scaler_;
  std::vector<float> weight_;
  std::size_t num_stop_rows_ = 0;
};

/// The weights w of one penalty: argmin Σ (y − ȳ − x·w)² + λ|w|², for columns of mean 0.
/// scikit-learn's Ridge(alpha = λ) without its intercept ȳ.
[[nodiscard]] std::vector<float> ridge_weights(const FeatureMatrix& standardised,
                                               const std::vector<float>& targets, double lambda);

}  // namespace mmra::baselines
