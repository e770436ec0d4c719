#include "mmra/core/precision.h"

namespace mmra {

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

}  // namespace mmra
