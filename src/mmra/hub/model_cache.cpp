#include "mmra/hub/model_cache.h"

#include <algorithm>
#include <cstdlib>

#include "mmra/core/environment.h"
#include "mmra/core/error.h"
#include "mmra/hub/catalogue.h"
#include "mmra/hub/repository_listing.h"

namespace mmra::hub {
namespace {

namespace fs = std::filesystem;

bool is_a_directory(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool has_any_part(const fs::path& directory) {
  return std::any_of(std::begin(kRoles), std::end(kRoles),
                     [&](Role role) { return is_a_directory(directory / name_of(role)); });
}

std::string names_of_sets() {
  std::string names;
  for (const CatalogueSet& set : catalogue()) names += (names.empty() ? "" : ", ") + set.name;
  return names;
}

/// The parts that a set of the catalogue has and its folder has not, and those that are not whole.
std::string missing_parts(const CatalogueSet* set, const fs::path& directory) {
  std::string missing;
  const auto add = [&](Role role) { missing += (missing.empty() ? "" : ", ") + name_of(role); };
  for (const Role role : kRoles) {
    const auto cached = find_cached_part(directory, role);
    const bool is_wanted =
        set != nullptr && std::any_of(set->parts.begin(), set->parts.end(),
                                      [&](const CataloguePart& part) { return part.role == role; });
    if (cached ? cached->is_begun : is_wanted) add(role);
  }
  return missing;
}

[[noreturn]] void fail_unknown(const std::string& name, const fs::path& models) {
  const bool is_known = find_set(name) != nullptr;
  throw Error(ErrorKind::kNotFound,
              "there is no encoder set \"" + name + "\", neither a directory nor in " +
                  models.string() +
                  (is_known || is_repository_name(name)
                       ? "; mmra models pull " + name + " gets it"
                       : "; mmra models pull NAME gets one of " + names_of_sets()));
}

}  // namespace

fs::path models_directory() { return cache_directory("MMRA_MODELS", "models", "models"); }

std::optional<CachedPart> find_cached_part(const fs::path& set_directory, Role role) {
  CachedPart part;
  part.role = role;
  part.directory = set_directory / name_of(role);
  std::error_code ignored;
  if (!is_a_directory(part.directory) || fs::is_empty(part.directory, ignored)) return std::nullopt;
  part.is_begun = fs::exists(part.directory / kPartMarkerName, ignored);
  if (!fs::exists(part.directory / kPartManifestName, ignored)) return part;
  try {
    part.manifest = read_part_manifest(part.directory);
  } catch (const Error&) {
    part.is_begun = true;
  }
  for (const FileRecord& file : part.manifest.files) {
    const auto bytes = fs::file_size(part.directory / file.name, ignored);
    if (ignored || bytes != static_cast<std::uintmax_t>(file.bytes)) part.is_begun = true;
    part.bytes += file.bytes;
  }
  part.is_whole = !part.is_begun;
  return part;
}

std::vector<CachedSet> list_cached_sets(const fs::path& models) {
  std::vector<CachedSet> sets;
  std::error_code ignored;
  for (fs::directory_iterator at(models, ignored), end; at != end; at.increment(ignored)) {
    if (ignored) break;
    CachedSet set{at->path().filename().string(), at->path(), {}};
    for (const Role role : kRoles) {
      if (auto part = find_cached_part(set.directory, role)) set.parts.push_back(std::move(*part));
    }
    if (!set.parts.empty()) sets.push_back(std::move(set));
  }
  std::sort(sets.begin(), sets.end(),
            [](const CachedSet& a, const CachedSet& b) { return a.name < b.name; });
  return sets;
}

fs::path find_encoder_set(const std::string& name) {
  if (has_any_part(name)) return name;
  const bool is_path = !is_plain_name(name);
  if (is_path && is_a_directory(name)) {
    throw Error(ErrorKind::kInvalidInput,
                name +
                    " is no encoder set: it has none of the folders captioner, visual, text, "
                    "retrieval (docs/formats/encoders.md)");
  }
  const fs::path models = models_directory();
  if (is_path) fail_unknown(name, models);
  fs::path directory = models / name;
  if (!has_any_part(directory)) fail_unknown(name, models);
  const std::string missing = missing_parts(find_set(name), directory);
  if (!missing.empty()) {
    throw Error(ErrorKind::kNotFound, "the encoder set \"" + name + "\" in " + models.string() +
                                          " is not whole: " + missing +
                                          " is missing; mmra models pull " + name + " goes on");
  }
  return directory;
}

std::optional<fs::path> find_stored_file(const fs::path& models, const std::string& sha256,
                                         std::int64_t bytes) {
  for (const CachedSet& set : list_cached_sets(models)) {
    for (const CachedPart& part : set.parts) {
      if (!part.is_whole) continue;
      for (const FileRecord& file : part.manifest.files) {
        if (file.sha256 == sha256 && file.bytes == bytes) return part.directory / file.name;
      }
    }
  }
  return std::nullopt;
}

}  // namespace mmra::hub
