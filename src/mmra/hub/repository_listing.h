#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/hub/part_settings.h"

namespace mmra::hub {

/// A file of a repository as the hub lists it, with the digest that its content must have.
struct HubFile {
  std::string name;  ///< path inside the repository
  std::int64_t bytes = 0;
  std::string sha256;         ///< of a large file (Git LFS), else empty
  std::string git_blob_sha1;  ///< of a file in Git itself; the pointer's for a large one
};

/// A repository at one commit.
struct RepositoryListing {
  std::string repository;
  std::string revision;  ///< the commit, 40 hexadecimal digits
  std::string licence;   ///< as the model card states it; may be empty
  std::vector<HubFile> files;

  [[nodiscard]] const HubFile* find(std::string_view name) const;
};

/// Reads the hub's answer to /api/models/REPOSITORY/revision/REVISION?blobs=true. Throws
/// Error{kCorruptData} naming `where`.
[[nodiscard]] RepositoryListing parse_listing(std::string_view text, const std::string& repository,
                                              const std::string& where);

/// Reads the hub's answer to /api/models/REPOSITORY/discussions: "refs/pr/N" of the newest pull
/// request, not closed, by which the hub's own conversion account offers the weights as
/// safetensors. Throws Error{kCorruptData} naming `where`.
[[nodiscard]] std::optional<std::string> parse_conversion(std::string_view text,
                                                          const std::string& where);

/// The files that make up model.safetensors.index.json's model, each once, in order. Throws
/// Error{kCorruptData} for what is no such index, names that are not plain file names among them.
[[nodiscard]] std::vector<std::string> parse_weight_index(std::string_view text,
                                                          const std::string& where);

inline constexpr std::string_view kWeightsName = "model.safetensors";
inline constexpr std::string_view kWeightIndexName = "model.safetensors.index.json";

/// Whether the weights are there as safetensors, in one file or several.
[[nodiscard]] bool has_safetensors(const RepositoryListing& listing);

/// The files of `listing` that a part of that role is made of, shards left out: config.json, the
/// weights or their index, tokenizer and image processor where the role has one. Throws
/// Error{kUnsupported} that names what is missing (weights as pickles only among it).
[[nodiscard]] std::vector<HubFile> select_files(const RepositoryListing& listing, Role role);

/// The files of `listing` with these names. Throws Error{kNotFound} for a name it does not have.
[[nodiscard]] std::vector<HubFile> find_files(const RepositoryListing& listing,
                                              const std::vector<std::string>& names);

/// "owner/name", letters, digits and "-._", no part beginning with a dot.
[[nodiscard]] bool is_repository_name(std::string_view text);
/// A name that is one folder or file: letters, digits and "-._", not beginning with a dot.
[[nodiscard]] bool is_plain_name(std::string_view text);

/// What sentence-transformers' own files say of a text model: modules.json, 1_Pooling/config.json,
/// sentence_bert_config.json, each perhaps missing (empty). No value without modules.json. Throws
/// Error{kUnsupported} for steps after the pooling other than normalisation and for poolings that
/// are none of ours, {kCorruptData} for what cannot be read.
struct SentenceFiles {
  std::string modules;
  std::string pooling;
  std::string sentence;
};
[[nodiscard]] std::optional<PartSettings> read_sentence_settings(const SentenceFiles& files,
                                                                 const std::string& repository);

}  // namespace mmra::hub
