#include "mmra/pipeline/model_directory.h"

#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::pipeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr const char* kFileName = "training.json";

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
  try {
    const Json document = Json::parse(read_file(file));
    const int version = document.at("format_version").get<int>();
    if (version != kFormatVersion) {
      throw Error(ErrorKind::kUnsupported, file.string() + " has the format version " +
                                               std::to_string(version) + "; this program reads " +
                                               std::to_string(kFormatVersion));
    }
    TrainingCard card;
    card.model = document.at("model").get<std::string>();
    card.encoders_name = document.at("encoders_name").get<std::string>();
    card.encoders_fingerprint = document.at("encoders_fingerprint").get<std::string>();
    card.popularity_unit = document.at("popularity_unit").get<std::string>();
    card.popularity_horizon = document.at("popularity_horizon").get<std::string>();
    card.k = document.at("k").get<int>();
    card.protocol = document.at("protocol").get<std::string>() == "authors" ? Protocol::kAuthors
                                                                            : Protocol::kHonest;
    card.num_train = document.at("num_train").get<std::int64_t>();
    card.num_stop = document.at("num_stop").get<std::int64_t>();
    card.num_calibration = document.at("num_calibration").get<std::int64_t>();
    if (card.k < 1) throw Error(ErrorKind::kCorruptData, file.string() + ": k must be at least 1");
    return card;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData, file.string() + " is damaged: " + error.what());
  }
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
