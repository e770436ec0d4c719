#include "mmra/baselines/mean.h"

#include "mmra/baselines/labels.h"

namespace mmra::baselines {

void Mean::fit(const model::LabelledBatch& train, const model::LabelledBatch& /*stop*/,
               const std::stop_token& /*stop_token*/, ProgressSink& /*progress*/) {
  check_labelled(train);
  config_.label_mean = mean_of(train.targets);
}

std::string Mean::describe_fit() const {
  return "the mean of the train labels, log2: " + readable(config_.label_mean);
}

std::vector<float> Mean::predict(const model::Batch& batch) {
  std::vector<float> values(batch.query_rows.size());
  for (float& value : values) value = static_cast<float>(config_.label_mean);
  return values;
}

void Mean::save(const std::filesystem::path& directory) const {
  save_config(config_, directory / "config.json");
}

}  // namespace mmra::baselines
