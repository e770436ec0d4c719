#pragma once

#include <span>
#include <string>

#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// Throws Error{kInvalidInput} where there is no row, a row has no label, or a label is not finite.
void check_labelled(const model::LabelledBatch& rows);

[[nodiscard]] double mean_of(std::span<const float> values);
/// mean((a − b)²). The spans are of one size, not empty.
[[nodiscard]] double mean_squared_error(std::span<const float> a, std::span<const float> b);

/// A number for people, with four significant digits.
[[nodiscard]] std::string readable(double value);

}  // namespace mmra::baselines
