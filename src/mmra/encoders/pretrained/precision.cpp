#include "mmra/encoders/pretrained/precision.h"

#include "mmra/core/bfloat16_products.h"

namespace mmra::encoders {

bool has_bfloat16_products() { return mmra::has_bfloat16_products(); }

Precision resolve(Precision precision) {
  if (precision != Precision::kAuto) return precision;
  return has_bfloat16_products() ? Precision::kBFloat16 : Precision::kFloat32;
}

}  // namespace mmra::encoders
