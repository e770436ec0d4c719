#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// What retrieval alone says: Σ softmax(scale · similarity) · label over the k instances, and the
/// mean of the train labels where there is none. `scale` is the one of a few with the smallest mean
/// squared error on the stop rows.
class Knn final : public model::FittedPredictor {
 public:
  explicit Knn(BaselineConfig config) : config_(std::move(config)) {}

  void fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
           const std::stop_token& stop_token, ProgressSink& progress) override;
  [[nodiscard]] std::string describe_fit() const override;
  [[nodiscard]] std::vector<float> predict(const model::Batch& batch) override;
  void save(const std::filesystem::path& directory) const override;

 private:
  [[nodiscard]] std::vector<float> predict_with(const model::Batch& batch, double scale) const;

  BaselineConfig config_;
};

}  // namespace mmra::baselines
