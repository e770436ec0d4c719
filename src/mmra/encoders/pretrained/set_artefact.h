#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mmra/hub/part_settings.h"

namespace mmra::encoders {

// A set of pretrained encoders on disk is a folder with captioner/, visual/, text/ and retrieval/,
// each as Hugging Face lays a model out; a part may be missing. A bank does not copy gigabytes of
// weights: its artefact is an encoders.json that names the set's folder and every file that decides
// its output, with size and checksum (docs/formats/encoders.md).

/// A file of a part that decides what the part computes.
struct SetFile {
  std::string name;  ///< below the part's folder
  std::int64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  std::string fingerprint;  ///< of its bytes

  [[nodiscard]] bool operator==(const SetFile&) const = default;
};

struct SetPart {
  hub::Role role = hub::Role::kRetrieval;
  std::filesystem::path directory;  ///< absolute
  hub::PartSettings settings;       ///< mean nothing for captioner and visual
  std::vector<SetFile> files;
};

/// What an encoders.json of the kind "pretrained" says.
struct SetArtefact {
  std::string name;
  std::filesystem::path directory;  ///< the set's folder, absolute
  int visual_dim = 0;               ///< 0: no such part
  int text_dim = 0;
  int retrieval_dim = 0;
  std::vector<SetPart> parts;  ///< by role; at least one
  std::string fingerprint;     ///< of what decides the output: not of where it lies or its name

  /// Null where the set has no such part.
  [[nodiscard]] const SetPart* find(hub::Role role) const;
};

/// Looks a set's folder over: which parts there are, their settings, dimensions (config.json) and
/// files, whose bytes are read for their checksums (a second a gigabyte). Throws Error{kNotFound}
/// where the folder or every part is missing, {kUnsupported|kCorruptData} where a part is not a
/// model that this program runs in that role.
[[nodiscard]] SetArtefact survey_set(const std::filesystem::path& set_directory);

/// Writes `directory`/encoders.json; the directory is made where it is not there.
void write_set_artefact(const SetArtefact& artefact, const std::filesystem::path& directory);

/// Reads it, and looks at every file that it names: one whose size or time is another than when the
/// artefact was written is read again. The set may have moved: where its folder is gone, a set of
/// the same name in the model cache is taken. Throws Error{kNotFound} for a set that is nowhere,
/// {kCorruptData} for a damaged encoders.json, {kInvalidInput} where a file has changed, naming it.
[[nodiscard]] SetArtefact read_set_artefact(const std::filesystem::path& directory);

/// What a text model's folder says of pooling, prompt and length: mmra.json; else the files of the
/// sentence-transformers package (1_Pooling/config.json, sentence_bert_config.json); else means and
/// unit length. Throws Error{kCorruptData|kUnsupported} naming file and key.
[[nodiscard]] hub::PartSettings read_part_settings(const std::filesystem::path& part_directory);

}  // namespace mmra::encoders
