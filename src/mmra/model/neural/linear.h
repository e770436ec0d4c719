#pragma once

#include <ATen/ATen.h>

#include <unordered_map>

#include "mmra/core/precision.h"
#include "mmra/model/neural/bfloat16_rows.h"

namespace mmra::model::neural {

/// A layer of fewer outputs is computed in float32: there is nothing to be won.
inline constexpr std::int64_t kLeastBFloat16Outputs = 16;

/// The bfloat16 copies of weights that layers multiply by, made once a step instead of at every
/// use. Whoever changes a weight rounds it again.
class RoundedWeights {
 public:
  /// Makes room for the copy of `weight` [out × in] of float32; of another tensor none is kept.
  void keep(const at::Tensor& weight);
  /// Rounds all of them.
  void round();
  /// Of `weight`, or of another tensor that is the same place in memory (a replica's); undefined
  /// where none is kept.
  [[nodiscard]] at::Tensor of(const at::Tensor& weight) const;

 private:
  struct Copy {
    at::Tensor weight;
    at::Tensor rounded;
  };
  std::unordered_map<const void*, Copy> copies_;
};

/// While it lives, layers that the calling thread computes in float32, and their gradients,
/// multiply in `precision` (resolved; networks in double stay as they are): factors rounded to
/// bfloat16, sums in float32. Without one they multiply in float32. `rounded` (may be null) holds
/// copies of the weights as they are now, and must outlive this.
class ProductPrecision {
 public:
  ProductPrecision(Precision precision, const RoundedWeights* rounded);
  ProductPrecision(const ProductPrecision&) = delete;
  ProductPrecision& operator=(const ProductPrecision&) = delete;
  ~ProductPrecision();

  [[nodiscard]] static bool is_bfloat16();

 private:
  bool before_;
  const RoundedWeights* rounded_before_;
};

/// What features are gathered as for a network of type `dtype`: bfloat16 where products take
/// nothing else.
[[nodiscard]] at::ScalarType feature_type(at::ScalarType dtype);

/// Room for [rows × columns] of bfloat16 that a layer multiplies where it is, without a copy.
[[nodiscard]] at::Tensor bfloat16_rows(std::int64_t rows, std::int64_t columns);

/// activation(x Wᵀ + b), [… × in] to [… × out] of the weight's type; `bias` [out] may be undefined.
/// Differentiable in all three, once. x may be of bfloat16 where products are.
[[nodiscard]] at::Tensor linear_layer(const at::Tensor& x, const at::Tensor& weight,
                                      const at::Tensor& bias,
                                      Activation activation = Activation::kNone);

/// The same of [x, y], side by side.
[[nodiscard]] at::Tensor linear_layer_of_both(const at::Tensor& x, const at::Tensor& y,
                                              const at::Tensor& weight, const at::Tensor& bias,
                                              Activation activation = Activation::kNone);

}  // namespace mmra::model::neural
