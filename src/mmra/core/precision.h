#pragma once

#include <string_view>

namespace mmra {

/// How weights are kept or multiplied: by pretrained encoders, and by networks in training. What is
/// between products (norms, softmax, sums, losses) is float32 in each of them.
enum class Precision {
  kAuto,  ///< bfloat16 where the processor multiplies it, else float32
  kFloat32,
  kBFloat16,  ///< factors of products are bfloat16, their sums float32
};

/// "auto", "f32", "bf16".
[[nodiscard]] std::string_view name_of(Precision precision) noexcept;

}  // namespace mmra
