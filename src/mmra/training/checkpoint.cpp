#include "mmra/training/checkpoint.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::training {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr char kFileName[] = "checkpoint.json";
constexpr char kStatePrefix[] = "state-";

std::string state_name(int epoch) { return kStatePrefix + std::to_string(epoch) + ".safetensors"; }

/// JSON has no NaN: null stands for it (dump() writes it so by itself).
double number_or_nan(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json to_json(const EpochRecord& record) {
  return {{"epoch", record.epoch},         {"train_loss", record.train_loss},
          {"stop_nmse", record.stop_nmse}, {"stop_mae", record.stop_mae},
          {"stop_src", record.stop_src},   {"seconds", record.seconds}};
}

EpochRecord epoch_from_json(const Json& json) {
  EpochRecord record;
  record.epoch = json.at("epoch").get<int>();
  record.train_loss = number_or_nan(json.at("train_loss"));
  record.stop_nmse = number_or_nan(json.at("stop_nmse"));
  record.stop_mae = number_or_nan(json.at("stop_mae"));
  record.stop_src = number_or_nan(json.at("stop_src"));
  record.seconds = number_or_nan(json.at("seconds"));
  return record;
}

struct Content {
  int format_version = 0;
  std::string run_fingerprint;
  TrainingHistory history;
};

Content parse(const std::string& text) {
  const Json json = Json::parse(text);
  Content content;
  content.format_version = json.at("format_version").get<int>();
  content.run_fingerprint = json.at("run_fingerprint").get<std::string>();
  content.history.best_epoch = json.at("best_epoch").get<int>();
  for (const Json& epoch : json.at("epochs")) {
    content.history.epochs.push_back(epoch_from_json(epoch));
  }
  return content;
}

/// Epochs 1, 2, 3 … and a best one among them.
bool is_consistent(const TrainingHistory& history) {
  const auto num_epochs = static_cast<int>(history.epochs.size());
  for (int i = 0; i < num_epochs; ++i) {
    if (history.epochs[static_cast<std::size_t>(i)].epoch != i + 1) return false;
  }
  return num_epochs > 0 && history.best_epoch >= 1 && history.best_epoch <= num_epochs;
}

void remove_other_states(const fs::path& directory, const std::string& keep) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kStatePrefix, 0) != 0 || name == keep) continue;
    std::error_code ignored;  // a state too many does no harm
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace

Checkpoint::Checkpoint(fs::path directory, std::string run_fingerprint)
    : directory_(std::move(directory)), run_fingerprint_(std::move(run_fingerprint)) {}

bool Checkpoint::exists() const {
  std::error_code code;
  return !directory_.empty() && fs::exists(directory_ / kFileName, code);
}

TrainingHistory Checkpoint::load(model::IterativePredictor& predictor) const {
  const fs::path file = directory_ / kFileName;
  const std::string text = read_file(file);
  const std::string advice = "; remove " + directory_.string() + " to begin again";
  Content content;
  try {
    content = parse(text);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                file.string() + " is not a checkpoint (" + error.what() + ")" + advice);
  }
  if (content.format_version != kFormatVersion) {
    throw Error(ErrorKind::kUnsupported, file.string() + " has the format version " +
                                             std::to_string(content.format_version) +
                                             ", this program reads " +
                                             std::to_string(kFormatVersion) + advice);
  }
  if (content.run_fingerprint != run_fingerprint_) {
    throw Error(ErrorKind::kInvalidInput,
                "the checkpoint in " + directory_.string() +
                    " is of a run with other data, flags or encoders (" + content.run_fingerprint +
                    ", expected " + run_fingerprint_ + "); resume with the same" + advice);
  }
  if (!is_consistent(content.history)) {
    throw Error(ErrorKind::kCorruptData,
                file.string() + " has epochs that are not 1, 2, 3 and so on" + advice);
  }
  predictor.load_training_state(directory_ / state_name(content.history.epochs.back().epoch));
  return content.history;
}

void Checkpoint::save(const model::IterativePredictor& predictor,
                      const TrainingHistory& history) const {
  if (directory_.empty()) return;
  make_directories(directory_);
  const std::string name = state_name(history.epochs.back().epoch);
  predictor.save_training_state(directory_ / name);
  Json json = {{"format_version", kFormatVersion},
               {"run_fingerprint", run_fingerprint_},
               {"best_epoch", history.best_epoch},
               {"epochs", Json::array()}};
  for (const EpochRecord& record : history.epochs) json["epochs"].push_back(to_json(record));
  write_file_atomically(directory_ / kFileName, json.dump(1) + "\n");
  remove_other_states(directory_, name);
}

}  // namespace mmra::training
