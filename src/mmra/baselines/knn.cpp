#include "mmra/baselines/knn.h"

#include <cmath>
#include <limits>

#include "mmra/baselines/labels.h"
#include "mmra/model/instance_weights.h"

namespace mmra::baselines {
namespace {

/// 0 is the plain mean; at 128 the most similar instance decides alone.
constexpr double kScales[] = {0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0};

}  // namespace

void Knn::fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
              const std::stop_token& /*stop_token*/, ProgressSink& /*progress*/) {
  check_labelled(train);
  check_labelled(stop);
  config_.label_mean = mean_of(train.targets);
  double smallest = std::numeric_limits<double>::infinity();
  for (const double scale : kScales) {
    const double error = mean_squared_error(predict_with(stop.batch, scale), stop.targets);
    if (error >= smallest) continue;
    smallest = error;
    config_.similarity_scale = scale;
  }
}

std::string Knn::describe_fit() const {
  return "weights of the " + std::to_string(config_.k) + " instances: softmax(" +
         readable(config_.similarity_scale) + " · similarity), chosen on validation rows";
}

std::vector<float> Knn::predict(const model::Batch& batch) {
  return predict_with(batch, config_.similarity_scale);
}

std::vector<float> Knn::predict_with(const model::Batch& batch, double scale) const {
  const std::vector<double> weights =
      model::instance_weights(batch.instance_rows, batch.similarities, batch.k, scale);
  const auto k = static_cast<std::size_t>(batch.k);
  std::vector<float> values;
  for (std::size_t i = 0; i < batch.query_rows.size(); ++i) {
    double sum = 0.0;
    double total = 0.0;
    for (std::size_t j = i * k; j < (i + 1) * k; ++j) {
      if (batch.instance_rows[j] < 0) continue;
      const auto row = static_cast<std::size_t>(batch.instance_rows[j]);
      sum += weights[j] * static_cast<double>(batch.memory->log2_popularity(row));
      total += weights[j];
    }
    values.push_back(static_cast<float>(total > 0.0 ? sum / total : config_.label_mean));
  }
  return values;
}

void Knn::save(const std::filesystem::path& directory) const {
  save_config(config_, directory / "config.json");
}

}  // namespace mmra::baselines
