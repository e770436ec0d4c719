#include "mmra/hub/part_settings.h"

#include <array>
#include <limits>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/hub/digest.h"
#include "mmra/hub/json_fields.h"
#include "mmra/hub/repository_listing.h"

namespace mmra::hub {
namespace {

constexpr std::int64_t kMaxTokens = 1 << 20;

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

PartSettings read_settings(const JsonFields& fields) {
  PartSettings settings;
  if (const auto name = fields.text("pooling")) {
    const auto pooling = find_pooling(*name);
    if (!pooling) fields.fail_at("pooling", "\"cls\", \"mean\" or \"cls_avg\"", *name);
    settings.pooling = *pooling;
  }
  settings.normalize = fields.flag("normalize").value_or(settings.normalize);
  settings.prompt = fields.text("prompt").value_or(settings.prompt);
  if (count_of(settings.prompt, kPromptPlace) != 1) {
    fields.fail_at("prompt", "a text that holds \"{text}\" once", settings.prompt);
  }
  settings.max_tokens =
      static_cast<int>(fields.count("max_tokens", kMaxTokens).value_or(settings.max_tokens));
  return settings;
}

std::vector<FileRecord> read_files(const JsonFields& fields) {
  std::vector<FileRecord> files;
  const auto object = fields.object("files");
  if (!object) return files;
  for (const auto& [name, value] : object->json().items()) {
    if (!is_plain_name(name)) object->fail("\"" + name + "\" is no plain file name");
    if (!value.is_object()) object->fail_at(name, "an object", value);
    const JsonFields file = *object->object(name);
    const auto bytes = file.count("bytes", std::numeric_limits<std::int64_t>::max());
    const auto sha256 = file.text("sha256");
    if (!bytes) file.fail("\"bytes\" is missing");
    if (!sha256 || !is_hex(*sha256, 64)) {
      file.fail("\"sha256\" must be 64 lower-case hexadecimal digits, not \"" +
                sha256.value_or("") + "\"");
    }
    files.push_back({name, *bytes, *sha256});
  }
  return files;
}

}  // namespace

std::string name_of(Role role) {
  switch (role) {
    case Role::kCaptioner:
      return "captioner";
    case Role::kVisual:
      return "visual";
    case Role::kText:
      return "text";
    case Role::kRetrieval:
      break;
  }
  return "retrieval";
}

std::optional<Role> find_role(std::string_view name) {
  for (const Role role : kRoles) {
    if (name_of(role) == name) return role;
  }
  return std::nullopt;
}

bool reads_text_alone(Role role) { return role == Role::kText || role == Role::kRetrieval; }

std::string name_of(Pooling pooling) {
  switch (pooling) {
    case Pooling::kCls:
      return "cls";
    case Pooling::kMean:
      return "mean";
    case Pooling::kClsAvg:
      break;
  }
  return "cls_avg";
}

std::optional<Pooling> find_pooling(std::string_view name) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean, Pooling::kClsAvg}) {
    if (name_of(pooling) == name) return pooling;
  }
  return std::nullopt;
}

PartManifest parse_part_manifest(std::string_view text, const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonFields fields(document, where);
  return {fields.text("repository").value_or(""), fields.text("revision").value_or(""),
          read_settings(fields), read_files(fields)};
}

PartManifest read_part_manifest(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kPartManifestName;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  return parse_part_manifest(read_file(path), path.string());
}

std::string to_json_text(const PartManifest& manifest, Role role) {
  nlohmann::ordered_json document;
  document["repository"] = manifest.repository;
  document["revision"] = manifest.revision;
  if (reads_text_alone(role)) {
    document["pooling"] = name_of(manifest.settings.pooling);
    document["normalize"] = manifest.settings.normalize;
    document["prompt"] = manifest.settings.prompt;
    document["max_tokens"] = manifest.settings.max_tokens;
  }
  document["files"] = nlohmann::ordered_json::object();
  for (const FileRecord& file : manifest.files) {
    document["files"][file.name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  }
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace mmra::hub
