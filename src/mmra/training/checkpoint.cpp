#include "mmra/training/checkpoint.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/scratch_directory.h"
#include "mmra/model/strict_reader.h"

namespace mmra::training {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using model::StrictReader;

constexpr int kFormatVersion = 1;
constexpr char kFileName[] = "checkpoint.json";
constexpr char kStatePrefix[] = "state-";

std::string state_name(int epoch) { return kStatePrefix + std::to_string(epoch) + ".safetensors"; }

Json to_json(const EpochRecord& record) {
  return {{"epoch", record.epoch},         {"train_loss", record.train_loss},
          {"stop_nmse", record.stop_nmse}, {"stop_mae", record.stop_mae},
          {"stop_src", record.stop_src},   {"seconds", record.seconds}};
}

std::string advice_for(const fs::path& directory) {
  return "remove " + directory.string() + " to begin again";
}

EpochRecord read_epoch(StrictReader reader) {
  // JSON has no NaN: null stands for it (dump() writes it so by itself).
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  EpochRecord record;
  reader.read("epoch", record.epoch);
  reader.read_number_or_null("train_loss", kNaN, record.train_loss);
  reader.read_number_or_null("stop_nmse", kNaN, record.stop_nmse);
  reader.read_number_or_null("stop_mae", kNaN, record.stop_mae);
  reader.read_number_or_null("stop_src", kNaN, record.stop_src);
  reader.read_number_or_null("seconds", kNaN, record.seconds);
  return record;
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

std::string checkpoint_to_json(const CheckpointFile& checkpoint) {
  Json json = {{"format_version", kFormatVersion},
               {"run_fingerprint", checkpoint.run_fingerprint},
               {"best_epoch", checkpoint.history.best_epoch},
               {"epochs", Json::array()}};
  for (const EpochRecord& record : checkpoint.history.epochs) {
    json["epochs"].push_back(to_json(record));
  }
  return json.dump(1) + "\n";
}

CheckpointFile checkpoint_from_json(std::string_view text, const fs::path& directory) {
  const std::string origin = (directory / kFileName).string();
  const std::string advice = advice_for(directory);
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  StrictReader reader(json, origin, advice);
  int version = 0;
  reader.read("format_version", version);
  if (version != kFormatVersion) {
    throw Error(ErrorKind::kUnsupported, origin + " has the format version " +
                                             std::to_string(version) + ", this program reads " +
                                             std::to_string(kFormatVersion) + "; " + advice);
  }
  CheckpointFile checkpoint;
  reader.read("run_fingerprint", checkpoint.run_fingerprint);
  reader.read("best_epoch", checkpoint.history.best_epoch);
  const Json& epochs = reader.take("epochs");
  if (!epochs.is_array()) reader.fail("has no list under \"epochs\"");
  for (const Json& epoch : epochs) {
    checkpoint.history.epochs.push_back(
        read_epoch(StrictReader(epoch, origin + ", under \"epochs\",", advice)));
  }
  if (!is_whole(checkpoint.history)) reader.fail("has epochs that are not 1, 2, 3 and so on");
  return checkpoint;
}

Checkpoint::Checkpoint(fs::path directory, std::string run_fingerprint)
    : directory_(std::move(directory)), run_fingerprint_(std::move(run_fingerprint)) {}

bool Checkpoint::exists() const {
  std::error_code code;
  return !directory_.empty() && fs::exists(directory_ / kFileName, code);
}

TrainingHistory Checkpoint::load(model::IterativePredictor& predictor) const {
  CheckpointFile checkpoint = checkpoint_from_json(read_file(directory_ / kFileName), directory_);
  if (checkpoint.run_fingerprint != run_fingerprint_) {
    throw Error(ErrorKind::kInvalidInput, "the checkpoint in " + directory_.string() +
                                              " is of a run with other data, flags or encoders (" +
                                              checkpoint.run_fingerprint + ", expected " +
                                              run_fingerprint_ + "); resume with the same; " +
                                              advice_for(directory_));
  }
  predictor.load_training_state(directory_ / state_name(checkpoint.history.epochs.back().epoch));
  return std::move(checkpoint.history);
}

std::optional<TrainingHistory> Checkpoint::load_on_all(model::IterativePredictor& predictor,
                                                       distributed::Communicator& ranks) const {
  std::optional<TrainingHistory> history;
  std::string text;
  std::string state;
  if (ranks.is_first() && exists()) {
    history = load(predictor);
    text = checkpoint_to_json({run_fingerprint_, *history});
    state = read_file(directory_ / state_name(history->epochs.back().epoch));
  }
  ranks.broadcast(text, 0);
  if (text.empty()) return std::nullopt;
  ranks.broadcast(state, 0);
  if (!ranks.is_first()) {
    const ScratchDirectory scratch("state");  // the predictor reads a file
    write_file_atomically(scratch.path() / "state", state);
    predictor.load_training_state(scratch.path() / "state");
    history = checkpoint_from_json(text, directory_).history;
  }
  return history;
}

void Checkpoint::save(const model::IterativePredictor& predictor,
                      const TrainingHistory& history) const {
  if (directory_.empty()) return;
  make_directories(directory_);
  const std::string name = state_name(history.epochs.back().epoch);
  predictor.save_training_state(directory_ / name);
  write_file_atomically(directory_ / kFileName, checkpoint_to_json({run_fingerprint_, history}));
  remove_other_states(directory_, name);
}

}  // namespace mmra::training
