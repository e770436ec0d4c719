#include "mmra/model/neural/baselines/baseline_predictor.h"

#include <string>

#include "mmra/model/neural/baselines/cban.h"
#include "mmra/model/neural/baselines/clstm.h"
#include "mmra/model/neural/baselines/tmall.h"
#include "mmra/model/neural/baselines/variational.h"

namespace mmra::model::neural {
namespace {

NetworkSettings settings_of(const NeuralBaselineConfig& config) {
  NetworkSettings settings;
  settings.batch = {config.visual_dim, config.text_dim, /*instances=*/false};
  settings.label_mean = config.label_mean;
  settings.label_std = config.label_std;
  settings.precision = config.precision;
  settings.adam.learning_rate = config.learning_rate;
  settings.adam.weight_decay = config.weight_decay;
  settings.adam.gradient_clip = config.gradient_clip;
  settings.adam.ema_decay = config.ema_decay;
  settings.weights_format = "mmra-" + std::string(name_of(config.kind)) + "-1";
  settings.save_config = [config](const std::filesystem::path& file) { save_config(config, file); };
  return settings;
}

}  // namespace

std::unique_ptr<Network> make_baseline_network(const NeuralBaselineConfig& config,
                                               at::ScalarType dtype) {
  validate_config(config);
  switch (config.kind) {
    case NeuralBaseline::kClstm:
      return std::make_unique<ClstmNetwork>(config, dtype);
    case NeuralBaseline::kTmall:
      return std::make_unique<TmallNetwork>(config, dtype);
    case NeuralBaseline::kCban:
      if (config.variant == Variant::kReleased) {
        return std::make_unique<ReleasedCbanNetwork>(config, dtype);
      }
      return std::make_unique<CbanNetwork>(config, dtype);
    case NeuralBaseline::kMassl:
    case NeuralBaseline::kHmmved:
      break;
  }
  return std::make_unique<VariationalNetwork>(config, dtype);
}

BaselinePredictor::BaselinePredictor(const NeuralBaselineConfig& config, int num_threads)
    : NetworkPredictor([config] { return make_baseline_network(config, at::kFloat); },
                       settings_of(config), num_threads) {}

BaselinePredictor::BaselinePredictor(const std::filesystem::path& directory, int num_threads)
    : BaselinePredictor(load_neural_baseline_config(directory / "config.json"), directory,
                        num_threads) {}

BaselinePredictor::BaselinePredictor(const NeuralBaselineConfig& config,
                                     const std::filesystem::path& directory, int num_threads)
    : NetworkPredictor([config] { return make_baseline_network(config, at::kFloat); },
                       settings_of(config), directory, num_threads) {}

}  // namespace mmra::model::neural
