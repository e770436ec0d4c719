#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "mmra/core/safetensors.h"
#include "mmra/encoders/builtin/fit_text.h"
#include "mmra/encoders/builtin/text_model.h"

namespace mmra::encoders {

// The frozen builtin encoders on disk: encoders.json and builtin.safetensors, as
// docs/formats/encoders.md says.

/// Changes with anything that decides the encoders' output: terms, weights, the layout of the
/// visual token, the captions' words and thresholds.
inline constexpr int kBuiltinVersion = 1;

/// An artefact that was opened: the model refers into the mapped file. Immutable, thread-safe.
class BuiltinArtefact {
 public:
  /// Throws Error{kNotFound|kCorruptData|kUnsupported|kIo} naming the file, expected and found.
  explicit BuiltinArtefact(const std::filesystem::path& directory);

  [[nodiscard]] const TextModel& model() const { return model_; }
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }

 private:
  std::unique_ptr<SafetensorsFile> file_;
  TextModel model_;
  std::string fingerprint_;
};

/// Writes builtin.safetensors, then encoders.json; an artefact that was there before is withdrawn
/// first, so that at no moment a directory opens that mixes two.
void write_builtin_artefact(const FittedText& fitted, const std::filesystem::path& directory);

}  // namespace mmra::encoders
