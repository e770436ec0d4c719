#include "mmra/bank/text_checks.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

namespace mmra::bank {
namespace {

constexpr std::size_t kMaxShownBytes = 60;

bool is_control(unsigned char byte) { return byte < 0x20 || byte == 0x7F; }

void append_escaped(unsigned char byte, std::string& to) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  to += "\\x";
  to += kDigits[byte >> 4];
  to += kDigits[byte & 15];
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) noexcept {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    if (bytes[at] < 0x80) {
      if (bytes[at] == 0) return at;
      ++at;
      continue;
    }
    utf8proc_int32_t code_point = 0;
    // A character has four bytes at most; the length is given as a signed number.
    const auto left = static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size() - at, 4));
    const utf8proc_ssize_t size = utf8proc_iterate(bytes + at, left, &code_point);
    if (size <= 0) return at;
    at += static_cast<std::size_t>(size);
  }
  return std::nullopt;
}

std::string in_quotes(std::string_view text) {
  std::string_view shown = text.substr(0, kMaxShownBytes);
  const auto invalid = find_invalid_utf8(shown);
  std::string result = "\"";
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto byte = static_cast<unsigned char>(shown[i]);
    if (invalid && i >= *invalid) {
      // Most often a character that the cut went through.
      if (shown.size() < text.size() && i + 3 >= shown.size()) break;
      if (byte >= 0x80 || is_control(byte)) {
        append_escaped(byte, result);
        continue;
      }
    } else if (is_control(byte)) {
      append_escaped(byte, result);
      continue;
    }
    result += shown[i];
  }
  return result + (shown.size() < text.size() ? "…\"" : "\"");
}

std::optional<std::string> fault_of_id(std::string_view id) {
  if (id.empty()) return "the id is empty; each row needs one of its own";
  if (id.size() > kMaxIdBytes) {
    return "the id has " + std::to_string(id.size()) + " bytes, at most " +
           std::to_string(kMaxIdBytes) + " are possible: " + in_quotes(id);
  }
  if (std::any_of(id.begin(), id.end(), [](char c) { return is_control(c); })) {
    return "the id holds a control character: " + in_quotes(id);
  }
  if (find_invalid_utf8(id)) return "the id is not UTF-8: " + in_quotes(id);
  return std::nullopt;
}

}  // namespace mmra::bank
