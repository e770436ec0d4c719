#include "made_model.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>

#include "mmra/core/files.h"

namespace mmra::encoders::testing {

namespace fs = std::filesystem;

namespace {

/// OpenMP's threads wait by spinning, which makes thousands of tiny products slow where other
/// programs run; tests of several threads ask for them.
class OneThread : public ::testing::Environment {
 public:
  void SetUp() override { omp_set_num_threads(1); }
};
[[maybe_unused]] const auto* const kOneThread =
    ::testing::AddGlobalTestEnvironment(new OneThread);  // NOLINT: GoogleTest owns it

}  // namespace

fs::path golden_folder(const std::string& name) {
  return fs::path(MMRA_GOLDEN_DIR) / "pretrained" / name;
}

Expected::Expected(const std::string& folder)
    : file_(golden_folder(folder) / "expected.safetensors") {}

bool Expected::has(const std::string& name) const { return file_.tensors().count(name) > 0; }

std::vector<float> Expected::floats(const std::string& name) const {
  return file_.floats(name, file_.tensor(name).shape);
}

std::vector<std::int32_t> Expected::integers(const std::string& name) const {
  const TensorView& view = file_.tensor(name);
  std::vector<std::int32_t> values(static_cast<std::size_t>(view.num_elements()));
  std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  return values;
}

double relative_error(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double d = static_cast<double>(actual[i]) - expected[i];
    difference += d * d;
    norm += static_cast<double>(expected[i]) * expected[i];
  }
  return std::sqrt(difference / norm);
}

double cosine(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) return -1.0;
  double product = 0.0;
  double a = 0.0;
  double b = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    product += static_cast<double>(actual[i]) * expected[i];
    a += static_cast<double>(actual[i]) * actual[i];
    b += static_cast<double>(expected[i]) * expected[i];
  }
  return product / std::sqrt(a * b);
}

std::vector<float> made_floats(std::size_t count, unsigned seed) {
  std::vector<float> values(count);
  std::uint64_t state = seed * 0x9E3779B97F4A7C15U + 1;
  for (float& value : values) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    value = static_cast<float>(state >> 40) / 8388608.0F - 1.0F;
  }
  return values;
}

MadeTensors read_tensors(const fs::path& folder) {
  const SafetensorsFile file(folder / "model.safetensors");
  MadeTensors tensors;
  for (const auto& [name, view] : file.tensors()) {
    tensors[name] = {view.shape, file.floats(name, view.shape)};
  }
  return tensors;
}

void write_model(const fs::path& folder, const std::string& config, const MadeTensors& tensors) {
  fs::create_directories(folder);
  write_text(folder / "config.json", config);
  std::vector<NamedTensor> named;
  named.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    named.push_back(
        {name, DataType::kFloat32, tensor.shape, std::as_bytes(std::span(tensor.values))});
  }
  write_safetensors(folder / "model.safetensors", named);
}

Weights made_weights(const fs::path& folder, const MadeTensors& tensors) {
  write_model(folder, "{}", tensors);
  return {std::make_shared<const ModelFiles>(folder), ""};
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read_text(const fs::path& path) { return read_file(path); }

}  // namespace mmra::encoders::testing
