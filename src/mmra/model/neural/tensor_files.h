#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mmra::model::neural {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Writes tensors (float, double, int64 or bytes) as safetensors, whole or not at all.
void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata);

/// Copies every tensor of the file into the one of the same name. Strict: a missing or unknown
/// name, another shape, another type or another metadata value of "format" is Error{kCorruptData}
/// naming file and tensor; nothing has been changed then.
void load_tensors(const std::filesystem::path& file, const NamedTensors& into,
                  const std::string& format);

}  // namespace mmra::model::neural
