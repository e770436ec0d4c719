#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::hub {

/// What a model does in an encoder set (docs/architecture.md); also the name of its folder.
enum class Role { kCaptioner, kVisual, kText, kRetrieval };
inline constexpr Role kRoles[] = {Role::kCaptioner, Role::kVisual, Role::kText, Role::kRetrieval};

/// "captioner", "visual", "text", "retrieval".
[[nodiscard]] std::string name_of(Role role);
[[nodiscard]] std::optional<Role> find_role(std::string_view name);
/// Whether the role's model reads text alone, so that PartSettings mean something to it.
[[nodiscard]] bool reads_text_alone(Role role);

/// How the states of a text model's last layer become one vector: the first token's, the mean over
/// all tokens, or the mean of these two (AnglE's "cls_avg").
enum class Pooling { kCls, kMean, kClsAvg };

/// "cls", "mean", "cls_avg".
[[nodiscard]] std::string name_of(Pooling pooling);
[[nodiscard]] std::optional<Pooling> find_pooling(std::string_view name);

inline constexpr std::string_view kPromptPlace = "{text}";

/// What a text model's own files do not say, or not in one place.
struct PartSettings {
  Pooling pooling = Pooling::kMean;
  bool normalize = true;          ///< scale the pooled vector to unit length
  std::string prompt = "{text}";  ///< holds "{text}" once, where the text goes
  int max_tokens = 0;             ///< with [CLS] and [SEP]; 0: what the model can take

  [[nodiscard]] bool operator==(const PartSettings&) const = default;
};

/// A file of a part as it was got.
struct FileRecord {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256;

  [[nodiscard]] bool operator==(const FileRecord&) const = default;
};

/// mmra.json of a part (docs/formats/encoders.md). Every key may be missing: people write this file
/// for models of their own, too.
struct PartManifest {
  std::string repository;  ///< "owner/name"; empty for a model of one's own
  std::string revision;    ///< the commit
  PartSettings settings;
  std::vector<FileRecord> files;
};

inline constexpr std::string_view kPartManifestName = "mmra.json";
/// Beside it while a part is being got; a part that has it is not whole.
inline constexpr std::string_view kPartMarkerName = "mmra.json.part";

/// Reads the text of an mmra.json. Throws Error{kCorruptData} that names `where`, the key, what was
/// expected and found; unknown keys are ignored.
[[nodiscard]] PartManifest parse_part_manifest(std::string_view text, const std::string& where);

/// DIRECTORY/mmra.json, or the defaults where there is none. Throws as parse_part_manifest does.
[[nodiscard]] PartManifest read_part_manifest(const std::filesystem::path& directory);

/// The text of an mmra.json; settings are written for roles that have them.
[[nodiscard]] std::string to_json_text(const PartManifest& manifest, Role role);

}  // namespace mmra::hub
