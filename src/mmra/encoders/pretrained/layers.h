#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mmra/encoders/pretrained/model_files.h"
#include "mmra/encoders/pretrained/precision.h"
#include "mmra/encoders/pretrained/products.h"
#include "mmra/encoders/pretrained/rows.h"
#include "mmra/encoders/pretrained/workspace.h"

// Layers of pretrained transformers, forward only. Activations are row-major float32
// [tokens × width], or bfloat16 between layers that both take it. Layers are immutable and cheap to
// copy; forward() is thread-safe as long as each thread brings a workspace of its own, and runs on
// OpenMP's threads of the calling thread (omp_set_num_threads). Constructors take a resolved
// precision and throw what Weights::tensor throws.

namespace mmra::encoders {

/// y = activation(x Wᵀ + b), W [out × in].
class Linear {
 public:
  /// "<name>.weight" and, where it is there, "<name>.bias".
  Linear(const Weights& weights, const std::string& name, std::int64_t out, std::int64_t in,
         Precision precision);
  /// Of named tensors; `bias` may be empty: none. `shape` is the weight's on disk, out · in
  /// elements.
  Linear(const Weights& weights, const std::string& weight, std::span<const std::int64_t> shape,
         const std::string& bias, std::int64_t out, std::int64_t in, Precision precision);

  [[nodiscard]] std::int64_t out() const { return weight_.out(); }
  [[nodiscard]] std::int64_t in() const { return weight_.in(); }
  /// Inputs and outputs may be bfloat16.
  [[nodiscard]] bool is_native_bfloat16() const { return weight_.is_native_bfloat16(); }

  /// x [n × in] as this layer's product takes it: as it is, or rounded to bfloat16 in
  /// `workspace.rounded`. Made once, it serves every layer of the same width and precision, until
  /// the next call of input() or of a forward() that takes ConstRows.
  [[nodiscard]] ProductOperand input(ConstRows x, Workspace& workspace) const;

  /// y [n × out] = activation(x Wᵀ + b). `y` must not be `x`. Where weights are bfloat16 a dense
  /// `y` is the faster one.
  void forward(ConstRows x, Rows y, Workspace& workspace,
               Activation activation = Activation::kNone) const;
  void forward(const ProductOperand& x, Rows y, Workspace& workspace,
               Activation activation = Activation::kNone) const;
  /// `y` dense; only where is_native_bfloat16().
  void forward(const ProductOperand& x, BFloat16Rows y, Workspace& workspace) const;
  /// y ← y + x Wᵀ + b.
  void add_to(ConstRows x, Rows y, Workspace& workspace) const;
  /// The same for a dense `x`; only where is_native_bfloat16().
  void add_to(BFloat16Rows x, Rows y, Workspace& workspace) const;

 private:
  friend class FeedForward;
  void multiply(const ProductOperand& x, const ProductOperand& y, Workspace& workspace,
                Activation activation, bool add) const;

  ProductWeight weight_;
  std::optional<FloatTensor> bias_;
};

/// y = W₂ activation(W₁ x + b₁) + b₂.
class FeedForward {
 public:
  FeedForward(Linear first, Linear second, Activation activation);

  /// y ← y + feed_forward(x), both [n × hidden]. `y` may be `x`.
  void add_to(ConstRows x, Rows y, Workspace& workspace) const;

 private:
  Linear first_;
  Linear second_;
  Activation activation_;
};

/// y = (x − mean) / √(variance + ε) · weight + bias over each row.
class LayerNorm {
 public:
  /// "<name>.weight" and "<name>.bias", or ".gamma" and ".beta" as old checkpoints have them.
  LayerNorm(const Weights& weights, const std::string& name, std::int64_t width, double epsilon);

  /// `y` may be `x`.
  void forward(ConstRows x, Rows y) const;

 private:
  FloatTensor weight_;
  FloatTensor bias_;
  float epsilon_;
};

/// A table of vectors [count × width].
class Embedding {
 public:
  Embedding(const Weights& weights, const std::string& name, std::int64_t count, std::int64_t width,
            Precision precision);

  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t width() const { return width_; }
  /// y [width] ← row `index`, which must be in [0, count).
  void copy(std::int64_t index, float* y) const;
  /// y ← y + row `index`.
  void add(std::int64_t index, float* y) const;

 private:
  std::int64_t count_;
  std::int64_t width_;
  FloatTensor floats_;
  std::shared_ptr<const std::vector<std::uint16_t>> bfloats_;
};

}  // namespace mmra::encoders
