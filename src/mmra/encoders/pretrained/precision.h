#pragma once

#include <string_view>

namespace mmra::encoders {

/// How pretrained weights are kept and multiplied. Activations between products, norms, softmax and
/// residual sums are float32 in each of them.
enum class Precision {
  kAuto,      ///< bfloat16 where the processor multiplies it, else float32
  kFloat32,   ///< weights of float32, used in the mapped file where they are float32 there
  kBFloat16,  ///< half the memory; without the processor's instructions every product widens its
              ///< weights to float32 first
};

/// True where oneDNN may use the processor's bfloat16 products (avx512_core_bf16 or better). Its
/// DNNL_MAX_CPU_ISA environment variable is obeyed.
[[nodiscard]] bool has_bfloat16_products();

/// kAuto decided; the others as they are.
[[nodiscard]] Precision resolve(Precision precision);

/// "auto", "f32", "bf16".
[[nodiscard]] std::string_view name_of(Precision precision) noexcept;

}  // namespace mmra::encoders
