#include "mmra/pipeline/model_directory.h"

#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::pipeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr const char* kFileName = "training.json";

Protocol parse_protocol(const std::string& name, const std::filesystem::path& file) {
  for (const Protocol protocol : {Protocol::kHonest, Protocol::kAuthors}) {
    if (name == name_of(protocol)) return protocol;
  }
  throw Error(ErrorKind::kCorruptData,
              file.string() + " names the protocol \"" + name + "\"; honest or authors is known");
}

template <typename Value>
Value value_of(const Json& document, const char* key, const std::filesystem::path& file) {
  try {
    return document.at(key).get<Value>();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                file.string() + " is damaged: \"" + key + "\": " + error.what());
  }
}

}  // namespace

std::string name_of(Protocol protocol) {
  return protocol == Protocol::kAuthors ? "authors" : "honest";
}

void save_training_card(const TrainingCard& card, const std::filesystem::path& model_directory) {
  const Json document = {{"format_version", kFormatVersion},
                         {"model", card.model},
                         {"encoders_name", card.encoders_name},
                         {"encoders_fingerprint", card.encoders_fingerprint},
                         {"popularity_unit", card.popularity_unit},
                         {"popularity_horizon", card.popularity_horizon},
                         {"k", card.k},
                         {"protocol", name_of(card.protocol)},
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
  if (version != kFormatVersion) {
    throw Error(ErrorKind::kUnsupported, file.string() + " has the format version " +
                                             std::to_string(version) + "; this program reads " +
                                             std::to_string(kFormatVersion));
  }
  TrainingCard card;
  card.model = value_of<std::string>(document, "model", file);
  card.encoders_name = value_of<std::string>(document, "encoders_name", file);
  card.encoders_fingerprint = value_of<std::string>(document, "encoders_fingerprint", file);
  card.popularity_unit = value_of<std::string>(document, "popularity_unit", file);
  card.popularity_horizon = value_of<std::string>(document, "popularity_horizon", file);
  card.k = value_of<int>(document, "k", file);
  card.protocol = parse_protocol(value_of<std::string>(document, "protocol", file), file);
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
