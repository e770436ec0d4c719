#pragma once

#include <filesystem>

#include "mmra/plus/plus_config.h"
#include "mmra/plus/plus_features.h"

namespace mmra::plus {

/// model.safetensors: all arrays of the first stage (docs/formats/model.md). Whole or not at all.
void save_first_stage(const FirstStage& stage, const std::filesystem::path& file);

/// As `config` says that they must be. Throws Error{kNotFound}, or {kCorruptData} naming the tensor
/// that is missing, misshapen or holds what cannot be.
[[nodiscard]] FirstStage load_first_stage(const PlusConfig& config,
                                          const std::filesystem::path& file);

}  // namespace mmra::plus
