#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/evaluation/experiment.h"
#include "mmra/evaluation/metrics.h"

namespace mmra::pipeline {

/// experiment.json of a directory (docs/formats/experiment.md): what must be the same whenever work
/// in it goes on.
struct ExperimentIdentity {
  std::string bank;  ///< its directory, absolute
  std::uint64_t generation = 0;
  std::string encoders_fingerprint;
  std::string protocol;
  bool near_duplicates_dropped = false;
  int epochs = 0;  ///< 0: what `mmra train` takes
};
[[nodiscard]] std::string experiment_to_json(const ExperimentIdentity& identity);
/// Throws Error{kInvalidInput} with both values where `text`, the experiment.json of `directory`,
/// is another experiment's, {kCorruptData} where it is none.
void check_same_experiment(const ExperimentIdentity& expected, std::string_view text,
                           const std::string& directory);

/// seed-N.cost.json. Reading throws Error{kCorruptData} naming `origin`.
[[nodiscard]] std::string cost_to_json(const evaluation::Cost& cost);
[[nodiscard]] evaluation::Cost cost_from_json(std::string_view text, const std::string& origin);

/// Of metrics.json of a model, the whole validation split; NaN where a metric is undefined. Throws
/// Error{kCorruptData} naming `origin`.
[[nodiscard]] evaluation::Metrics valid_metrics_from_json(std::string_view text,
                                                          const std::string& origin);

}  // namespace mmra::pipeline
