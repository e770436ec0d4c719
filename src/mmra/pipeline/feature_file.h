#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"
#include "mmra/core/token_matrix.h"

namespace mmra::pipeline {

struct IngestOptions;

/// Features made elsewhere: a tensor of [rows × dim] or [rows × tokens × dim] in a .npy file
/// (float16, float32 or float64, C order) or a .safetensors file of one tensor. Memory-mapped;
/// thread-safe.
class FeatureFile {
 public:
  /// Throws Error{kNotFound|kCorruptData|kUnsupported}; {kInvalidInput} where the number of rows is
  /// not `num_rows`.
  FeatureFile(const std::filesystem::path& path, std::int64_t num_rows);

  [[nodiscard]] int dim() const { return dim_; }
  [[nodiscard]] int num_tokens() const { return num_tokens_; }
  /// Row `row` as float16 tokens [num_tokens × dim]. Throws Error{kInvalidInput} naming file and
  /// row where a value is not finite, or beyond float16.
  [[nodiscard]] HalfTokenMatrix tokens(std::int64_t row) const;
  /// Row `row` as one vector [dim], scaled to unit length (zeros stay). Throws
  /// Error{kInvalidInput} where a value is not finite.
  [[nodiscard]] std::vector<float> unit_vector(std::int64_t row) const;

 private:
  [[nodiscard]] std::vector<float> values(std::int64_t row) const;

  std::filesystem::path path_;
  MappedFile file_;
  DataType type_ = DataType::kFloat32;
  std::span<const std::byte> data_;
  int num_tokens_ = 1;
  int dim_ = 0;
};

/// The feature files of an ingest; a part that is null is made by the encoders.
struct FeatureFiles {
  std::shared_ptr<const FeatureFile> visual;
  std::shared_ptr<const FeatureFile> text;
  std::shared_ptr<const FeatureFile> retrieval;

  [[nodiscard]] bool any() const { return visual || text || retrieval; }
  /// "+visual,text features": part of the name of the bank's encoders.
  [[nodiscard]] std::string name_suffix() const;
};

[[nodiscard]] FeatureFiles open_feature_files(const IngestOptions& options, std::int64_t num_rows);

/// Which of a bank's features were made elsewhere: what the name of its encoders says. The encoders
/// of the bank cannot make such features for a new clip.
struct ForeignFeatures {
  bool visual = false;
  bool text = false;
  bool retrieval = false;
};
[[nodiscard]] ForeignFeatures foreign_features(const std::string& encoders_name);

/// Throws Error{kInvalidInput} with both sides where the files are not those an existing bank needs
/// (a bank never mixes features of two origins), or their dims are others.
void check_feature_files(const FeatureFiles& files, const bank::BankSchema& schema);

/// The array of a .npy file (format 1 to 3): its type, shape and the bytes of its elements. Throws
/// Error{kCorruptData|kUnsupported} naming `origin`.
[[nodiscard]] TensorView parse_npy(std::span<const std::byte> bytes, const std::string& origin);

}  // namespace mmra::pipeline
