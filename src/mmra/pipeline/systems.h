#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/model/predictor.h"

namespace mmra::pipeline {

struct TrainRequest;

/// What learns, by the way it learns: epoch by epoch, or from all rows at once.
using Learner = std::variant<std::unique_ptr<model::IterativePredictor>,
                             std::unique_ptr<model::FittedPredictor>>;

/// One way to predict popularity, as `train --model` and a model directory name it. Training,
/// evaluation and prediction know systems only through this. A further one is a row of the table in
/// systems.cpp; if it is a network, its configuration stands beside MmraConfig in TrainRequest and
/// its export in model/neural_abi.h.
class System {
 public:
  System() = default;
  System(const System&) = delete;
  System& operator=(const System&) = delete;
  virtual ~System() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  /// One line for --help.
  [[nodiscard]] virtual std::string_view summary() const = 0;

  /// Fills in what the bank decides: dimensions and the statistics of the train labels (log2).
  virtual void take_from_bank(TrainRequest& request, const bank::BankSchema& schema,
                              const std::vector<float>& train_labels) const = 0;
  /// What of the bank's records it looks at. With details it retrieves by itself from the whole
  /// bank, not from the k instances alone.
  [[nodiscard]] virtual bank::FeatureColumns feature_columns() const { return {}; }
  [[nodiscard]] virtual int num_instances(const TrainRequest& request) const = 0;
  [[nodiscard]] virtual std::uint64_t seed(const TrainRequest& request) const = 0;
  /// Whether `make` gives an IterativePredictor: settings of epochs are for it.
  [[nodiscard]] virtual bool learns_in_epochs() const { return false; }
  /// Whether two seeds give two models.
  [[nodiscard]] virtual bool depends_on_seed() const { return true; }
  /// The configuration as text: what identifies a run.
  [[nodiscard]] virtual std::string config_text(const TrainRequest& request) const = 0;

  /// Untrained. Throws Error{kInvalidInput} naming the setting that is not allowed.
  [[nodiscard]] virtual Learner make(const TrainRequest& request) const = 0;
  /// As saved by Predictor::save. Throws Error{kNotFound|kCorruptData} naming the file.
  [[nodiscard]] virtual std::unique_ptr<model::Predictor> load(
      const std::filesystem::path& model_directory, int num_threads) const = 0;
  /// The scale of the softmax that weighs the instances in predictions of the model saved there;
  /// nothing where predictions do not depend on instances.
  [[nodiscard]] virtual std::optional<double> similarity_scale(
      const std::filesystem::path& model_directory) const = 0;
  /// Whether what the model saved there says of a row is the same whatever else is in its batch.
  [[nodiscard]] virtual bool rows_are_independent(
      const std::filesystem::path& /*model_directory*/) const {
    return true;
  }
};

/// All of them, `mmra` first.
[[nodiscard]] std::span<const System* const> all_systems();
/// "mmra, mean, …"
[[nodiscard]] std::string names_of_systems();
/// Throws Error{kInvalidInput} with the names that there are.
[[nodiscard]] const System& find_system(std::string_view name);
/// The same for a name that a model directory gives: Error{kUnsupported} naming the directory.
[[nodiscard]] const System& system_of_model(std::string_view name,
                                            const std::filesystem::path& model_directory);

}  // namespace mmra::pipeline
