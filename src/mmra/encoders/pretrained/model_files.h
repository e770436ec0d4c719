#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/safetensors.h"
#include "mmra/encoders/pretrained/model_config.h"

namespace mmra::encoders {

/// Numbers that are either somewhere in a mapped file, which is then kept open, or its own.
struct FloatTensor {
  std::shared_ptr<const void> owner;
  const float* data = nullptr;
  std::int64_t size = 0;

  [[nodiscard]] std::span<const float> values() const {
    return {data, static_cast<std::size_t>(size)};
  }
};

/// A model folder as Hugging Face lays it out: config.json, and model.safetensors or its shards
/// with model.safetensors.index.json. Files are mapped, not read. Immutable, thread-safe.
class ModelFiles {
 public:
  /// Throws Error{kNotFound} where the folder, its config.json or a file of weights is not there,
  /// {kUnsupported} where weights are there in pickled form only (pytorch_model.bin),
  /// {kCorruptData} where a file is not what it should be or a shard misses a tensor that the index
  /// promises.
  explicit ModelFiles(const std::filesystem::path& directory);

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  /// Null where there is none.
  [[nodiscard]] const TensorView* find(const std::string& name) const;
  /// The memory of one of the tensors can go: whoever read it has made a copy.
  void release(const TensorView& tensor) const noexcept;
  /// Every tensor's name, in order.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Where weights come from, for messages: the one file, or the index of the shards.
  [[nodiscard]] const std::string& origin() const { return origin_; }

 private:
  void open_shards(const std::filesystem::path& index);

  std::filesystem::path directory_;
  ModelConfig config_;
  std::string origin_;
  std::vector<std::unique_ptr<const SafetensorsFile>> files_;
  std::map<std::string, const TensorView*> tensors_;
};

/// The map from a tensor's name to the file that has it, as model.safetensors.index.json says.
/// Throws Error{kCorruptData} where it is not such a map, or a file's name leaves the folder.
[[nodiscard]] std::map<std::string, std::string> parse_shard_index(std::string_view text,
                                                                   const std::string& origin);

/// The tensors of a model below a prefix ("encoder.layer.3."). A value that keeps the files open.
class Weights {
 public:
  Weights(std::shared_ptr<const ModelFiles> files, std::string prefix);

  /// The prefix before `anchor`, a tensor that every model of the architecture has: people's
  /// checkpoints put "bert." or more in front of all names. Throws Error{kCorruptData} where no
  /// tensor, or more than one, ends with it.
  [[nodiscard]] static Weights rooted_at(std::shared_ptr<const ModelFiles> files,
                                         const std::string& anchor);

  /// Those below `name` + ".".
  [[nodiscard]] Weights below(const std::string& name) const;
  [[nodiscard]] bool has(const std::string& name) const;
  /// The prefix and the name, and the file: what messages say.
  [[nodiscard]] std::string full_name(const std::string& name) const { return prefix_ + name; }
  [[nodiscard]] const std::string& origin() const { return files_->origin(); }

  /// The tensor as it lies on disk. Throws Error{kCorruptData} with name, expected and actual where
  /// it is not there, has another shape or no floating type.
  [[nodiscard]] const TensorView& tensor(const std::string& name,
                                         std::span<const std::int64_t> shape) const;
  /// The same as float32: in the mapped file where it is float32 there, else converted.
  [[nodiscard]] FloatTensor floats(const std::string& name,
                                   std::span<const std::int64_t> shape) const;
  [[nodiscard]] FloatTensor floats(const std::string& name,
                                   std::initializer_list<std::int64_t> shape) const {
    return floats(name, std::span(shape.begin(), shape.size()));
  }
  /// The same rounded to bfloat16. The mapped pages are given back, so that a model takes the
  /// memory of its bfloat16 weights and not that of its file too.
  [[nodiscard]] std::shared_ptr<const std::vector<std::uint16_t>> bfloat16s(
      const std::string& name, std::span<const std::int64_t> shape) const;

 private:
  std::shared_ptr<const ModelFiles> files_;
  std::string prefix_;
};

/// A tensor of a floating type as float32, or rounded to bfloat16's upper 16 bits (to nearest
/// even). `to` must have its number of elements.
void convert_to_floats(const TensorView& from, std::span<float> to);
void convert_to_bfloat16(const TensorView& from, std::span<std::uint16_t> to);

}  // namespace mmra::encoders
