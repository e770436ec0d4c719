#include "mmra/bank/manifest_values.h"

#include <charconv>
#include <cmath>

#include "mmra/bank/text_checks.h"

namespace mmra::bank {

using Kind = RawValue::Kind;

std::string id_of(const std::string& file, const RawValue& value) {
  const bool whole_number = value.text.find_first_not_of("-0123456789") == std::string::npos;
  if (value.kind == Kind::kOther || (value.kind == Kind::kNumber && !whole_number)) {
    fail_at(file, value, "expected a text or a whole number, found " + value.text);
  }
  if (const auto fault = fault_of_id(value.text)) fail_at(file, value, *fault);
  return value.text;
}

std::optional<double> popularity_of(const std::string& file, const RawValue& value) {
  if (value.text.empty()) return std::nullopt;
  double popularity = 0.0;
  const char* const end = value.text.data() + value.text.size();
  const auto [stopped, code] = std::from_chars(value.text.data(), end, popularity);
  if (value.kind == Kind::kOther || code != std::errc() || stopped != end ||
      !std::isfinite(popularity) || popularity < 0.0) {
    fail_at(file, value,
            "expected a number of 0 or more, or nothing where it is not known; found " +
                in_quotes(value.text));
  }
  return popularity == 0.0 ? 0.0 : popularity;  // -0 is 0
}

std::optional<Timestamp> time_of(const std::string& file, const RawValue& value) {
  if (value.text.empty()) return std::nullopt;
  const auto time = value.kind == Kind::kOther ? std::nullopt : parse_timestamp(value.text);
  if (!time) {
    fail_at(file, value,
            "expected a time such as 2024-07-14T09:30:00Z, or seconds since 1970; found " +
                in_quotes(value.text));
  }
  return time;
}

}  // namespace mmra::bank
