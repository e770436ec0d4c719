#include "mmra/text/utf8.h"

#include <utf8proc.h>

#include <cstdint>
#include <vector>

#include "mmra/core/error.h"

namespace mmra::text {
namespace {

constexpr std::size_t kMaxNormalizedBytes = std::size_t{256} << 20;
/// UAX #15: no text that anybody writes has more marks on one letter.
constexpr int kMaxCombiningRun = 30;
/// COMBINING GRAPHEME JOINER: a mark of combining class 0, so that reordering stops at it.
constexpr char32_t kGraphemeJoiner = 0x034F;
/// Invisible as well, but what holds an emoji family together.
constexpr char32_t kZeroWidthJoiner = 0x200D;
constexpr auto kFold =
    static_cast<utf8proc_option_t>(UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);

/// The second byte's bounds are what rule out overlong forms, surrogates and planes above 16
/// (Unicode 15, table 3-7).
struct SequenceShape {
  int num_continuations = 0;
  unsigned char second_low = 0x80;
  unsigned char second_high = 0xBF;
};

SequenceShape shape_of(unsigned char lead) noexcept {
  if (lead >= 0xC2 && lead <= 0xDF) return {1};
  if (lead == 0xE0) return {2, 0xA0, 0xBF};
  if (lead == 0xED) return {2, 0x80, 0x9F};
  if (lead >= 0xE1 && lead <= 0xEF) return {2};
  if (lead == 0xF0) return {3, 0x90, 0xBF};
  if (lead == 0xF4) return {3, 0x80, 0x8F};
  if (lead >= 0xF1 && lead <= 0xF3) return {3};
  return {};
}

/// Well-formed, without invisible code points, and with runs of marks cut: utf8proc sorts them by
/// insertion, which is quadratic in a run.
std::string clean_utf8(std::string_view bytes) {
  std::string clean;
  clean.reserve(bytes.size());
  int run = 0;
  for (std::size_t position = 0; position < bytes.size();) {
    const char32_t code_point = next_code_point(bytes, position);
    const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code_point));
    if (property->ignorable != 0 && code_point != kZeroWidthJoiner) continue;
    const bool combines = property->combining_class != 0;
    run = combines ? run + 1 : 0;
    if (run > kMaxCombiningRun) {
      append_utf8(kGraphemeJoiner, clean);
      run = 1;
    }
    append_utf8(code_point, clean);
  }
  return clean;
}

utf8proc_ssize_t checked(utf8proc_ssize_t result) {
  if (result < 0) {
    throw Error(ErrorKind::kInternal,
                std::string("utf8proc cannot normalise a text: ") + utf8proc_errmsg(result));
  }
  return result;
}

}  // namespace

char32_t next_code_point(std::string_view bytes, std::size_t& position,
                         bool* well_formed) noexcept {
  const auto lead = static_cast<unsigned char>(bytes[position++]);
  if (lead < 0x80) return lead;
  const SequenceShape shape = shape_of(lead);
  char32_t code_point = lead & (0x3FU >> shape.num_continuations);
  int found = 0;
  for (; found < shape.num_continuations && position < bytes.size(); ++found, ++position) {
    const auto byte = static_cast<unsigned char>(bytes[position]);
    const unsigned char low = found == 0 ? shape.second_low : 0x80;
    const unsigned char high = found == 0 ? shape.second_high : 0xBF;
    if (byte < low || byte > high) break;
    code_point = (code_point << 6) | (byte & 0x3FU);
  }
  if (shape.num_continuations > 0 && found == shape.num_continuations) return code_point;
  if (well_formed != nullptr) *well_formed = false;
  return kReplacementCharacter;
}

void append_utf8(char32_t code_point, std::string& out) {
  utf8proc_uint8_t bytes[4];
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

bool is_valid_utf8(std::string_view bytes) noexcept {
  bool well_formed = true;
  for (std::size_t position = 0; position < bytes.size() && well_formed;) {
    (void)next_code_point(bytes, position, &well_formed);
  }
  return well_formed;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return std::string(bytes);
  return encode_utf8(decode_utf8(bytes));
}

std::u32string decode_utf8(std::string_view bytes) {
  std::u32string code_points;
  code_points.reserve(bytes.size());
  for (std::size_t position = 0; position < bytes.size();) {
    code_points += next_code_point(bytes, position);
  }
  return code_points;
}

std::string encode_utf8(std::u32string_view code_points) {
  std::string bytes;
  bytes.reserve(code_points.size());
  for (const char32_t code_point : code_points) append_utf8(code_point, bytes);
  return bytes;
}

std::u32string normalize(std::string_view bytes) {
  if (bytes.size() > kMaxNormalizedBytes) {
    throw Error(ErrorKind::kInvalidInput, "a text has " + std::to_string(bytes.size()) +
                                              " bytes, at most " +
                                              std::to_string(kMaxNormalizedBytes) + " are read");
  }
  const std::string clean = clean_utf8(bytes);
  const auto* input = reinterpret_cast<const utf8proc_uint8_t*>(clean.data());
  const auto size = static_cast<utf8proc_ssize_t>(clean.size());
  // Most texts keep their length; only where a decomposition is longer is it asked for twice.
  std::vector<utf8proc_int32_t> buffer(clean.size() + 16);
  auto count = checked(utf8proc_decompose(input, size, buffer.data(),
                                          static_cast<utf8proc_ssize_t>(buffer.size()), kFold));
  if (count > static_cast<utf8proc_ssize_t>(buffer.size())) {
    buffer.resize(static_cast<std::size_t>(count));
    count = checked(utf8proc_decompose(input, size, buffer.data(), count, kFold));
  }
  count = checked(utf8proc_normalize_utf32(buffer.data(), count, kFold));
  return {buffer.begin(), buffer.begin() + count};
}

}  // namespace mmra::text
