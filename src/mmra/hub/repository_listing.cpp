#include "mmra/hub/repository_listing.h"

#include <algorithm>
#include <limits>
#include <set>

#include "mmra/core/error.h"
#include "mmra/hub/digest.h"
#include "mmra/hub/json_fields.h"

namespace mmra::hub {
namespace {

/// The account of the hub's own service that turns pickles into safetensors.
constexpr std::string_view kConversionAccount = "SFconvertbot";
constexpr std::int64_t kMaxDiscussion = 1'000'000'000;

HubFile read_file_entry(const JsonFields& fields) {
  HubFile file;
  file.name = fields.text("rfilename").value_or("");
  if (file.name.empty()) fields.fail("\"rfilename\" is missing");
  const auto bytes = fields.count("size", std::numeric_limits<std::int64_t>::max());
  if (!bytes) fields.fail("\"size\" of " + file.name + " is missing");
  file.bytes = *bytes;
  file.git_blob_sha1 = fields.text("blobId").value_or("");
  if (!file.git_blob_sha1.empty() && !is_hex(file.git_blob_sha1, 40)) {
    fields.fail("\"blobId\" of " + file.name + " must be 40 hexadecimal digits, not \"" +
                file.git_blob_sha1 + "\"");
  }
  if (const auto lfs = fields.object("lfs")) {
    file.sha256 = lfs->text("sha256").value_or("");
    if (!is_hex(file.sha256, 64)) {
      lfs->fail("\"sha256\" of " + file.name + " must be 64 hexadecimal digits, not \"" +
                file.sha256 + "\"");
    }
    file.bytes = lfs->count("size", std::numeric_limits<std::int64_t>::max()).value_or(file.bytes);
  }
  return file;
}

std::string read_licence(const JsonFields& fields) {
  const nlohmann::json* card = fields.find("cardData");
  if (card == nullptr || !card->is_object()) return {};
  const auto licence = card->find("license");
  return licence != card->end() && licence->is_string() ? licence->get<std::string>() : "";
}

std::string list_names(const RepositoryListing& listing, std::string_view ending) {
  std::string names;
  for (const HubFile& file : listing.files) {
    if (!file.name.ends_with(ending) || file.name.find('/') != std::string::npos) continue;
    names += (names.empty() ? "" : ", ") + file.name;
  }
  return names;
}

[[noreturn]] void fail_without_weights(const RepositoryListing& listing) {
  std::string pickles = list_names(listing, ".bin");
  throw Error(ErrorKind::kUnsupported,
              listing.repository + " has no " + std::string(kWeightsName) + " at " +
                  listing.revision.substr(0, 12) +
                  (pickles.empty() ? "" : ", only " + pickles + ", a pickle, which is never read") +
                  "; give a revision that has it (" + listing.repository +
                  "@REVISION), or convert it as docs/models.md shows");
}

bool has_tokenizer(const RepositoryListing& listing) {
  return listing.find("tokenizer.json") != nullptr || listing.find("vocab.txt") != nullptr;
}

[[noreturn]] void fail_without(const RepositoryListing& listing, Role role,
                               const std::string& what) {
  throw Error(ErrorKind::kUnsupported, listing.repository + " has no " + what + " at " +
                                           listing.revision.substr(0, 12) + "; a " + name_of(role) +
                                           " part needs it");
}

bool is_known_module(std::string_view type, std::string_view name) {
  return type.ends_with("." + std::string(name));
}

[[noreturn]] void fail_at_step(const std::string& where, const std::string& type) {
  throw Error(ErrorKind::kUnsupported,
              where + " asks for a step \"" + type +
                  "\" after the pooling, which is not done here; its vectors would be others than "
                  "the model's own. --pooling takes the model without that step");
}

Pooling read_pooling(const std::string& text, const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonFields fields(document, where);
  const bool cls = fields.flag("pooling_mode_cls_token").value_or(false);
  const bool mean = fields.flag("pooling_mode_mean_tokens").value_or(false);
  if (cls == mean) {
    throw Error(
        ErrorKind::kUnsupported,
        where + " asks for another pooling than cls or mean; --pooling chooses one of ours");
  }
  return cls ? Pooling::kCls : Pooling::kMean;
}

}  // namespace

const HubFile* RepositoryListing::find(std::string_view name) const {
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const HubFile& f) { return f.name == name; });
  return found == files.end() ? nullptr : &*found;
}

RepositoryListing parse_listing(std::string_view text, const std::string& repository,
                                const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonFields fields(document, where);
  RepositoryListing listing;
  listing.repository = repository;
  listing.revision = fields.text("sha").value_or("");
  if (!is_hex(listing.revision, 40)) {
    fields.fail("\"sha\" must be 40 hexadecimal digits, not \"" + listing.revision + "\"");
  }
  listing.licence = read_licence(fields);
  const nlohmann::json* siblings = fields.list("siblings");
  if (siblings == nullptr) fields.fail("\"siblings\", the list of files, is missing");
  for (const nlohmann::json& entry : *siblings) {
    listing.files.push_back(read_file_entry(JsonFields(entry, where + ": a file")));
  }
  return listing;
}

std::optional<std::string> parse_conversion(std::string_view text, const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonFields fields(document, where);
  const nlohmann::json* list = fields.list("discussions");
  if (list == nullptr) return std::nullopt;
  std::optional<std::int64_t> newest;
  for (const nlohmann::json& entry : *list) {
    const JsonFields discussion(entry, where + ": a discussion");
    const auto author = discussion.object("author");
    if (!author || author->text("name").value_or("") != kConversionAccount) continue;
    if (!discussion.flag("isPullRequest").value_or(false)) continue;
    if (discussion.text("status").value_or("") == "closed") continue;
    const auto number = discussion.count("num", kMaxDiscussion);
    if (number && (!newest || *number > *newest)) newest = number;
  }
  if (!newest) return std::nullopt;
  return "refs/pr/" + std::to_string(*newest);
}

std::vector<std::string> parse_weight_index(std::string_view text, const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonFields fields(document, where);
  const auto map = fields.object("weight_map");
  if (!map || map->json().empty()) fields.fail("\"weight_map\" is missing or empty");
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map->json().items()) {
    if (!shard.is_string()) map->fail_at(tensor, "the name of a file", shard);
    const auto name = shard.get<std::string>();
    if (!is_plain_name(name) || !name.ends_with(".safetensors")) {
      map->fail_at(tensor, "the name of a .safetensors file", shard);
    }
    names.insert(name);
  }
  return {names.begin(), names.end()};
}

bool has_safetensors(const RepositoryListing& listing) {
  return listing.find(kWeightsName) != nullptr || listing.find(kWeightIndexName) != nullptr;
}

std::vector<HubFile> select_files(const RepositoryListing& listing, Role role) {
  if (!has_safetensors(listing)) fail_without_weights(listing);
  if (listing.find("config.json") == nullptr) fail_without(listing, role, "config.json");
  const bool reads_text = role != Role::kVisual;
  const bool reads_images = !reads_text_alone(role);
  if (reads_text && !has_tokenizer(listing)) {
    fail_without(listing, role, "tokenizer.json and no vocab.txt");
  }
  if (reads_images && listing.find("preprocessor_config.json") == nullptr) {
    fail_without(listing, role, "preprocessor_config.json");
  }
  std::vector<std::string_view> names = {"config.json"};
  if (reads_text) {
    for (const char* name :
         {"tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"}) {
      names.emplace_back(name);
    }
  }
  if (reads_images) names.emplace_back("preprocessor_config.json");
  if (role == Role::kCaptioner) names.emplace_back("generation_config.json");
  names.push_back(listing.find(kWeightsName) != nullptr ? kWeightsName : kWeightIndexName);
  std::vector<HubFile> files;
  for (const std::string_view name : names) {
    if (const HubFile* file = listing.find(name)) files.push_back(*file);
  }
  return files;
}

std::vector<HubFile> find_files(const RepositoryListing& listing,
                                const std::vector<std::string>& names) {
  std::vector<HubFile> files;
  for (const std::string& name : names) {
    const HubFile* file = listing.find(name);
    if (file == nullptr) {
      throw Error(ErrorKind::kNotFound, listing.repository + " has no " + name + " at " +
                                            listing.revision.substr(0, 12) + ", which " +
                                            std::string(kWeightIndexName) + " names");
    }
    files.push_back(*file);
  }
  return files;
}

bool is_plain_name(std::string_view text) {
  constexpr std::size_t kMaxName = 200;
  return !text.empty() && text.size() <= kMaxName && text.front() != '.' &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
             std::string_view::npos;
}

bool is_repository_name(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && is_plain_name(text.substr(0, slash)) &&
         is_plain_name(text.substr(slash + 1));
}

std::optional<PartSettings> read_sentence_settings(const SentenceFiles& files,
                                                   const std::string& repository) {
  if (files.modules.empty()) return std::nullopt;
  PartSettings settings;
  settings.normalize = false;
  const std::string where = repository + ": modules.json";
  const nlohmann::json modules = parse_json(files.modules, where);
  if (!modules.is_array()) throw Error(ErrorKind::kCorruptData, where + ": not a list");
  for (const nlohmann::json& entry : modules) {
    const std::string type = JsonFields(entry, where).text("type").value_or("");
    if (is_known_module(type, "Transformer")) continue;
    if (is_known_module(type, "Pooling")) continue;
    if (is_known_module(type, "Normalize")) {
      settings.normalize = true;
      continue;
    }
    fail_at_step(where, type);
  }
  if (!files.pooling.empty()) {
    settings.pooling = read_pooling(files.pooling, repository + ": 1_Pooling/config.json");
  }
  if (!files.sentence.empty()) {
    constexpr std::int64_t kMaxTokens = 1 << 20;
    const std::string sentence_where = repository + ": sentence_bert_config.json";
    const nlohmann::json document = parse_json(files.sentence, sentence_where);
    settings.max_tokens = static_cast<int>(
        JsonFields(document, sentence_where).count("max_seq_length", kMaxTokens).value_or(0));
  }
  return settings;
}

}  // namespace mmra::hub
