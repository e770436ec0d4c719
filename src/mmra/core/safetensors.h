#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/files.h"

namespace mmra {

/// The types of safetensors this project reads and writes.
enum class DataType { kFloat32, kFloat16, kBFloat16, kFloat64, kInt64, kInt32, kUint8 };

[[nodiscard]] std::size_t size_of(DataType type) noexcept;
[[nodiscard]] std::string_view name_of(DataType type) noexcept;  ///< "F32", "BF16", …

/// A tensor inside somebody else's bytes: row-major, little endian, possibly unaligned.
struct TensorView {
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< lives as long as the file or buffer it was read from

  [[nodiscard]] std::int64_t num_elements() const noexcept;
};

/// The header of a safetensors buffer, checked: every tensor inside the buffer, no overlap, no gap,
/// sizes that match shapes. `origin` names the file in messages. Throws Error{kCorruptData} with
/// the tensor, expected and actual.
struct SafetensorsContent {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;
};
[[nodiscard]] SafetensorsContent parse_safetensors(std::span<const std::byte> buffer,
                                                   const std::string& origin);

/// A memory-mapped safetensors file. Thread-safe once constructed.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  [[nodiscard]] const std::map<std::string, TensorView>& tensors() const {
    return content_.tensors;
  }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const {
    return content_.metadata;
  }
  /// Throws Error{kCorruptData} naming the tensor and the file where it is not there.
  [[nodiscard]] const TensorView& tensor(const std::string& name) const;
  /// As float32 whatever floating type it has on disk; throws where `shape` differs, with both.
  [[nodiscard]] std::vector<float> floats(const std::string& name,
                                          std::span<const std::int64_t> shape) const;
  /// The memory of one of tensors() can go: whoever read it has made a copy (MappedFile::release).
  void release(const TensorView& tensor) const noexcept { file_.release(tensor.bytes); }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return file_.bytes(); }

 private:
  std::string origin_;
  MappedFile file_;
  SafetensorsContent content_;
};

/// A tensor to write; `bytes` must hold exactly its elements.
struct NamedTensor {
  std::string name;
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes atomically, tensors in the given order, 8-byte aligned header.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace mmra
