#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mmra/model/neural/adam.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/neural/shared_step.h"
#include "mmra/model/neural/tensor_files.h"
#include "mmra/model/predictor.h"

namespace mmra::model::neural {

/// What a predictor must know of its network's configuration.
struct NetworkSettings {
  BatchShape batch;
  double label_mean = 0.0;  ///< the network works on (log2 label - mean) / std
  double label_std = 1.0;
  Precision precision = Precision::kFloat32;  ///< of products in training; predictions are float32
  AdamOptions adam;
  std::string weights_format;  ///< the metadata value "format" of model.safetensors
  std::function<void(const std::filesystem::path& file)> save_config;
};

/// Any network behind the interface of all predictors: labels in log2, files, threads, errors.
class NetworkPredictor : public IterativePredictor {
 public:
  [[nodiscard]] std::vector<float> predict(const Batch& batch) override;
  void save(const std::filesystem::path& directory) const override;
  double train_step(const Batch& batch, const std::vector<float>& targets) override;
  void divide_steps(int num_micro_batches, distributed::Communicator* ranks) override;
  void see_unlabelled(const bank::FeatureTable& features, std::vector<std::int32_t> rows) override;
  void save_training_state(const std::filesystem::path& file) const override;
  void load_training_state(const std::filesystem::path& file) override;
  void keep_best() override;
  void restore_best() override;

  [[nodiscard]] Network& network() { return *network_; }

 protected:
  /// A fresh network for training.
  NetworkPredictor(const MakeNetwork& make, NetworkSettings settings, int num_threads);
  /// One whose weights are in `directory`; it predicts only (train_step and the training state are
  /// Error{kInternal}).
  NetworkPredictor(const MakeNetwork& make, NetworkSettings settings,
                   const std::filesystem::path& directory, int num_threads);

 private:
  [[nodiscard]] std::vector<at::Tensor> weights() const;
  /// The weights that predictions use: averages where they are kept.
  [[nodiscard]] std::vector<at::Tensor> prediction_weights() const;
  [[nodiscard]] NamedTensors named(const std::string& prefix,
                                   const std::vector<at::Tensor>& tensors) const;
  [[nodiscard]] Adam& optimiser();
  /// Throws where the loss is not finite.
  void require_finite(double loss) const;
  [[nodiscard]] StepLosses compute_whole(const Batch& batch, const at::Tensor& wanted);
  /// Threads are a setting of the calling thread in OpenMP, so every call sets them.
  void use_threads() const;

  MakeNetwork make_;
  NetworkSettings settings_;
  int num_threads_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Adam> optimiser_;
  RoundedWeights rounded_;  ///< of bfloat16 training alone
  bool rounded_is_stale_ = true;
  std::vector<at::Tensor> best_;
  std::unique_ptr<SharedStep> shared_step_;  ///< null: each step is computed whole
};

}  // namespace mmra::model::neural
