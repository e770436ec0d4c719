#pragma once

#include "mmra/core/precision.h"

namespace mmra::encoders {

/// How pretrained weights are kept and multiplied. Activations between products, norms, softmax and
/// residual sums are float32 in each of them. kFloat32: weights of float32, used in the mapped file
/// where they are float32 there. kBFloat16: half the memory; without the processor's instructions
/// every product widens its weights to float32 first.
using mmra::name_of;
using mmra::Precision;

/// mmra::has_bfloat16_products() (core/bfloat16_products.h), for those that do not link oneDNN.
[[nodiscard]] bool has_bfloat16_products();

/// kAuto decided; the others as they are.
[[nodiscard]] Precision resolve(Precision precision);

}  // namespace mmra::encoders
