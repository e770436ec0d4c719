#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "mmra/bank/memory_bank.h"

namespace mmra::serving {

/// What is known of a model, from the files that training wrote into its directory: kind, variant,
/// encoders, metrics.json, calibration.json, the rows of history.csv. No path is in it. Throws what
/// reading a model throws.
[[nodiscard]] nlohmann::ordered_json read_model_card(const std::filesystem::path& model_directory);

/// Of the bank that is served: records, labelled, unit, horizon, generation, its context columns.
[[nodiscard]] nlohmann::ordered_json describe_bank(const bank::BankInfo& info);

}  // namespace mmra::serving
