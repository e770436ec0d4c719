#include <string>

#include "mmra/model/neural/baselines/baseline_predictor.h"
#include "mmra/model/neural/mmra_predictor.h"
#include "mmra/model/neural_abi.h"

// See neural_abi.h. Everything thrown here is mmra::Error already.

extern "C" const char* mmra_neural_abi() {
  static const std::string text = mmra::model::neural_abi();
  return text.c_str();
}

extern "C" mmra::model::IterativePredictor* mmra_neural_make(const mmra::model::MmraConfig& config,
                                                             int num_threads) {
  return new mmra::model::neural::MmraPredictor(config, num_threads);
}

extern "C" mmra::model::Predictor* mmra_neural_load(const std::filesystem::path& directory,
                                                    int num_threads) {
  return new mmra::model::neural::MmraPredictor(directory, num_threads);
}

extern "C" mmra::model::IterativePredictor* mmra_neural_make_baseline(
    const mmra::model::NeuralBaselineConfig& config, int num_threads) {
  return new mmra::model::neural::BaselinePredictor(config, num_threads);
}

extern "C" mmra::model::Predictor* mmra_neural_load_baseline(const std::filesystem::path& directory,
                                                             int num_threads) {
  return new mmra::model::neural::BaselinePredictor(directory, num_threads);
}
