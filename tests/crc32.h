#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mmra::testing {

/// CRC-32 as zlib has it: what golden files keep of outputs that are too large for them.
inline std::uint32_t crc32_of(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

inline std::uint32_t crc32_of(std::string_view text) {
  return crc32_of(std::as_bytes(std::span(text)));
}

}  // namespace mmra::testing
