#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace mmra::model {

/// Reads one JSON object of a model's files key by key; what was not read at the end is an unknown
/// key. A number is a whole one only if it was written as one. Everything that does not fit is
/// Error{kCorruptData} naming `origin` and the key, with `advice` at the end.
class StrictReader {
 public:
  static constexpr const char* kAdvice = "it must be as `mmra train` wrote it";

  /// `object` must outlive the reader.
  StrictReader(const nlohmann::ordered_json& object, std::string origin,
               std::string advice = kAdvice);

  void read(const std::string& key, bool& out);
  void read(const std::string& key, int& out);
  void read(const std::string& key, std::int64_t& out);
  void read(const std::string& key, std::uint64_t& out);
  void read(const std::string& key, double& out);
  void read(const std::string& key, std::string& out);
  void read(const std::string& key, std::vector<int>& out);
  void read(const std::string& key, std::vector<double>& out);
  /// Null, for which JSON has no number, is `if_null`.
  void read_number_or_null(const std::string& key, double if_null, double& out);
  /// Of the object under `key`.
  [[nodiscard]] StrictReader below(const std::string& key);
  [[nodiscard]] bool has(const std::string& key) const;
  [[nodiscard]] const nlohmann::ordered_json& take(const std::string& key);
  void expect_nothing_else() const;
  [[nodiscard]] const std::string& origin() const { return origin_; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[nodiscard]] std::int64_t whole_number(const std::string& key,
                                          const nlohmann::ordered_json& value) const;
  [[nodiscard]] int integer(const std::string& key, const nlohmann::ordered_json& value) const;
  [[noreturn]] void out_of_range(const std::string& key) const;
  [[noreturn]] void wrong_type(const std::string& key, const std::string& expected,
                               const nlohmann::ordered_json& value) const;

  const nlohmann::ordered_json& object_;
  std::string origin_;
  std::string advice_;
  std::set<std::string> taken_;
};

}  // namespace mmra::model
