#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// The mean of the train labels, whatever is asked: what every other system must beat.
class Mean final : public model::FittedPredictor {
 public:
  explicit Mean(BaselineConfig config) : config_(std::move(config)) {}

  void fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
           const std::stop_token& stop_token, ProgressSink& progress) override;
  [[nodiscard]] std::string describe_fit() const override;
  [[nodiscard]] std::vector<float> predict(const model::Batch& batch) override;
  void save(const std::filesystem::path& directory) const override;

 private:
  BaselineConfig config_;
};

}  // namespace mmra::baselines
