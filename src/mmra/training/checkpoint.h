#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "mmra/model/predictor.h"
#include "mmra/training/trainer.h"

namespace mmra::training {

/// What checkpoint.json says.
struct CheckpointFile {
  std::string run_fingerprint;
  TrainingHistory history;  ///< whole
};
[[nodiscard]] std::string checkpoint_to_json(const CheckpointFile& checkpoint);
/// `directory` is that of the file, for messages. Throws Error{kCorruptData|kUnsupported}.
[[nodiscard]] CheckpointFile checkpoint_from_json(std::string_view text,
                                                  const std::filesystem::path& directory);

/// A run's last finished epoch in a directory (docs/formats/checkpoint.md): checkpoint.json with
/// the history and the name of the state file it belongs to, and that file. The state is written
/// first under a name of its own, then checkpoint.json replaces its predecessor, so that the two
/// always belong together.
class Checkpoint {
 public:
  /// An empty `directory` keeps nothing.
  Checkpoint(std::filesystem::path directory, std::string run_fingerprint);

  /// Loads the state into `predictor` and gives the history. Throws Error{kInvalidInput} where the
  /// checkpoint belongs to another run, {kCorruptData} where it is damaged.
  [[nodiscard]] TrainingHistory load(model::IterativePredictor& predictor) const;
  [[nodiscard]] bool exists() const;
  /// load() on all ranks of what rank 0 has; nothing where it has no checkpoint. The others need
  /// not see its files.
  [[nodiscard]] std::optional<TrainingHistory> load_on_all(model::IterativePredictor& predictor,
                                                           distributed::Communicator& ranks) const;
  void save(const model::IterativePredictor& predictor, const TrainingHistory& history) const;

 private:
  std::filesystem::path directory_;
  std::string run_fingerprint_;
};

}  // namespace mmra::training
