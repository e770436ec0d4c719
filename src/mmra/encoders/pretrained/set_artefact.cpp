#include "mmra/encoders/pretrained/set_artefact.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "mmra/encoders/pretrained/model_config.h"
#include "mmra/encoders/pretrained/model_files.h"
#include "mmra/hub/model_cache.h"

namespace mmra::encoders {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr char kDescriptionFile[] = "encoders.json";
/// Changes with anything that decides what is computed from the same files.
constexpr int kPretrainedVersion = 1;
constexpr std::int64_t kMaxDim = 65536;

/// The small files of a part that decide its output; mmra.json and those of sentence-transformers
/// do so through the settings.
constexpr const char* kSmallFiles[] = {
    "config.json",    "generation_config.json", "preprocessor_config.json",
    "tokenizer.json", "tokenizer_config.json",  "vocab.txt"};

std::string model_type_of(hub::Role role) {
  switch (role) {
    case hub::Role::kCaptioner:
      return "blip";
    case hub::Role::kVisual:
      return "vit";
    case hub::Role::kText:
    case hub::Role::kRetrieval:
      break;
  }
  return "bert";
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

SetFile look_at(const fs::path& directory, const std::string& name) {
  SetFile file;
  file.name = name;
  std::error_code code;
  const fs::path path = directory / name;
  const auto size = fs::file_size(path, code);
  if (code) throw system_error("read", path.string(), code.value());
  const auto written = fs::last_write_time(path, code);
  if (code) throw system_error("read", path.string(), code.value());
  file.size_bytes = static_cast<std::int64_t>(size);
  file.mtime_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(written.time_since_epoch()).count();
  return file;
}

std::vector<std::string> weight_files(const fs::path& directory) {
  if (is_there(directory / "model.safetensors")) return {"model.safetensors"};
  const std::string index_name = "model.safetensors.index.json";
  const fs::path index = directory / index_name;
  if (!is_there(index)) return {};  // opening the model says what is missing
  std::set<std::string> shards;
  for (const auto& [tensor, file] : parse_shard_index(read_file(index), index.string())) {
    shards.insert(file);
  }
  std::vector<std::string> names(shards.begin(), shards.end());
  names.insert(names.begin(), index_name);
  return names;
}

std::vector<SetFile> survey_files(const fs::path& directory) {
  std::vector<std::string> names;
  for (const char* name : kSmallFiles) {
    if (is_there(directory / name)) names.emplace_back(name);
  }
  for (std::string& name : weight_files(directory)) names.push_back(std::move(name));
  std::vector<SetFile> files;
  for (const std::string& name : names) {
    SetFile file = look_at(directory, name);
    file.fingerprint = fingerprint_file(directory / name);
    files.push_back(std::move(file));
  }
  return files;
}

/// The width of what the part gives; the captioner's is not needed.
int dim_of(const SetPart& part) {
  const ModelConfig config = ModelConfig::read(part.directory / "config.json");
  const std::string type = config.text("model_type");
  const std::string expected = model_type_of(part.role);
  if (type != expected) {
    throw Error(ErrorKind::kUnsupported, config.origin() + " has the model_type \"" + type +
                                             "\"; as " + hub::name_of(part.role) +
                                             " this program runs \"" + expected + "\"");
  }
  if (part.role == hub::Role::kCaptioner) return 0;
  return static_cast<int>(config.integer("hidden_size", 1, kMaxDim));
}

Json to_json(const SetFile& file) {
  return {{"name", file.name}, {"bytes", file.size_bytes}, {"xxh3_128", file.fingerprint}};
}

Json to_json(const SetPart& part) {
  Json files = Json::array();
  for (const SetFile& file : part.files) files.push_back(to_json(file));
  Json document = {{"role", hub::name_of(part.role)}, {"files", std::move(files)}};
  if (hub::reads_text_alone(part.role)) {
    document["pooling"] = hub::name_of(part.settings.pooling);
    document["normalize"] = part.settings.normalize;
    document["prompt"] = part.settings.prompt;
    document["max_tokens"] = part.settings.max_tokens;
  }
  return document;
}

/// What the fingerprint is of.
Json identity_of(const SetArtefact& artefact) {
  Json parts = Json::array();
  for (const SetPart& part : artefact.parts) parts.push_back(to_json(part));
  return {{"kind", "pretrained"},
          {"version", kPretrainedVersion},
          {"visual_dim", artefact.visual_dim},
          {"text_dim", artefact.text_dim},
          {"retrieval_dim", artefact.retrieval_dim},
          {"parts", std::move(parts)}};
}

/// Where the files lay and when they were written: may change without changing what they are.
Json location_of(const SetArtefact& artefact) {
  Json times = Json::object();
  for (const SetPart& part : artefact.parts) {
    for (const SetFile& file : part.files) {
      times[hub::name_of(part.role) + "/" + file.name] = file.mtime_ns;
    }
  }
  return {{"directory", artefact.directory.string()}, {"mtime_ns", std::move(times)}};
}

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::kCorruptData, file.string() + " is damaged: " + what +
                                           "; restore the file from a backup of the bank");
}

SetPart parse_part(const Json& document, const Json& times) {
  SetPart part;
  const auto role = hub::find_role(document.at("role").get<std::string>());
  if (!role) throw std::invalid_argument("an unknown role");
  part.role = *role;
  for (const Json& entry : document.at("files")) {
    SetFile file;
    file.name = entry.at("name").get<std::string>();
    file.size_bytes = entry.at("bytes").get<std::int64_t>();
    file.fingerprint = entry.at("xxh3_128").get<std::string>();
    file.mtime_ns = times.value(hub::name_of(part.role) + "/" + file.name, std::int64_t{0});
    part.files.push_back(std::move(file));
  }
  if (!hub::reads_text_alone(part.role)) return part;
  const auto pooling = hub::find_pooling(document.at("pooling").get<std::string>());
  if (!pooling) throw std::invalid_argument("an unknown pooling");
  part.settings.pooling = *pooling;
  part.settings.normalize = document.at("normalize").get<bool>();
  part.settings.prompt = document.at("prompt").get<std::string>();
  part.settings.max_tokens = document.at("max_tokens").get<int>();
  return part;
}

SetArtefact parse_artefact(const Json& document) {
  SetArtefact artefact;
  artefact.name = document.at("name").get<std::string>();
  artefact.directory = document.at("location").at("directory").get<std::string>();
  artefact.visual_dim = document.at("visual_dim").get<int>();
  artefact.text_dim = document.at("text_dim").get<int>();
  artefact.retrieval_dim = document.at("retrieval_dim").get<int>();
  for (const Json& part : document.at("parts")) {
    artefact.parts.push_back(parse_part(part, document.at("location").at("mtime_ns")));
  }
  artefact.fingerprint = document.at("fingerprint").get<std::string>();
  return artefact;
}

fs::path find_set(const SetArtefact& artefact) {
  if (is_there(artefact.directory)) return artefact.directory;
  if (fs::path cached = hub::models_directory() / artefact.name; is_there(cached)) return cached;
  throw Error(
      ErrorKind::kNotFound,
      "the encoders \"" + artefact.name + "\" are no longer in " + artefact.directory.string() +
          "; put the folder back, or get them with `mmra models pull " + artefact.name + "`");
}

void check_file(const fs::path& directory, const SetFile& expected) {
  const SetFile found = look_at(directory, expected.name);
  const bool same = found.size_bytes == expected.size_bytes &&
                    (found.mtime_ns == expected.mtime_ns ||
                     fingerprint_file(directory / expected.name) == expected.fingerprint);
  if (same) return;
  throw Error(ErrorKind::kInvalidInput, (directory / expected.name).string() +
                                            " is not the file that the bank was made with (" +
                                            std::to_string(expected.size_bytes) + " bytes, " +
                                            expected.fingerprint +
                                            "); put that one back, or make a new bank");
}

}  // namespace

const SetPart* SetArtefact::find(hub::Role role) const {
  const auto found = std::find_if(parts.begin(), parts.end(),
                                  [&](const SetPart& part) { return part.role == role; });
  return found == parts.end() ? nullptr : &*found;
}

SetArtefact survey_set(const fs::path& set_directory) {
  SetArtefact artefact;
  std::error_code code;
  artefact.directory = fs::canonical(set_directory, code);
  if (code) throw system_error("open the encoders", set_directory.string(), code.value());
  artefact.name = artefact.directory.filename().string();
  for (const hub::Role role : hub::kRoles) {
    SetPart part;
    part.role = role;
    part.directory = artefact.directory / hub::name_of(role);
    if (!is_there(part.directory)) continue;
    const int dim = dim_of(part);
    if (role == hub::Role::kVisual) artefact.visual_dim = dim;
    if (role == hub::Role::kText) artefact.text_dim = dim;
    if (role == hub::Role::kRetrieval) artefact.retrieval_dim = dim;
    if (hub::reads_text_alone(role)) part.settings = read_part_settings(part.directory);
    part.files = survey_files(part.directory);
    artefact.parts.push_back(std::move(part));
  }
  if (artefact.parts.empty()) {
    throw Error(ErrorKind::kNotFound,
                artefact.directory.string() +
                    " is no encoder set: it has none of the folders captioner/, visual/, text/ and "
                    "retrieval/; `mmra models list` names sets");
  }
  artefact.fingerprint = fingerprint(identity_of(artefact).dump());
  return artefact;
}

void write_set_artefact(const SetArtefact& artefact, const fs::path& directory) {
  make_directories(directory);
  Json document = identity_of(artefact);
  document["name"] = artefact.name;
  document["location"] = location_of(artefact);
  document["fingerprint"] = artefact.fingerprint;
  write_file_atomically(directory / kDescriptionFile, document.dump(2) + "\n");
}

SetArtefact read_set_artefact(const fs::path& directory) {
  const fs::path file = directory / kDescriptionFile;
  const Json document = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) damaged(file, "it is no JSON object");
  if (const Json version = document.value("version", Json()); version != kPretrainedVersion) {
    throw Error(ErrorKind::kUnsupported, file.string() + " is of version " + version.dump() +
                                             ", this program reads version " +
                                             std::to_string(kPretrainedVersion) +
                                             "; use the program that made it");
  }
  SetArtefact artefact;
  try {
    artefact = parse_artefact(document);
  } catch (const std::exception& error) {  // nlohmann-json's, and those above
    damaged(file, error.what());
  }
  if (fingerprint(identity_of(artefact).dump()) != artefact.fingerprint) {
    damaged(file, "its content does not have the fingerprint " + artefact.fingerprint);
  }
  artefact.directory = find_set(artefact);
  for (SetPart& part : artefact.parts) {
    part.directory = artefact.directory / hub::name_of(part.role);
    for (const SetFile& expected : part.files) check_file(part.directory, expected);
  }
  return artefact;
}

hub::PartSettings read_part_settings(const fs::path& part_directory) {
  if (is_there(part_directory / hub::kPartManifestName)) {
    return hub::read_part_manifest(part_directory).settings;
  }
  hub::PartSettings settings;
  if (const fs::path file = part_directory / "1_Pooling" / "config.json"; is_there(file)) {
    const ModelConfig config = ModelConfig::read(file);
    const bool cls = config.boolean("pooling_mode_cls_token", false);
    const bool mean = config.boolean("pooling_mode_mean_tokens", false);
    if (cls == mean) {
      throw Error(ErrorKind::kUnsupported,
                  file.string() +
                      " asks for a pooling other than that of the first token or of the mean; an "
                      "mmra.json beside it can say which to take");
    }
    settings.pooling = cls ? hub::Pooling::kCls : hub::Pooling::kMean;
  }
  if (const fs::path file = part_directory / "sentence_bert_config.json"; is_there(file)) {
    settings.max_tokens = static_cast<int>(
        ModelConfig::read(file).integer("max_seq_length", 2, std::int64_t{1} << 20, 0));
  }
  return settings;
}

}  // namespace mmra::encoders
