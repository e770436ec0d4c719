#include "mmra/pipeline/model_directory.h"

#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/strict_reader.h"

namespace mmra::pipeline {
namespace {

using Json = nlohmann::ordered_json;
using model::StrictReader;

constexpr int kMaxK = 10000;       // as every model's config.json has it
constexpr int kFormatVersion = 2;  // 1 knew neither the choice of instances nor times
constexpr const char* kFileName = "training.json";

[[noreturn]] void refuse(const StrictReader& reader, const std::string& key,
                         const std::string& value, const std::string& known) {
  reader.fail("has the " + key + " \"" + value + "\", expected " + known);
}

std::string text_of(StrictReader& reader, const std::string& key) {
  std::string text;
  reader.read(key, text);
  return text;
}

std::int64_t count_of(StrictReader& reader, const std::string& key) {
  std::int64_t count = 0;
  reader.read(key, count);
  if (count < 0) reader.fail("has a number below 0 under \"" + key + "\"");
  return count;
}

/// null, or a moment as format_timestamp writes it.
std::optional<Timestamp> time_of(StrictReader& reader, const std::string& key) {
  if (reader.take(key).is_null()) return std::nullopt;
  const std::string text = text_of(reader, key);
  const auto time = parse_timestamp(text);
  if (!time) refuse(reader, "\"" + key + "\"", text, "a time as RFC 3339 has it");
  return time;
}

Json time_json(const std::optional<TimeCuts>& cuts, Timestamp TimeCuts::*cut) {
  return cuts ? Json(format_timestamp((*cuts).*cut)) : Json(nullptr);
}

/// What version 2 added.
void read_choice_and_times(StrictReader& reader, RowRules& rules) {
  const std::string choice = text_of(reader, "instances");
  if (!retrieval::parse_choice(choice)) {
    refuse(reader, "\"instances\"", choice, "similar or random");
  }
  rules.instances = *retrieval::parse_choice(choice);
  reader.read("near_duplicates_dropped", rules.drop_near_duplicates);
  const auto valid_from = time_of(reader, "valid_from");
  const auto test_from = time_of(reader, "test_from");
  const bool wanted = rules.protocol == Protocol::kChronological;
  if (valid_from.has_value() != wanted || test_from.has_value() != wanted) {
    reader.fail(
        "has \"valid_from\" and \"test_from\" that do not belong to its protocol: chronological "
        "has both, no other has one");
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

std::string training_card_to_json(const TrainingCard& card) {
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
  return document.dump(2) + "\n";
}

TrainingCard training_card_from_json(std::string_view text, const std::string& origin) {
  const Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  StrictReader reader(document, origin);
  int version = 0;
  reader.read("format_version", version);
  if (version < 1 || version > kFormatVersion) {
    throw Error(ErrorKind::kUnsupported,
                origin + " has the format version " + std::to_string(version) +
                    "; this program reads 1 to " + std::to_string(kFormatVersion));
  }
  TrainingCard card;
  reader.read("model", card.model);
  reader.read("encoders_name", card.encoders_name);
  reader.read("encoders_fingerprint", card.encoders_fingerprint);
  reader.read("popularity_unit", card.popularity_unit);
  reader.read("popularity_horizon", card.popularity_horizon);
  reader.read("k", card.k);
  if (card.k < 1 || card.k > kMaxK) {
    reader.fail("has " + std::to_string(card.k) + " under \"k\", expected 1 to " +
                std::to_string(kMaxK));
  }
  const std::string protocol = text_of(reader, "protocol");
  if (!parse_protocol(protocol)) {
    refuse(reader, "\"protocol\"", protocol, "honest, authors or chronological");
  }
  card.rules.protocol = *parse_protocol(protocol);
  if (version >= 2) read_choice_and_times(reader, card.rules);
  card.num_train = count_of(reader, "num_train");
  card.num_stop = count_of(reader, "num_stop");
  card.num_calibration = count_of(reader, "num_calibration");
  return card;
}

void save_training_card(const TrainingCard& card, const std::filesystem::path& model_directory) {
  write_file_atomically(model_directory / kFileName, training_card_to_json(card));
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
  return training_card_from_json(read_file(file), file.string());
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
