#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/baselines/booster.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// HyFea's gradient-boosted trees, by XGBoost, on all frames and the title's features: at most 500
/// trees of depth 10 at rate 0.03, until the error on the stop rows has not shrunk for 20 rounds;
/// the trees up to the best round are kept.
class Hyfea final : public model::FittedPredictor {
 public:
  Hyfea(BaselineConfig config, int num_threads)
      : config_(std::move(config)), num_threads_(num_threads) {}
  /// From model.ubj, whose fingerprint must be config.json's: XGBoost's own reader trusts its
  /// input. Throws Error{kNotFound|kCorruptData}.
  Hyfea(BaselineConfig config, const std::filesystem::path& directory, int num_threads);

  void fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
           const std::stop_token& stop_token, ProgressSink& progress) override;
  [[nodiscard]] std::string describe_fit() const override;
  [[nodiscard]] std::vector<float> predict(const model::Batch& batch) override;
  void save(const std::filesystem::path& directory) const override;

  /// Root mean squared error on the stop rows after each round.
  [[nodiscard]] const std::vector<double>& stop_errors() const { return stop_errors_; }

 private:
  [[nodiscard]] std::vector<Booster::Parameter> parameters() const;
  /// Grows trees into `booster` and fills stop_errors_.
  void grow(Booster& booster, const TreeRows& train, const TreeRows& stop,
            const std::vector<float>& stop_targets, const std::stop_token& stop_token,
            ProgressSink& progress);

  BaselineConfig config_;
  int num_threads_;
  std::optional<Booster> booster_;
  std::string bytes_;  ///< of model.ubj
  std::vector<double> stop_errors_;
};

}  // namespace mmra::baselines
