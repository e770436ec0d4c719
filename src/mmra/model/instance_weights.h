#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mmra::model {

/// Paper eq. 4: the weight of each of a query's instances, softmax(scale · similarity) over those
/// that exist (`rows` is not negative). Both spans are row-major [num_queries × k]; so is the
/// result, with 0 where there is no instance. Weights of a query sum to 1, or to 0 where it has no
/// instance.
[[nodiscard]] std::vector<double> instance_weights(std::span<const std::int32_t> rows,
                                                   std::span<const float> similarities, int k,
                                                   double scale);

}  // namespace mmra::model
