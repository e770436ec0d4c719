#include "mmra/encoders/pretrained/precision.h"

#include <dnnl.h>

namespace mmra::encoders {

bool has_bfloat16_products() {
  // The values of dnnl_cpu_isa_t are sets of bits: one instruction set holds those below it.
  constexpr auto kNeeded = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  return (static_cast<unsigned>(dnnl_get_effective_cpu_isa()) & kNeeded) == kNeeded;
}

Precision resolve(Precision precision) {
  if (precision != Precision::kAuto) return precision;
  return has_bfloat16_products() ? Precision::kBFloat16 : Precision::kFloat32;
}

std::string_view name_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::kAuto:
      return "auto";
    case Precision::kFloat32:
      return "f32";
    case Precision::kBFloat16:
      return "bf16";
  }
  return "?";
}

}  // namespace mmra::encoders
