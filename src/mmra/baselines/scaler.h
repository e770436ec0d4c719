#pragma once

#include <span>
#include <vector>

#include "mmra/baselines/features.h"
#include "mmra/core/safetensors.h"

namespace mmra::baselines {

/// scikit-learn's StandardScaler: each column minus its mean, over its standard deviation (of the
/// population; 1 for a column without variance), over the rows that have it. What is missing
/// becomes 0, the train mean.
class Scaler {
 public:
  Scaler() = default;
  [[nodiscard]] static Scaler fit(const FeatureMatrix& matrix);

  [[nodiscard]] std::size_t width() const { return mean_.size(); }
  /// In place. Throws Error{kInvalidInput} where the matrix is of another width.
  void apply(FeatureMatrix& matrix) const;

  /// "scaler.mean" and "scaler.scale", F32 [width], as views of this object.
  void append_to(std::vector<NamedTensor>& tensors) const;
  /// Throws Error{kCorruptData} naming the tensor where it is not there, of another width, not
  /// finite or not a scale.
  [[nodiscard]] static Scaler read(const SafetensorsFile& file, std::size_t width);

 private:
  std::vector<float> mean_;
  std::vector<float> scale_;
};

/// One F32 tensor [values] as a view.
[[nodiscard]] NamedTensor float_tensor(const char* name, std::span<const float> values);
/// An F32 tensor [size]; throws Error{kCorruptData} where it is not there or not finite.
[[nodiscard]] std::vector<float> read_floats(const SafetensorsFile& file, const char* name,
                                             std::size_t size);

}  // namespace mmra::baselines
