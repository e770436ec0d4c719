#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mmra {

/// A value in somebody else's JSON file, which may hold more than is read. Knows where it is, so
/// that every message names file and key. Null counts as "not there". A value type; immutable and
/// thread-safe.
class JsonView {
 public:
  /// Throws Error{kCorruptData} where `text` is not one JSON object. `origin` is the file's name.
  [[nodiscard]] static JsonView parse(std::string_view text, const std::string& origin);

  /// The value under `key` of an object.
  [[nodiscard]] std::optional<JsonView> find(const std::string& key) const;
  /// As find; throws Error{kCorruptData} where it is not there.
  [[nodiscard]] JsonView at(const std::string& key) const;
  [[nodiscard]] std::vector<JsonView> elements() const;  ///< of a list, else throws
  [[nodiscard]] const nlohmann::json& raw() const noexcept { return *value_; }

  // Each throws Error{kCorruptData} with the expected and the actual type.
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] double number() const;         ///< finite
  [[nodiscard]] std::int32_t integer() const;  ///< in the range of 32 bits
  [[nodiscard]] std::string string() const;
  void expect_object() const;
  [[nodiscard]] bool is_object() const noexcept;
  [[nodiscard]] bool is_string() const noexcept;
  [[nodiscard]] bool is_number() const noexcept;

  [[nodiscard]] bool boolean_or(const std::string& key, bool otherwise) const;
  [[nodiscard]] double number_or(const std::string& key, double otherwise) const;
  [[nodiscard]] std::int32_t integer_or(const std::string& key, std::int32_t otherwise) const;
  [[nodiscard]] std::string string_or(const std::string& key, std::string otherwise) const;

  /// The file, and the key from its root: `config.json, "size.height"`.
  [[nodiscard]] std::string place() const;
  /// Throws Error{kCorruptData}: the place, then `what`.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  JsonView(std::shared_ptr<const nlohmann::json> root, const nlohmann::json* value,
           std::string origin, std::string path);
  [[nodiscard]] JsonView below(const nlohmann::json& value, const std::string& step) const;
  [[noreturn]] void wrong_type(const std::string& expected) const;

  std::shared_ptr<const nlohmann::json> root_;
  const nlohmann::json* value_;
  std::string origin_;
  std::string path_;
};

}  // namespace mmra
