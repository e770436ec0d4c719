#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mmra::text {

/// U+FFFD, what stands for bytes that are not UTF-8.
inline constexpr char32_t kReplacementCharacter = 0xFFFD;

/// Reads one code point at `position` (< bytes.size()) and moves `position` behind it. An
/// ill-formed sequence gives U+FFFD and is skipped up to its "maximal subpart" (Unicode 15,
/// section 3.9: what browsers and Python do). `well_formed`, where given, is set to false then and
/// otherwise kept.
[[nodiscard]] char32_t next_code_point(std::string_view bytes, std::size_t& position,
                                       bool* well_formed = nullptr) noexcept;

/// Appends one code point (a Unicode scalar value) as 1 to 4 bytes.
void append_utf8(char32_t code_point, std::string& out);

/// No overlong forms, no surrogates, nothing above U+10FFFF, nothing cut off.
[[nodiscard]] bool is_valid_utf8(std::string_view bytes) noexcept;

/// The same text with each ill-formed sequence as one U+FFFD; valid text comes back unchanged.
[[nodiscard]] std::string replace_invalid_utf8(std::string_view bytes);

[[nodiscard]] std::u32string decode_utf8(std::string_view bytes);
[[nodiscard]] std::string encode_utf8(std::u32string_view code_points);

/// What texts are compared by: NFKC with full case folding ("Ｆｕｎ" and "FUN" are "fun", "Straße"
/// is "strasse"), broken bytes replaced and invisible code points removed first (Unicode's default
/// ignorables: soft hyphens, variation selectors …, all but the zero width joiner). Linear in the
/// size of `bytes` whatever they are: runs of more than 30 combining marks are broken up as
/// Unicode's stream-safe text format does (UAX #15, section 13). Throws Error{kInvalidInput} for
/// more than 256 MiB.
[[nodiscard]] std::u32string normalize(std::string_view bytes);

}  // namespace mmra::text
