#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "mmra/core/error.h"

namespace mmra::hub {

/// Typed members of a JSON object from outside. Each throws Error{kCorruptData} that says where,
/// the key, and what was expected and found.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string where)
      : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) fail("an object was expected, not " + kind_of(object_));
  }

  [[nodiscard]] const nlohmann::json* find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  [[nodiscard]] std::optional<std::string> text(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) fail_at(key, "a string", *value);
    return value->get<std::string>();
  }

  [[nodiscard]] std::optional<bool> flag(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) fail_at(key, "true or false", *value);
    return value->get<bool>();
  }

  /// A whole number from 0 to `maximum`.
  [[nodiscard]] std::optional<std::int64_t> count(std::string_view key,
                                                  std::int64_t maximum) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_unsigned() ||
        value->get<std::uint64_t>() > static_cast<std::uint64_t>(maximum)) {
      fail_at(key, "a whole number from 0 to " + std::to_string(maximum), *value);
    }
    return static_cast<std::int64_t>(value->get<std::uint64_t>());
  }

  [[nodiscard]] const nlohmann::json* list(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && !value->is_array()) fail_at(key, "a list", *value);
    return value;
  }

  [[nodiscard]] std::optional<JsonFields> object(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) fail_at(key, "an object", *value);
    return JsonFields(*value, where_ + ": \"" + std::string(key) + "\"");
  }

  [[nodiscard]] const nlohmann::json& json() const { return object_; }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kCorruptData, where_ + ": " + what);
  }
  [[noreturn]] void fail_at(std::string_view key, const std::string& expected,
                            const nlohmann::json& found) const {
    fail("\"" + std::string(key) + "\" must be " + expected + ", not " + shown(found));
  }

 private:
  static std::string kind_of(const nlohmann::json& value) { return value.type_name(); }
  static std::string shown(const nlohmann::json& value) {
    if (value.is_structured()) return "an " + kind_of(value);
    constexpr std::size_t kMaxShown = 60;
    std::string text =
        value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, kMaxShown);
    return text;
  }

  const nlohmann::json& object_;
  std::string where_;
};

/// Parses outside text. Throws Error{kCorruptData} naming `where`. Deep nesting, which would
/// overflow the stack where a value is destroyed, is refused.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, const std::string& where);

}  // namespace mmra::hub
