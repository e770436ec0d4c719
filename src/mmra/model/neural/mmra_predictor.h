#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural/adam.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/neural/tensor_files.h"
#include "mmra/model/predictor.h"

namespace mmra::model::neural {

/// The MMRA network behind the interface of all predictors: labels in log2, files, threads, errors.
class MmraPredictor final : public IterativePredictor {
 public:
  /// A fresh network for training.
  MmraPredictor(const MmraConfig& config, int num_threads);
  /// One that was saved; it predicts only (train_step and the training state are Error{kInternal}).
  MmraPredictor(const std::filesystem::path& directory, int num_threads);

  [[nodiscard]] std::vector<float> predict(const Batch& batch) override;
  void save(const std::filesystem::path& directory) const override;
  double train_step(const Batch& batch, const std::vector<float>& targets) override;
  void save_training_state(const std::filesystem::path& file) const override;
  void load_training_state(const std::filesystem::path& file) override;
  void keep_best() override;
  void restore_best() override;

  [[nodiscard]] Network& network() { return *network_; }

 private:
  /// The weights that predictions use: averages where they are kept.
  [[nodiscard]] std::vector<at::Tensor> prediction_weights() const;
  [[nodiscard]] NamedTensors named(const std::string& prefix,
                                   const std::vector<at::Tensor>& tensors) const;
  [[nodiscard]] Adam& optimiser();
  /// Threads are a setting of the calling thread in OpenMP, so every call sets them.
  void use_threads() const;

  MmraConfig config_;
  int num_threads_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Adam> optimiser_;
  std::vector<at::Tensor> best_;
};

}  // namespace mmra::model::neural
