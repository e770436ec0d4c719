#include "mmra/pipeline/model_directory.h"

#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::pipeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 2;  // 1 knew neither the choice of instances nor times
constexpr const char* kFileName = "training.json";

template <typename Value>
Value value_of(const Json& document, const char* key, const std::filesystem::path& file) {
  try {
    return document.at(key).get<Value>();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                file.string() + " is damaged: \"" + key + "\": " + error.what());
  }
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& key,
                         const std::string& value, const std::string& known) {
  throw Error(ErrorKind::kCorruptData,
              file.string() + " has the " + key + " \"" + value + "\"; " + known + " is known");
}

/// null, or a moment as format_timestamp writes it.
std::optional<Timestamp> time_of(const Json& document, const char* key,
                                 const std::filesystem::path& file) {
  if (document.contains(key) && document.at(key).is_null()) return std::nullopt;
  const auto text = value_of<std::string>(document, key, file);
  const auto time = parse_timestamp(text);
  if (!time) refuse(file, std::string("\"") + key + "\"", text, "a time as RFC 3339 has it");
  return time;
}

Json time_json(const std::optional<TimeCuts>& cuts, Timestamp TimeCuts::*cut) {
  return cuts ? Json(format_timestamp((*cuts).*cut)) : Json(nullptr);
}

/// What version 2 added.
void read_choice_and_times(const Json& document, const std::filesystem::path& file,
                           RowRules& rules) {
  const auto choice = value_of<std::string>(document, "instances", file);
  if (!retrieval::parse_choice(choice)) refuse(file, "\"instances\"", choice, "similar or random");
  rules.instances = *retrieval::parse_choice(choice);
  rules.drop_near_duplicates = value_of<bool>(document, "near_duplicates_dropped", file);
  const auto valid_from = time_of(document, "valid_from", file);
  const auto test_from = time_of(document, "test_from", file);
  const bool wanted = rules.protocol == Protocol::kChronological;
  if (valid_from.has_value() != wanted || test_from.has_value() != wanted) {
    throw Error(ErrorKind::kCorruptData,
                file.string() +
                    " is damaged: \"valid_from\" and \"test_from\" belong to the "
                    "protocol chronological, and to that alone");
  }
  if (wanted) rules.cuts = TimeCuts{*valid_from, *test_from};
}

}  // namespace

std::string name_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kAuthors:
      return "authors";
    case Protocol::kChronological:
      return "chronological";
    case Protocol::kHonest:
      break;
  }
  return "honest";
}

std::optional<Protocol> parse_protocol(std::string_view name) {
  for (const Protocol protocol :
       {Protocol::kHonest, Protocol::kAuthors, Protocol::kChronological}) {
    if (name == name_of(protocol)) return protocol;
  }
  return std::nullopt;
}

void save_training_card(const TrainingCard& card, const std::filesystem::path& model_directory) {
  const Json document = {{"format_version", kFormatVersion},
                         {"model", card.model},
                         {"encoders_name", card.encoders_name},
                         {"encoders_fingerprint", card.encoders_fingerprint},
                         {"popularity_unit", card.popularity_unit},
                         {"popularity_horizon", card.popularity_horizon},
                         {"k", card.k},
                         {"protocol", name_of(card.rules.protocol)},
                         {"instances", retrieval::name_of(card.rules.instances)},
                         {"near_duplicates_dropped", card.rules.drop_near_duplicates},
                         {"valid_from", time_json(card.rules.cuts, &TimeCuts::valid_from)},
                         {"test_from", time_json(card.rules.cuts, &TimeCuts::test_from)},
                         {"num_train", card.num_train},
                         {"num_stop", card.num_stop},
                         {"num_calibration", card.num_calibration}};
  write_file_atomically(model_directory / kFileName, document.dump(2) + "\n");
}

TrainingCard load_training_card(const std::filesystem::path& model_directory) {
  const std::filesystem::path file = model_directory / kFileName;
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorKind::kNotFound,
                model_directory.string() +
                    " is not a finished model (it has no training.json); make one with `mmra train "
                    "--bank BANK --out " +
                    model_directory.string() + "`");
  }
  const Json document = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) {
    throw Error(ErrorKind::kCorruptData, file.string() + " is damaged: it is no JSON object");
  }
  const int version = value_of<int>(document, "format_version", file);
  if (version < 1 || version > kFormatVersion) {
    throw Error(ErrorKind::kUnsupported,
                file.string() + " has the format version " + std::to_string(version) +
                    "; this program reads 1 to " + std::to_string(kFormatVersion));
  }
  TrainingCard card;
  card.model = value_of<std::string>(document, "model", file);
  card.encoders_name = value_of<std::string>(document, "encoders_name", file);
  card.encoders_fingerprint = value_of<std::string>(document, "encoders_fingerprint", file);
  card.popularity_unit = value_of<std::string>(document, "popularity_unit", file);
  card.popularity_horizon = value_of<std::string>(document, "popularity_horizon", file);
  card.k = value_of<int>(document, "k", file);
  const auto protocol = value_of<std::string>(document, "protocol", file);
  if (!parse_protocol(protocol)) {
    refuse(file, "\"protocol\"", protocol, "honest, authors or chronological");
  }
  card.rules.protocol = *parse_protocol(protocol);
  if (version >= 2) read_choice_and_times(document, file, card.rules);
  card.num_train = value_of<std::int64_t>(document, "num_train", file);
  card.num_stop = value_of<std::int64_t>(document, "num_stop", file);
  card.num_calibration = value_of<std::int64_t>(document, "num_calibration", file);
  if (card.k < 1) throw Error(ErrorKind::kCorruptData, file.string() + ": k must be at least 1");
  return card;
}

void check_same_encoders(const TrainingCard& card, const bank::BankSchema& schema) {
  // The fingerprint is that of the bank's own encoders; features made elsewhere are in the name.
  if (card.encoders_fingerprint == schema.encoders_fingerprint &&
      card.encoders_name == schema.encoders_name) {
    return;
  }
  throw Error(ErrorKind::kInvalidInput,
              "the model was trained with the encoders " + card.encoders_name + " (" +
                  card.encoders_fingerprint + "), the bank was made by " + schema.encoders_name +
                  " (" + schema.encoders_fingerprint +
                  "): train a model on this bank, or use the bank it was trained on");
}

}  // namespace mmra::pipeline
