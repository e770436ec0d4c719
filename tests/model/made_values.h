#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

// The numbers of tools/golden/made_numbers.py: functions of a name and an index, so that both
// sides have the same ones and no file holds them.

namespace mmra::testing {

/// splitmix64 of FNV-1a(name) + index.
class MadeNumbers {
 public:
  explicit MadeNumbers(std::string_view name) {
    for (const char c : name) {
      seed_ = (seed_ ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    }
  }
  [[nodiscard]] std::uint64_t hashed(std::uint64_t index) const {
    std::uint64_t z = (index + seed_) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  /// Even in [-1, 1), a multiple of 2^-23.
  [[nodiscard]] double in_unit(std::uint64_t index) const {
    return std::ldexp(static_cast<double>(hashed(index) >> 40), -23) - 1.0;
  }
  /// A multiple of 1/512 in [-2, 2): exact in float16.
  [[nodiscard]] float feature(std::uint64_t index) const {
    return static_cast<float>(hashed(index) >> 53) / 512.0F - 2.0F;
  }

 private:
  std::uint64_t seed_ = 0xCBF29CE484222325ULL;
};

}  // namespace mmra::testing
