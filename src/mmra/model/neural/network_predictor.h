#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mmra/model/neural/adam.h"
#include "mmra/model/neural/network.h"
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
  void share_steps(distributed::Communicator& communicator) override;
  void see_unlabelled(const bank::FeatureTable& features, std::vector<std::int32_t> rows) override;
  void save_training_state(const std::filesystem::path& file) const override;
  void load_training_state(const std::filesystem::path& file) override;
  void keep_best() override;
  void restore_best() override;

  [[nodiscard]] Network& network() { return *network_; }

 protected:
  using MakeNetwork = std::function<std::unique_ptr<Network>()>;
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
  [[nodiscard]] Network::Objective objective_of(const Batch& batch,
                                                const std::vector<float>& targets,
                                                const Draws& draws) const;
  /// Throws where the loss is not finite.
  void require_finite(double loss) const;
  [[nodiscard]] double step_alone(const Batch& batch, const std::vector<float>& targets);
  [[nodiscard]] double step_together(const Batch& batch, const std::vector<float>& targets);
  /// Threads are a setting of the calling thread in OpenMP, so every call sets them.
  void use_threads() const;

  NetworkSettings settings_;
  int num_threads_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Adam> optimiser_;
  RoundedWeights rounded_;  ///< of bfloat16 training alone
  bool rounded_is_stale_ = true;
  std::vector<at::Tensor> best_;
  distributed::Communicator* communicator_ = nullptr;  ///< null: alone
  std::vector<float> summed_;                          ///< what the ranks add up
};

}  // namespace mmra::model::neural
