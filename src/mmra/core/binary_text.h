#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mmra {

/// Two lower-case hexadecimal digits a byte (base16 of RFC 4648).
[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);

/// The bytes of an even number of hexadecimal digits of either case; empty where there is anything
/// else.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text);

/// base64 of RFC 4648, with padding.
[[nodiscard]] std::string to_base64(std::span<const std::uint8_t> bytes);

/// Its inverse; empty where the text is anything else.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text);

}  // namespace mmra
