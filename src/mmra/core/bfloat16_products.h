#pragma once

#include <dnnl.h>

namespace mmra {

/// True where oneDNN may use the processor's bfloat16 products (avx512_core_bf16 or better). Its
/// DNNL_MAX_CPU_ISA environment variable is obeyed. For rooms that link oneDNN.
[[nodiscard]] inline bool has_bfloat16_products() {
  // The values of dnnl_cpu_isa_t are sets of bits: one instruction set holds those below it.
  constexpr auto kNeeded = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  return (static_cast<unsigned>(dnnl_get_effective_cpu_isa()) & kNeeded) == kNeeded;
}

}  // namespace mmra
