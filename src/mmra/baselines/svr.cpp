#include "mmra/baselines/svr.h"

#include "mmra/baselines/labels.h"
#include "mmra/baselines/svm_training.h"
#include "mmra/core/files.h"
#include "mmra/core/threads.h"

namespace mmra::baselines {
namespace {

constexpr char kScalerFile[] = "scaler.safetensors";
constexpr char kModelFile[] = "model.svm";

}  // namespace

Svr::Svr(BaselineConfig config, const std::filesystem::path& directory, int num_threads)
    : config_(std::move(config)), num_threads_(num_threads) {
  const std::size_t width = pooled_width(config_);
  scaler_ = Scaler::read(SafetensorsFile(directory / kScalerFile), width);
  const std::filesystem::path file = directory / kModelFile;
  svm_file_ = read_file(file);
  vectors_ = parse_svm_file(svm_file_, width, file.string());
}

void Svr::fit(const model::LabelledBatch& train, const model::LabelledBatch& /*stop*/,
              const std::stop_token& stop_token, ProgressSink& progress) {
  check_labelled(train);
  FeatureMatrix rows = pooled_features(train.batch, config_);
  scaler_ = Scaler::fit(rows);
  scaler_.apply(rows);
  config_.label_mean = mean_of(train.targets);
  config_.svr.gamma = gamma_scale(rows);
  num_train_rows_ = rows.num_rows;
  progress.begin("fitting the support vectors", std::nullopt);
  svm_file_ = train_svr(rows, train.targets, config_.svr, stop_token);
  vectors_ = parse_svm_file(svm_file_, rows.width, "libsvm's model");
  progress.end();
}

std::string Svr::describe_fit() const {
  return std::to_string(vectors_.size()) + " of " + std::to_string(num_train_rows_) +
         " rows are support vectors; C " + readable(config_.svr.c) + ", epsilon " +
         readable(config_.svr.epsilon) + ", gamma " + readable(config_.svr.gamma);
}

std::vector<float> Svr::predict(const model::Batch& batch) {
  FeatureMatrix rows = pooled_features(batch, config_);
  scaler_.apply(rows);
  std::vector<float> values(rows.num_rows);
  parallel_for(rows.num_rows, 1, num_threads_, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      values[i] = static_cast<float>(vectors_.evaluate(rows.row(i)));
    }
  });
  return values;
}

void Svr::save(const std::filesystem::path& directory) const {
  std::vector<NamedTensor> tensors;
  scaler_.append_to(tensors);
  write_safetensors(directory / kScalerFile, tensors, {{"format", "mmra-scaler-1"}});
  write_file_atomically(directory / kModelFile, svm_file_);
  save_config(config_, directory / "config.json");
}

}  // namespace mmra::baselines
