#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>

#include "mmra/distributed/communicator.h"
#include "mmra/model/predictor.h"

namespace mmra::model::neural {

/// Where the random numbers of a training step come from; nothing is drawn at prediction. A process
/// that computes only some rows of a batch draws what all rows need and keeps what is its own: the
/// numbers, and the generator's state behind them, are those of a process that computes all.
class Draws {
 public:
  /// Prediction where `generator` is null.
  Draws(at::Generator* generator = nullptr) : generator_(generator) {}  // NOLINT: as a pointer is
  Draws(at::Generator& generator) : generator_(&generator) {}           // NOLINT: as a reference is
  /// For `rows` of `whole`, which must outlive this.
  Draws(at::Generator& generator, const Batch& whole, distributed::Share rows)
      : generator_(&generator), whole_(&whole), rows_(rows) {}

  [[nodiscard]] explicit operator bool() const { return generator_ != nullptr; }
  [[nodiscard]] at::Generator& generator() const { return *generator_; }
  /// The batch that the rows are part of; null: they are all of it.
  [[nodiscard]] const Batch* whole() const { return whole_; }
  [[nodiscard]] distributed::Share rows() const { return rows_; }

  using Fill = std::function<void(at::Tensor& values, at::Generator& generator)>;
  /// Drawn values of the shape of `x`, whose first dimension is the batch's rows, or as many for
  /// each of them.
  [[nodiscard]] at::Tensor like_rows(const at::Tensor& x, const Fill& fill) const;
  /// The same where the first dimension is something else: elements [first, first + x.size(0)) of
  /// `total`.
  [[nodiscard]] at::Tensor like_part(const at::Tensor& x, std::int64_t first, std::int64_t total,
                                     const Fill& fill) const;

 private:
  at::Generator* generator_;
  const Batch* whole_ = nullptr;
  distributed::Share rows_;
};

/// `kept` with a probability, else 0, element by element: the draws of LibTorch's bernoulli_, in
/// half of its time.
void draw_kept(at::Tensor& values, double probability, double kept, at::Generator& generator);

/// Dropout in training, nothing at prediction. The first dimension of `x` as in Draws::like_rows.
[[nodiscard]] at::Tensor dropout(const at::Tensor& x, double rate, const Draws& draws);

/// Elements [first, first + own) of the `total` that all rows of a batch have.
struct PartOfWhole {
  std::int64_t first = 0;
  std::int64_t total = 0;
};
/// The same where the first dimension is tokens, of which the batch's rows have unlike numbers.
[[nodiscard]] at::Tensor dropout_of_tokens(const at::Tensor& x, double rate, PartOfWhole part,
                                           const Draws& draws);

}  // namespace mmra::model::neural
