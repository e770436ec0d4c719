#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "mmra/core/safetensors.h"
#include "mmra/encoders/pretrained/model_files.h"
#include "mmra/encoders/pretrained/precision.h"

namespace mmra::encoders {

/// What is done to each element of a product y = x Wᵀ + b before it is written.
enum class Activation {
  kNone,
  kRelu,
  kTanh,
  kGelu,       ///< x Φ(x), by erf: "gelu"
  kGeluTanh,   ///< its approximation by tanh: "gelu_new", "gelu_pytorch_tanh"
  kQuickGelu,  ///< x σ(1.702 x): "quick_gelu"
};

/// The activation of that name in a config.json. Throws Error{kUnsupported} for another, naming the
/// key and those that are known.
[[nodiscard]] Activation parse_activation(const ModelConfig& config, const std::string& key);

/// A weight [out × in] of a linear layer in the form that products take it: float32 (in the mapped
/// file where it can be), or bfloat16, in oneDNN's blocked layout where the processor multiplies
/// bfloat16. Immutable, cheap to copy, thread-safe.
class ProductWeight {
 public:
  /// `precision` must be resolved. Throws as Weights::tensor.
  ProductWeight(const Weights& weights, const std::string& name, std::int64_t out, std::int64_t in,
                Precision precision);
  /// The same with another shape on disk of out · in elements (a convolution's kernel).
  ProductWeight(const Weights& weights, const std::string& name,
                std::span<const std::int64_t> shape, std::int64_t out, std::int64_t in,
                Precision precision);

  [[nodiscard]] std::int64_t out() const { return out_; }
  [[nodiscard]] std::int64_t in() const { return in_; }
  /// Products take bfloat16 inputs and may give bfloat16 outputs.
  [[nodiscard]] bool is_native_bfloat16() const { return native_bfloat16_; }

 private:
  friend class Products;
  void keep_bfloat16(std::shared_ptr<const std::vector<std::uint16_t>> bits);

  std::int64_t out_ = 0;
  std::int64_t in_ = 0;
  bool native_bfloat16_ = false;
  FloatTensor floats_;                                         // kFloat32
  std::shared_ptr<const std::vector<std::uint16_t>> bfloats_;  // kBFloat16, row-major
  std::shared_ptr<const struct BlockedWeight> blocked_;        // kBFloat16, native
};

/// Inputs or outputs of a product: dense or strided rows of float32, or dense rows of bfloat16.
struct ProductOperand {
  void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t stride = 0;  ///< elements
  bool is_bfloat16 = false;
};

/// oneDNN's matrix products, made once for each shape and kept. Used by one thread at a time; the
/// number of threads of a product is OpenMP's in the calling thread (omp_set_num_threads).
class Products {
 public:
  Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;
  ~Products();

  /// y = activation(x Wᵀ + bias), or, with `add`, y ← y + x Wᵀ + bias (then without activation).
  /// x [rows × in], y [rows × out], `bias` [out] or null. bfloat16 operands only where the weight
  /// is native. Throws Error{kInternal} where oneDNN fails.
  void multiply(const ProductWeight& weight, const float* bias, const ProductOperand& x,
                const ProductOperand& y, Activation activation, bool add);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mmra::encoders
