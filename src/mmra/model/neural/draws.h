#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace mmra::model::neural {

/// Where the random numbers of a training step come from; nothing is drawn at prediction.
class Draws {
 public:
  /// Prediction where `generator` is null.
  Draws(at::Generator* generator = nullptr) : generator_(generator) {}  // NOLINT: as a pointer is
  Draws(at::Generator& generator) : generator_(&generator) {}           // NOLINT: as a reference is

  [[nodiscard]] explicit operator bool() const { return generator_ != nullptr; }
  [[nodiscard]] at::Generator& generator() const { return *generator_; }

  using Fill = std::function<void(at::Tensor& values, at::Generator& generator)>;
  /// Drawn values of the shape of `x`.
  [[nodiscard]] at::Tensor like(const at::Tensor& x, const Fill& fill) const;

 private:
  at::Generator* generator_;
};

/// `kept` with a probability, else 0, element by element: the draws of LibTorch's bernoulli_, in
/// half of its time.
void draw_kept(at::Tensor& values, double probability, double kept, at::Generator& generator);

/// Dropout in training, nothing at prediction.
[[nodiscard]] at::Tensor dropout(const at::Tensor& x, double rate, const Draws& draws);

}  // namespace mmra::model::neural
