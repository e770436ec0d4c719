#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mmra::bank {

/// The offset of the first byte that is not UTF-8 (or is a zero byte); empty where all is well.
[[nodiscard]] std::optional<std::size_t> find_invalid_utf8(std::string_view text) noexcept;

/// The text in quotes for a message: one line, cut after 60 bytes, what cannot be shown escaped.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// LMDB's longest key.
inline constexpr std::size_t kMaxIdBytes = 511;

/// Why `id` cannot be a record's id; empty where it can: 1 to kMaxIdBytes of UTF-8 without control
/// characters.
[[nodiscard]] std::optional<std::string> fault_of_id(std::string_view id);

}  // namespace mmra::bank
