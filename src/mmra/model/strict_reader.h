#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace mmra::model {

/// Reads one JSON object of a model's config.json key by key; what was not read at the end is an
/// unknown key. Everything that does not fit is Error{kCorruptData} naming `origin` and the key.
class StrictReader {
 public:
  /// `object` must outlive the reader.
  StrictReader(const nlohmann::ordered_json& object, std::string origin);

  void read(const std::string& key, bool& out);
  void read(const std::string& key, int& out);
  void read(const std::string& key, std::uint64_t& out);
  void read(const std::string& key, double& out);
  void read(const std::string& key, std::string& out);
  void read(const std::string& key, std::vector<int>& out);
  [[nodiscard]] const nlohmann::ordered_json& take(const std::string& key);
  void expect_nothing_else() const;
  [[nodiscard]] const std::string& origin() const { return origin_; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[nodiscard]] int integer(const std::string& key, const nlohmann::ordered_json& value) const;
  [[noreturn]] void wrong_type(const std::string& key, const std::string& expected,
                               const nlohmann::ordered_json& value) const;

  const nlohmann::ordered_json& object_;
  std::string origin_;
  std::set<std::string> taken_;
};

}  // namespace mmra::model
