#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "mmra/core/safetensors.h"
#include "mmra/encoders/pretrained/model_files.h"

// What the tests of pretrained encoders compare with, and models changed for a purpose.

namespace mmra::encoders::testing {

/// tests/golden/pretrained/<name>
[[nodiscard]] std::filesystem::path golden_folder(const std::string& name);

/// A tensor of <folder>/expected.safetensors.
class Expected {
 public:
  explicit Expected(const std::string& folder);
  [[nodiscard]] bool has(const std::string& name) const;
  [[nodiscard]] std::vector<float> floats(const std::string& name) const;
  [[nodiscard]] std::vector<std::int32_t> integers(const std::string& name) const;

 private:
  SafetensorsFile file_;
};

/// ‖actual − expected‖ / ‖expected‖; infinite where sizes differ.
[[nodiscard]] double relative_error(std::span<const float> actual, std::span<const float> expected);
[[nodiscard]] double cosine(std::span<const float> actual, std::span<const float> expected);

/// Numbers in [−1, 1) that look random, a function of seed and index.
[[nodiscard]] std::vector<float> made_floats(std::size_t count, unsigned seed);

/// A tensor in memory, float32.
struct MadeTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
using MadeTensors = std::map<std::string, MadeTensor>;

/// The tensors of <folder>/model.safetensors.
[[nodiscard]] MadeTensors read_tensors(const std::filesystem::path& folder);
/// Writes config.json and model.safetensors into `folder`, which is made.
void write_model(const std::filesystem::path& folder, const std::string& config,
                 const MadeTensors& tensors);
/// The tensors as a model's weights, through a file in `folder`.
[[nodiscard]] Weights made_weights(const std::filesystem::path& folder, const MadeTensors& tensors);
/// A text file.
void write_text(const std::filesystem::path& path, const std::string& text);
[[nodiscard]] std::string read_text(const std::filesystem::path& path);

}  // namespace mmra::encoders::testing
