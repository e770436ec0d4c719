// What training and `mmra reproduce` leave for later runs, of any bytes: training.json, history.csv
// and checkpoint.json of a model, metrics.json, and an experiment's cost and experiment.json.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/pipeline/experiment_files.h"
#include "mmra/pipeline/model_directory.h"
#include "mmra/training/checkpoint.h"
#include "mmra/training/trainer.h"
#include "outcome.h"

namespace {

using mmra::fuzz::outcome_of;
using mmra::fuzz::require;

/// What was read comes back from what is written of it.
template <typename Read, typename Write>
void check(std::string_view text, const Read& read, const Write& write, const char* finding) {
  static_cast<void>(outcome_of([&] {
    std::string written = write(read(text));
    require(write(read(written)) == written, finding);
    return written;
  }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mmra::pipeline;  // NOLINT(google-build-using-namespace)
  using namespace mmra::training;  // NOLINT(google-build-using-namespace)
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(
      text, [](std::string_view json) { return training_card_from_json(json, "f"); },
      training_card_to_json, "a training card that changes when it is written");
  check(
      text, [](std::string_view json) { return checkpoint_from_json(json, "d"); },
      checkpoint_to_json, "a checkpoint that changes when it is written");
  check(
      text, [](std::string_view csv) { return history_from_csv(csv, "f"); }, history_to_csv,
      "a history that changes when it is written");
  check(
      text, [](std::string_view json) { return cost_from_json(json, "f"); }, cost_to_json,
      "a cost that changes when it is written");
  static_cast<void>(outcome_of([&] {
    static_cast<void>(valid_metrics_from_json(text, "f"));
    return std::string();
  }));
  static_cast<void>(outcome_of([&] {
    const ExperimentIdentity identity{"/banks/b", 7, "f00d", "honest", false, 0};
    check_same_experiment(identity, experiment_to_json(identity), "d");
    check_same_experiment(identity, text, "d");
    return std::string();
  }));
  return 0;
}
