#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// Rows of numbers, row-major [num_rows × width]; NaN is a value that is not there.
struct FeatureMatrix {
  std::size_t num_rows = 0;
  std::size_t width = 0;
  std::vector<float> values;

  [[nodiscard]] std::span<float> row(std::size_t index) {
    return std::span(values).subspan(index * width, width);
  }
  [[nodiscard]] std::span<const float> row(std::size_t index) const {
    return std::span(values).subspan(index * width, width);
  }
};

/// Features of a row of pooled_features.
[[nodiscard]] std::size_t pooled_width(const BaselineConfig& config);

/// What SVR and ridge see of a row: [its first frame (d_v) | the mean of its text tokens (d_t)],
/// the parts that `config` has. A row without video or title has NaN there. Throws
/// Error{kInvalidInput} where the table has other dimensions than `config`, or nothing is left.
[[nodiscard]] FeatureMatrix pooled_features(const model::Batch& batch,
                                            const BaselineConfig& config);

/// What HyFea sees: [its first `num_frames` frames, one after the other (num_frames · d_v) | the
/// mean of its text tokens (d_t)], NaN where there is no such frame or no title. Throws as above.
[[nodiscard]] FeatureMatrix flattened_features(const model::Batch& batch,
                                               const BaselineConfig& config, int num_frames);

/// The most visual tokens that a query of the batch has.
[[nodiscard]] int most_frames(const model::Batch& batch);

}  // namespace mmra::baselines
