#include "mmra/model/neural/mmra_predictor.h"

namespace mmra::model::neural {
namespace {

NetworkSettings settings_of(const MmraConfig& config) {
  NetworkSettings settings;
  settings.batch = {config.visual_dim, config.text_dim, !config.without.retrieval};
  settings.label_mean = config.label_mean;
  settings.label_std = config.label_std;
  settings.precision = config.precision;
  settings.adam.learning_rate = config.learning_rate;
  settings.adam.weight_decay = config.weight_decay;
  settings.adam.gradient_clip = config.gradient_clip;
  settings.adam.ema_decay = config.ema_decay;
  settings.weights_format = "mmra-model-1";
  settings.save_config = [config](const std::filesystem::path& file) { save_config(config, file); };
  return settings;
}

}  // namespace

MmraPredictor::MmraPredictor(const MmraConfig& config, int num_threads)
    : NetworkPredictor([config] { return make_network(config, at::kFloat); }, settings_of(config),
                       num_threads) {}

MmraPredictor::MmraPredictor(const std::filesystem::path& directory, int num_threads)
    : MmraPredictor(load_config(directory / "config.json"), directory, num_threads) {}

MmraPredictor::MmraPredictor(const MmraConfig& config, const std::filesystem::path& directory,
                             int num_threads)
    : NetworkPredictor([config] { return make_network(config, at::kFloat); }, settings_of(config),
                       directory, num_threads) {}

}  // namespace mmra::model::neural
