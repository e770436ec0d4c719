#include "mmra/core/binary_text.h"

#include <nettle/base16.h>
#include <nettle/base64.h>

#include <algorithm>
#include <cctype>

namespace mmra {

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string text(BASE16_ENCODE_LENGTH(bytes.size()), '\0');
  base16_encode_update(text.data(), bytes.size(), bytes.data());
  return text;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text) {
  // nettle would pass over white space.
  const bool is_hex =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (!is_hex || text.size() % 2 != 0) return std::nullopt;
  std::vector<std::uint8_t> bytes(BASE16_DECODE_LENGTH(text.size()));
  base16_decode_ctx context;
  base16_decode_init(&context);
  std::size_t num_decoded = bytes.size();
  base16_decode_update(&context, &num_decoded, bytes.data(), text.size(), text.data());
  bytes.resize(num_decoded);
  return bytes;
}

std::string to_base64(std::span<const std::uint8_t> bytes) {
  std::string text(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(text.data(), bytes.size(), bytes.data());
  return text;
}

std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text) {
  // nettle would pass over white space.
  const bool is_base64 = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=';
  });
  if (!is_base64) return std::nullopt;
  std::vector<std::uint8_t> bytes(BASE64_DECODE_LENGTH(text.size()));
  base64_decode_ctx context;
  base64_decode_init(&context);
  std::size_t num_decoded = bytes.size();
  if (base64_decode_update(&context, &num_decoded, bytes.data(), text.size(), text.data()) == 0 ||
      base64_decode_final(&context) == 0) {
    return std::nullopt;
  }
  bytes.resize(num_decoded);
  return bytes;
}

}  // namespace mmra
