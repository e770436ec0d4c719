#include "mmra/baselines/ridge.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <limits>
#include <utility>

#include "mmra/baselines/labels.h"
#include "mmra/core/error.h"

namespace mmra::baselines {
namespace {

using FloatRows =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

constexpr double kLambdas[] = {1e-1, 1.0, 1e1, 3e1, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 1e6, 1e7};
constexpr Eigen::Index kBlockRows = 1024;  // doubles of a block, not of the whole matrix
constexpr char kFileName[] = "model.safetensors";

/// XᵀX and Xᵀ(y − ȳ): all that the fit needs, in double.
struct NormalEquations {
  Eigen::MatrixXd gram;  ///< its lower triangle
  Eigen::VectorXd moment;
};

NormalEquations normal_equations(const FeatureMatrix& matrix, const std::vector<float>& targets) {
  const auto rows = static_cast<Eigen::Index>(matrix.num_rows);
  const auto width = static_cast<Eigen::Index>(matrix.width);
  const FloatRows x(matrix.values.data(), rows, width);
  const Eigen::Map<const Eigen::VectorXf> y(targets.data(), rows);
  const double mean = mean_of(targets);
  NormalEquations equations{Eigen::MatrixXd::Zero(width, width), Eigen::VectorXd::Zero(width)};
  for (Eigen::Index begin = 0; begin < rows; begin += kBlockRows) {
    const Eigen::Index size = std::min(kBlockRows, rows - begin);
    const Eigen::MatrixXd block = x.middleRows(begin, size).cast<double>().transpose();
    equations.gram.selfadjointView<Eigen::Lower>().rankUpdate(block);
    equations.moment += block * (y.segment(begin, size).cast<double>().array() - mean).matrix();
  }
  return equations;
}

std::vector<float> solve(const NormalEquations& equations, double lambda) {
  Eigen::MatrixXd penalised = equations.gram;
  penalised.diagonal().array() += lambda;
  const Eigen::LDLT<Eigen::MatrixXd, Eigen::Lower> factors(penalised);
  const Eigen::VectorXd weight = factors.solve(equations.moment);
  if (factors.info() != Eigen::Success || !weight.allFinite()) {
    throw Error(ErrorKind::kInternal,
                "the normal equations of ridge have no solution at lambda " + readable(lambda));
  }
  std::vector<float> values(static_cast<std::size_t>(weight.size()));
  Eigen::Map<Eigen::VectorXf>(values.data(), weight.size()) = weight.cast<float>();
  return values;
}

/// Each row by itself, so that a prediction does not depend on its batch.
std::vector<float> linear(const FeatureMatrix& matrix, const std::vector<float>& weight,
                          double bias) {
  std::vector<float> values;
  for (std::size_t i = 0; i < matrix.num_rows; ++i) {
    const auto row = matrix.row(i);
    double sum = bias;
    for (std::size_t j = 0; j < row.size(); ++j) {
      sum += static_cast<double>(row[j]) * static_cast<double>(weight[j]);
    }
    values.push_back(static_cast<float>(sum));
  }
  return values;
}

}  // namespace

Ridge::Ridge(BaselineConfig config, const std::filesystem::path& directory)
    : config_(std::move(config)) {
  const SafetensorsFile file(directory / kFileName);
  const std::size_t width = pooled_width(config_);
  scaler_ = Scaler::read(file, width);
  weight_ = read_floats(file, "weight", width);
}

void Ridge::fit(const model::LabelledBatch& train, const model::LabelledBatch& stop,
                const std::stop_token& stop_token, ProgressSink& progress) {
  check_labelled(train);
  check_labelled(stop);
  FeatureMatrix rows = pooled_features(train.batch, config_);
  scaler_ = Scaler::fit(rows);
  scaler_.apply(rows);
  FeatureMatrix stop_rows = pooled_features(stop.batch, config_);
  scaler_.apply(stop_rows);
  config_.label_mean = mean_of(train.targets);
  num_stop_rows_ = stop.targets.size();

  progress.begin("fitting", static_cast<std::int64_t>(std::size(kLambdas)));
  const NormalEquations equations = normal_equations(rows, train.targets);
  double smallest = std::numeric_limits<double>::infinity();
  for (const double lambda : kLambdas) {
    if (stop_token.stop_requested()) throw Interrupted();
    std::vector<float> weight = solve(equations, lambda);
    const double error =
        mean_squared_error(linear(stop_rows, weight, config_.label_mean), stop.targets);
    if (error < smallest) {
      smallest = error;
      config_.lambda = lambda;
      weight_ = std::move(weight);
    }
    progress.advance(1);
  }
  progress.end();
}

std::string Ridge::describe_fit() const {
  return "lambda " + readable(config_.lambda) + ", chosen on " + std::to_string(num_stop_rows_) +
         " validation rows";
}

std::vector<float> Ridge::predict(const model::Batch& batch) {
  FeatureMatrix rows = pooled_features(batch, config_);
  scaler_.apply(rows);
  return linear(rows, weight_, config_.label_mean);
}

void Ridge::save(const std::filesystem::path& directory) const {
  std::vector<NamedTensor> tensors;
  scaler_.append_to(tensors);
  tensors.push_back(float_tensor("weight", weight_));
  write_safetensors(directory / kFileName, tensors, {{"format", "mmra-ridge-1"}});
  save_config(config_, directory / "config.json");
}

std::vector<float> ridge_weights(const FeatureMatrix& standardised,
                                 const std::vector<float>& targets, double lambda) {
  return solve(normal_equations(standardised, targets), lambda);
}

}  // namespace mmra::baselines
