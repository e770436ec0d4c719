#pragma once

#include <string>
#include <vector>

#include "mmra/pipeline/compare.h"
#include "mmra/pipeline/predict.h"

namespace mmra::app {

/// A prediction for people: the number, its interval, where it lies, and the instances behind it.
[[nodiscard]] std::string to_text(const pipeline::Prediction& prediction);

/// The verdict, and the titles from best to worst.
[[nodiscard]] std::string to_text(const pipeline::Comparison& comparison);

/// "What the frames show:" and a line for each caption; one that repeats the last is left out.
[[nodiscard]] std::string describe_captions(const std::vector<std::string>& captions);

}  // namespace mmra::app
