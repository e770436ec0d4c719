#pragma once

#include <optional>
#include <string>

#include "mmra/bank/manifest_rows.h"
#include "mmra/core/timestamp.h"

namespace mmra::bank {

// What manifests and files of counts have in common. Each throws Error{kInvalidInput} naming
// `file`, the line and the column where the value is none of its kind.

[[nodiscard]] std::string id_of(const std::string& file, const RawValue& value);
/// 0 or more; empty where nothing is given.
[[nodiscard]] std::optional<double> popularity_of(const std::string& file, const RawValue& value);
/// Empty where nothing is given.
[[nodiscard]] std::optional<Timestamp> time_of(const std::string& file, const RawValue& value);

}  // namespace mmra::bank
