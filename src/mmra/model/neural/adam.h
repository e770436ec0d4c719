#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "mmra/model/neural/parameter_set.h"

namespace mmra::model::neural {

struct AdamOptions {
  double learning_rate = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  ///< decoupled: p ← p·(1 − learning_rate·weight_decay) before the step
  double gradient_clip = 0.0;  ///< largest norm of the whole gradient; 0: no limit
  /// Average a ← m·a + (1−m)·p with m = min(ema_decay, (1 + t)/(10 + t)); 0: no average is kept.
  double ema_decay = 0.0;
};

/// Adam as torch.optim.Adam and AdamW have it, the whole update of a weight in one pass over
/// memory. Like there, a weight that got no gradient in a step is left as it is, moments and all.
class Adam {
 public:
  Adam(const std::vector<Parameter>& parameters, AdamOptions options);

  /// One step with the gradients that lie in the parameters; drops them. Where one is not finite
  /// they are dropped as well, nothing else is changed, and Error{kInvalidInput} is thrown.
  void step();

  /// The step rounds the weights that it changes into these copies as well, as it goes over them;
  /// they must outlive it.
  void round_into(const RoundedWeights& copies);

  /// What the next step depends on besides the weights, in the order of the parameters.
  [[nodiscard]] std::vector<at::Tensor>& first_moments() { return first_; }
  [[nodiscard]] std::vector<at::Tensor>& second_moments() { return second_; }
  [[nodiscard]] std::vector<at::Tensor>& averages() { return averages_; }
  [[nodiscard]] const std::vector<at::Tensor>& first_moments() const { return first_; }
  [[nodiscard]] const std::vector<at::Tensor>& second_moments() const { return second_; }
  [[nodiscard]] const std::vector<at::Tensor>& averages() const { return averages_; }
  /// [parameters], int64: how many steps each weight has taken.
  [[nodiscard]] std::vector<std::int64_t>& steps() { return steps_; }
  [[nodiscard]] const std::vector<std::int64_t>& steps() const { return steps_; }
  [[nodiscard]] std::int64_t num_steps() const { return num_steps_; }
  void set_num_steps(std::int64_t steps) { num_steps_ = steps; }

 private:
  [[nodiscard]] double gradient_norm() const;
  void update(std::size_t index, double gradient_scale, double average_decay);

  std::vector<at::Tensor> values_;
  AdamOptions options_;
  std::vector<at::Tensor> first_;
  std::vector<at::Tensor> second_;
  std::vector<at::Tensor> averages_;
  std::vector<at::Tensor> rounded_;  ///< bfloat16; undefined where none is kept
  std::vector<std::int64_t> steps_;
  std::int64_t num_steps_ = 0;
};

}  // namespace mmra::model::neural
