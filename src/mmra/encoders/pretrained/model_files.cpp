#include "mmra/encoders/pretrained/model_files.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "mmra/core/bfloat16.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/float16.h"
#include "mmra/encoders/pretrained/row_kernels.h"

namespace mmra::encoders {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kShardIndex = "model.safetensors.index.json";
constexpr const char* kPickledFiles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                         "tf_model.h5", "flax_model.msgpack"};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string to_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

bool is_floating(DataType type) {
  return type == DataType::kFloat32 || type == DataType::kFloat16 || type == DataType::kBFloat16;
}

ModelConfig read_config(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored)) {
    throw Error(ErrorKind::kNotFound, directory.string() +
                                          " is not a folder; expected a model's with config.json "
                                          "and model.safetensors");
  }
  return ModelConfig::read(directory / "config.json");
}

[[noreturn]] void no_weights(const fs::path& directory) {
  for (const char* pickled : kPickledFiles) {
    if (!is_there(directory / pickled)) continue;
    throw Error(ErrorKind::kUnsupported,
                directory.string() + " has its weights as " + pickled +
                    " only, which may run code when read; download or convert them to " +
                    kSingleFile);
  }
  throw Error(ErrorKind::kNotFound, directory.string() + " has no " + kSingleFile + " and no " +
                                        kShardIndex + "; download the weights into it");
}

}  // namespace

std::map<std::string, std::string> parse_shard_index(std::string_view text,
                                                     const std::string& origin) {
  const auto json =
      nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kCorruptData, origin + " " + what + "; download it again");
  };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    fail("has no object \"weight_map\"");
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string()) fail("names no file for the tensor \"" + tensor + "\"");
    const auto& name = file.get_ref<const std::string&>();
    // A name that leaves the folder would let a downloaded index read any file.
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      fail("names a file outside of its folder, \"" + name + "\"");
    }
    shards.emplace(tensor, name);
  }
  if (shards.empty()) fail("names no tensors");
  return shards;
}

ModelFiles::ModelFiles(const fs::path& directory)
    : directory_(directory), config_(read_config(directory)) {
  const fs::path single = directory / kSingleFile;
  if (is_there(single)) {
    origin_ = single.string();
    files_.push_back(std::make_unique<const SafetensorsFile>(single));
    for (const auto& [name, view] : files_.back()->tensors()) tensors_.emplace(name, &view);
  } else if (is_there(directory / kShardIndex)) {
    open_shards(directory / kShardIndex);
  } else {
    no_weights(directory);
  }
}

void ModelFiles::open_shards(const fs::path& index) {
  origin_ = index.string();
  std::map<std::string, const SafetensorsFile*> opened;
  for (const auto& [tensor, name] : parse_shard_index(read_file(index), origin_)) {
    const SafetensorsFile*& file = opened[name];
    const fs::path path = directory_ / name;
    if (file == nullptr) {
      if (!is_there(path)) {
        throw Error(ErrorKind::kNotFound, path.string() + " is not there, but " + kShardIndex +
                                              " says it has the tensor \"" + tensor +
                                              "\"; download it");
      }
      files_.push_back(std::make_unique<const SafetensorsFile>(path));
      file = files_.back().get();
    }
    const auto found = file->tensors().find(tensor);
    if (found == file->tensors().end()) {
      throw Error(ErrorKind::kCorruptData, path.string() + " has no tensor \"" + tensor +
                                               "\", which " + kShardIndex + " says it has");
    }
    tensors_.emplace(tensor, &found->second);
  }
}

const TensorView* ModelFiles::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

void ModelFiles::release(const TensorView& tensor) const noexcept {
  for (const auto& file : files_) {
    const auto bytes = file->bytes();
    if (tensor.bytes.data() >= bytes.data() && tensor.bytes.data() < bytes.data() + bytes.size()) {
      file->release(tensor);
    }
  }
}

std::vector<std::string> ModelFiles::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, view] : tensors_) names.push_back(name);
  return names;
}

Weights::Weights(std::shared_ptr<const ModelFiles> files, std::string prefix)
    : files_(std::move(files)), prefix_(std::move(prefix)) {}

Weights Weights::rooted_at(std::shared_ptr<const ModelFiles> files, const std::string& anchor) {
  std::vector<std::string> prefixes;
  for (const std::string& name : files->names()) {
    if (!name.ends_with(anchor)) continue;
    std::string prefix = name.substr(0, name.size() - anchor.size());
    if (prefix.empty() || prefix.back() == '.') prefixes.push_back(std::move(prefix));
  }
  if (prefixes.size() != 1) {
    throw Error(ErrorKind::kCorruptData, files->origin() + " has " +
                                             std::to_string(prefixes.size()) + " tensors \"" +
                                             anchor + "\" (with any prefix); expected one");
  }
  return {std::move(files), std::move(prefixes.front())};
}

Weights Weights::below(const std::string& name) const { return {files_, prefix_ + name + "."}; }

bool Weights::has(const std::string& name) const { return files_->find(prefix_ + name) != nullptr; }

const TensorView& Weights::tensor(const std::string& name,
                                  std::span<const std::int64_t> shape) const {
  const TensorView* view = files_->find(prefix_ + name);
  if (view == nullptr) {
    throw Error(ErrorKind::kCorruptData, origin() + " has no tensor \"" + full_name(name) +
                                             "\"; expected one of shape " + to_text(shape));
  }
  if (!std::equal(shape.begin(), shape.end(), view->shape.begin(), view->shape.end())) {
    throw Error(ErrorKind::kCorruptData, origin() + ": tensor \"" + full_name(name) +
                                             "\" has the shape " + to_text(view->shape) +
                                             ", expected " + to_text(shape));
  }
  if (!is_floating(view->type)) {
    throw Error(ErrorKind::kCorruptData, origin() + ": tensor \"" + full_name(name) + "\" is " +
                                             std::string(name_of(view->type)) +
                                             "; expected F32, F16 or BF16");
  }
  return *view;
}

FloatTensor Weights::floats(const std::string& name, std::span<const std::int64_t> shape) const {
  const TensorView& view = tensor(name, shape);
  const std::int64_t size = view.num_elements();
  if (view.type == DataType::kFloat32 &&
      reinterpret_cast<std::uintptr_t>(view.bytes.data()) % alignof(float) == 0) {
    return {files_, reinterpret_cast<const float*>(view.bytes.data()), size};
  }
  auto values = std::make_shared<std::vector<float>>(static_cast<std::size_t>(size));
  convert_to_floats(view, *values);
  files_->release(view);
  const float* data = values->data();
  return {std::move(values), data, size};
}

std::shared_ptr<const std::vector<std::uint16_t>> Weights::bfloat16s(
    const std::string& name, std::span<const std::int64_t> shape) const {
  const TensorView& view = tensor(name, shape);
  auto values =
      std::make_shared<std::vector<std::uint16_t>>(static_cast<std::size_t>(view.num_elements()));
  convert_to_bfloat16(view, *values);
  files_->release(view);
  return values;
}

void convert_to_floats(const TensorView& from, std::span<float> to) {
  if (from.type == DataType::kFloat32) {
    std::memcpy(to.data(), from.bytes.data(), from.bytes.size());
    return;
  }
  if (to.empty()) return;
  // Elements of a file may begin at an odd byte; conversions read whole 16-bit words.
  std::vector<std::uint16_t> words(to.size());
  std::memcpy(words.data(), from.bytes.data(), from.bytes.size());
  if (from.type == DataType::kFloat16) {
    halves_to_floats(words, to);
  } else {
    widen_bfloat16(words.data(), to.data(), static_cast<std::int64_t>(to.size()));
  }
}

void convert_to_bfloat16(const TensorView& from, std::span<std::uint16_t> to) {
  if (from.type == DataType::kBFloat16) {
    std::memcpy(to.data(), from.bytes.data(), from.bytes.size());
    return;
  }
  // By parts: a copy of the whole would be larger than the result.
  constexpr std::size_t kPart = std::size_t{1} << 16;
  const std::size_t width = size_of(from.type);
  std::vector<float> values(std::min(kPart, to.size()));
  for (std::size_t first = 0; first < to.size(); first += kPart) {
    const std::size_t count = std::min(kPart, to.size() - first);
    const TensorView part{from.type,
                          {static_cast<std::int64_t>(count)},
                          from.bytes.subspan(first * width, count * width)};
    convert_to_floats(part, std::span(values).first(count));
    round_to_bfloat16(values.data(), to.data() + first, static_cast<std::int64_t>(count));
  }
}

}  // namespace mmra::encoders
