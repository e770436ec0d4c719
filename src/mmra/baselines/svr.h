#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/baselines/scaler.h"
#include "mmra/baselines/svm_file.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// Support-vector regression by libsvm on the pooled features, standardised (the labels are not).
class Svr final : public model::FittedPredictor {
 public:
  Svr(BaselineConfig config, int num_threads)
      : config_(std::move(config)), num_threads_(num_threads) {}
  /// From scaler.safetensors and model.svm. Throws Error{kNotFound|kCorruptData}.
  Svr(BaselineConfig config, const std::filesystem::path& directory, int num_threads);

  void fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
           const std::stop_token& stop_token, ProgressSink& progress) override;
  [[nodiscard]] std::string describe_fit() const override;
  [[nodiscard]] std::vector<float> predict(const model::Batch& batch) override;
  void save(const std::filesystem::path& directory) const override;

 private:
  BaselineConfig config_;
  int num_threads_;
  Scaler scaler_;
  std::string svm_file_;  ///< libsvm's text: what is saved is what predicts, digit for digit
  SupportVectors vectors_;
  std::size_t num_train_rows_ = 0;
};

}  // namespace mmra::baselines
