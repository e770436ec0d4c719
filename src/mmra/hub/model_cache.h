#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mmra/hub/part_settings.h"

namespace mmra::hub {

// MODELS/SET/ROLE/: a model's files as Hugging Face lays them out, and mmra.json, which is written
// last: a part that has it is whole. A set is thus an encoder set as it stands, and may be copied,
// moved and removed like any folder. Files that two sets share are one file with two names (hard
// links), where the file system has these.

/// $MMRA_MODELS, else $XDG_CACHE_HOME/mmra/models, else ~/.cache/mmra/models. Throws
/// Error{kInvalidInput} where none of the variables is set.
[[nodiscard]] std::filesystem::path models_directory();

/// A role's folder in a set.
struct CachedPart {
  Role role = Role::kRetrieval;
  std::filesystem::path directory;
  bool is_begun = false;   ///< a pull has begun here and not come to its end
  bool is_whole = false;   ///< has a manifest, and its files with their sizes
  PartManifest manifest;   ///< empty where there is none
  std::int64_t bytes = 0;  ///< that its manifest lists
};

struct CachedSet {
  std::string name;
  std::filesystem::path directory;
  std::vector<CachedPart> parts;  ///< those that exist, in the order of the roles
};

/// What lies in one role's folder; none where there is no folder, or an empty one. A part without a
/// manifest that no pull has begun is a model of somebody's own. A manifest that cannot be read
/// counts as a pull that was begun.
[[nodiscard]] std::optional<CachedPart> find_cached_part(const std::filesystem::path& set_directory,
                                                         Role role);

/// All sets below `models`, by name; none where the folder does not exist.
[[nodiscard]] std::vector<CachedSet> list_cached_sets(const std::filesystem::path& models);

/// The directory of an encoder set: `name` itself where it is a directory with at least one of
/// captioner/, visual/, text/, retrieval/, else the set of that name below models_directory().
/// Throws Error{kNotFound} that says which command gets it, {kInvalidInput} for a directory without
/// any part.
[[nodiscard]] std::filesystem::path find_encoder_set(const std::string& name);

/// A file of these bytes in a whole part below `models`, for a link to it. Size and manifest are
/// believed; whoever links verifies.
[[nodiscard]] std::optional<std::filesystem::path> find_stored_file(
    const std::filesystem::path& models, const std::string& sha256, std::int64_t bytes);

}  // namespace mmra::hub
