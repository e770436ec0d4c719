#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mmra::encoders {

/// A JSON object of settings as Hugging Face writes them (config.json), read key by key. Every
/// error names the file, the key, what was expected and what is there. A value; cheap to copy;
/// thread-safe.
class ModelConfig {
 public:
  /// Throws Error{kNotFound|kIo} where the file cannot be read, {kCorruptData} where it is no JSON
  /// object.
  [[nodiscard]] static ModelConfig read(const std::filesystem::path& path);
  /// The same of text; `origin` names it in messages.
  [[nodiscard]] static ModelConfig parse(std::string_view text, const std::string& origin);

  [[nodiscard]] const std::string& origin() const { return origin_; }
  /// Whether the key is there and not null.
  [[nodiscard]] bool has(const std::string& key) const;
  /// Whether the key is there and a string.
  [[nodiscard]] bool has_text(const std::string& key) const;

  // Each throws Error{kCorruptData} where the value has another type or lies outside the range,
  // and, without `fallback`, where the key is missing or null.

  /// A whole number in [smallest, largest].
  [[nodiscard]] std::int64_t integer(const std::string& key, std::int64_t smallest,
                                     std::int64_t largest,
                                     std::optional<std::int64_t> fallback = {}) const;
  /// A number in [smallest, largest].
  [[nodiscard]] double number(const std::string& key, double smallest, double largest,
                              std::optional<double> fallback = {}) const;
  [[nodiscard]] bool boolean(const std::string& key, std::optional<bool> fallback = {}) const;
  [[nodiscard]] std::string text(const std::string& key,
                                 const std::optional<std::string>& fallback = {}) const;
  /// The object under `key`; its messages name "key.inner".
  [[nodiscard]] ModelConfig section(const std::string& key) const;

 private:
  ModelConfig(std::shared_ptr<const nlohmann::json> object, std::string origin, std::string path);

  [[nodiscard]] const nlohmann::json* find(const std::string& key) const;
  [[nodiscard]] const nlohmann::json& need(const std::string& key,
                                           const std::string& expected) const;
  [[noreturn]] void fail(const std::string& key, const std::string& expected,
                         const nlohmann::json& found) const;

  std::shared_ptr<const nlohmann::json> object_;
  std::string origin_;
  std::string path_;  ///< "" or "text_config."
};

}  // namespace mmra::encoders
