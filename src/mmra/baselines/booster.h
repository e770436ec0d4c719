#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/baselines/features.h"

namespace mmra::baselines {

/// Rows as XGBoost keeps them; NaN is missing.
class TreeRows {
 public:
  /// Copies. `targets` may be empty. Throws Error{kInternal} with XGBoost's message.
  TreeRows(const FeatureMatrix& rows, const std::vector<float>& targets, int num_threads);

  [[nodiscard]] void* handle() const { return handle_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::unique_ptr<void, void (*)(void*)> handle_;
  std::size_t size_;
};

/// Gradient-boosted trees by XGBoost's C interface. Everything throws Error{kInternal} with
/// XGBoost's message. Not thread-safe.
class Booster {
 public:
  struct Parameter {
    const char* name;
    std::string value;
  };
  /// No trees yet. Predictions of `known` rows are kept and only added to, round by round.
  Booster(const std::vector<Parameter>& parameters, const std::vector<const TreeRows*>& known);
  /// From save_to_bytes(); throws Error{kCorruptData} naming `origin` where XGBoost cannot read it.
  Booster(std::string_view bytes, const std::string& origin, int num_threads);

  /// One more tree.
  void update(int round, const TreeRows& train);
  /// One value a row.
  [[nodiscard]] std::vector<float> predict(const TreeRows& rows) const;
  /// The first `num_rounds` trees alone.
  [[nodiscard]] Booster first_rounds(int num_rounds) const;
  [[nodiscard]] std::string save_to_bytes() const;  ///< UBJSON

 private:
  explicit Booster(void* handle);

  std::unique_ptr<void, void (*)(void*)> handle_;
};

}  // namespace mmra::baselines
