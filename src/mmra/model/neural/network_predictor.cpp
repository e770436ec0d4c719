#include "mmra/model/neural/network_predictor.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/memory.h"
#include "mmra/model/neural/error_translation.h"

namespace mmra::model::neural {
namespace {

constexpr char kConfigFile[] = "config.json";
constexpr char kWeightsFile[] = "model.safetensors";
constexpr char kStateFormat[] = "mmra-training-state-1";

/// Puts other weights into the network while it lives; exchanges storage, copies nothing.
class BorrowedWeights {
 public:
  BorrowedWeights(Network& network, const std::vector<at::Tensor>& weights) {
    if (weights.empty()) return;
    for (const Parameter& parameter : network.parameters().all()) {
      values_.push_back(parameter.value);
      own_.push_back(parameter.value.detach());
    }
    exchange(weights);
  }
  BorrowedWeights(const BorrowedWeights&) = delete;
  BorrowedWeights& operator=(const BorrowedWeights&) = delete;
  ~BorrowedWeights() { exchange(own_); }

 private:
  void exchange(const std::vector<at::Tensor>& weights) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i].set_data(weights[i]);
  }

  std::vector<at::Tensor> values_;
  std::vector<at::Tensor> own_;
};

void copy(const std::vector<at::Tensor>& from, const std::vector<at::Tensor>& to) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < from.size(); ++i) to[i].detach().copy_(from[i]);
}

}  // namespace

NetworkPredictor::NetworkPredictor(const MakeNetwork& make, NetworkSettings settings,
                                   int num_threads)
    : make_(make), settings_(std::move(settings)), num_threads_(std::max(1, num_threads)) {
  use_threads();
  keep_freed_blocks();
  translate_errors([&] {
    network_ = make_();
    optimiser_ = std::make_unique<Adam>(network_->parameters().all(), settings_.adam);
    if (settings_.precision != Precision::kBFloat16) return;
    for (const Parameter& parameter : network_->parameters().all()) rounded_.keep(parameter.value);
    optimiser_->round_into(rounded_);
  });
}

NetworkPredictor::NetworkPredictor(const MakeNetwork& make, NetworkSettings settings,
                                   const std::filesystem::path& directory, int num_threads)
    : settings_(std::move(settings)), num_threads_(std::max(1, num_threads)) {
  use_threads();
  translate_errors([&] {
    network_ = make();
    load_tensors(directory / kWeightsFile, named("", prediction_weights()),
                 settings_.weights_format);
  });
}

void NetworkPredictor::use_threads() const {
  // Asked first: setting the number makes LibTorch build a pool of (spinning) threads anew each
  // time.
  if (at::get_num_threads() != num_threads_) at::set_num_threads(num_threads_);
}

Adam& NetworkPredictor::optimiser() {
  if (!optimiser_) throw Error(ErrorKind::kInternal, "a loaded network was asked to train");
  return *optimiser_;
}

std::vector<at::Tensor> NetworkPredictor::prediction_weights() const {
  if (optimiser_ && !optimiser_->averages().empty()) return optimiser_->averages();
  return weights();
}

std::vector<at::Tensor> NetworkPredictor::weights() const {
  std::vector<at::Tensor> weights;
  for (const Parameter& parameter : network_->parameters().all()) {
    weights.push_back(parameter.value.detach());
  }
  return weights;
}

NamedTensors NetworkPredictor::named(const std::string& prefix,
                                     const std::vector<at::Tensor>& tensors) const {
  const auto& parameters = network_->parameters().all();
  NamedTensors result;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    result.emplace_back(prefix + parameters[i].name, tensors[i]);
  }
  return result;
}

std::vector<float> NetworkPredictor::predict(const Batch& batch) {
  check_batch(batch, settings_.batch);
  use_threads();
  return translate_errors([&] {
    const at::NoGradGuard no_grad;
    const BorrowedWeights averages(*network_,
                                   optimiser_ ? optimiser_->averages() : std::vector<at::Tensor>{});
    const at::Tensor output =
        (network_->forward(batch, nullptr) * settings_.label_std + settings_.label_mean)
            .to(at::kFloat)
            .contiguous();
    const auto* values = output.data_ptr<float>();
    return std::vector<float>(values, values + output.numel());
  });
}

double NetworkPredictor::train_step(const Batch& batch, const std::vector<float>& targets) {
  check_batch(batch, settings_.batch);
  if (targets.size() != batch.query_rows.size()) {
    throw Error(ErrorKind::kInvalidInput,
                "a training step on " + std::to_string(batch.query_rows.size()) +
                    " rows was given " + std::to_string(targets.size()) + " targets");
  }
  Adam& adam = optimiser();
  use_threads();
  return translate_errors([&] {
    if (std::exchange(rounded_is_stale_, false)) rounded_.round();
    const at::Tensor wanted =
        (at::tensor(targets, at::kFloat) - settings_.label_mean) / settings_.label_std;
    const StepLosses losses =
        shared_step_ ? shared_step_->compute(batch, wanted) : compute_whole(batch, wanted);
    require_finite(losses.squared_error);
    require_finite(losses.total);
    adam.step();
    return losses.squared_error * settings_.label_std * settings_.label_std;
  });
}

void NetworkPredictor::require_finite(double loss) const {
  if (std::isfinite(loss)) return;
  throw Error(ErrorKind::kInvalidInput,
              "training diverged at step " + std::to_string(optimiser_->num_steps() + 1) +
                  ": the loss is not finite; lower the learning rate or check the labels");
}

StepLosses NetworkPredictor::compute_whole(const Batch& batch, const at::Tensor& wanted) {
  const at::AutoGradMode with_gradients(true);
  const ProductPrecision precision(settings_.precision, &rounded_);
  const Network::Objective objective =
      network_->objective(batch, wanted, network_->parameters().generator());
  objective.total.backward();
  return {objective.total.item<double>(), objective.squared_error.item<double>()};
}

void NetworkPredictor::divide_steps(int num_micro_batches, distributed::Communicator* ranks) {
  if (network_->rows_are_independent()) {
    if (num_micro_batches == 1 && distributed::is_alone(ranks)) return;
    translate_errors([&] {
      shared_step_ =
          std::make_unique<SharedStep>(*network_, make_, num_micro_batches, num_threads_,
                                       SharedStep::Products{settings_.precision, &rounded_}, ranks);
    });
  } else if (!distributed::is_alone(ranks)) {
    throw Error(ErrorKind::kUnsupported,
                "this model compares the rows of a batch with each other, so that a step cannot be "
                "divided; train it in one process, without mpirun");
  }
}

void NetworkPredictor::see_unlabelled(const bank::FeatureTable& features,
                                      std::vector<std::int32_t> rows) {
  network_->see_unlabelled(features, std::move(rows));
}

void NetworkPredictor::save(const std::filesystem::path& directory) const {
  translate_errors([&] {
    make_directories(directory);
    save_tensors(directory / kWeightsFile, named("", prediction_weights()),
                 {{"format", settings_.weights_format}});
    settings_.save_config(directory / kConfigFile);
  });
}

void NetworkPredictor::save_training_state(const std::filesystem::path& file) const {
  translate_errors([&] {
    if (!optimiser_) throw Error(ErrorKind::kInternal, "a loaded network has no training state");
    NamedTensors state = named("weights.", weights());
    const auto append = [&](const NamedTensors& more) {
      state.insert(state.end(), more.begin(), more.end());
    };
    append(named("first_moment.", optimiser_->first_moments()));
    append(named("second_moment.", optimiser_->second_moments()));
    append(named("average.", optimiser_->averages()));
    append(named("best.", best_.empty() ? prediction_weights() : best_));
    state.emplace_back("steps", at::tensor(at::ArrayRef<std::int64_t>(optimiser_->steps())));
    state.emplace_back("num_steps", at::tensor({optimiser_->num_steps()}, at::kLong));
    state.emplace_back("generator", network_->parameters().generator().get_state());
    save_tensors(file, state, {{"format", kStateFormat}});
  });
}

void NetworkPredictor::load_training_state(const std::filesystem::path& file) {
  translate_errors([&] {
    Adam& adam = optimiser();
    const std::vector<at::Tensor> present = weights();
    std::vector<at::Tensor> best;
    for (const at::Tensor& weight : present) best.push_back(at::empty_like(weight));
    const at::Tensor steps = at::empty({static_cast<std::int64_t>(present.size())}, at::kLong);
    const at::Tensor num_steps = at::empty({1}, at::kLong);
    at::Tensor generator = at::empty_like(network_->parameters().generator().get_state());
    NamedTensors state = named("weights.", present);
    const auto append = [&](const NamedTensors& more) {
      state.insert(state.end(), more.begin(), more.end());
    };
    append(named("first_moment.", adam.first_moments()));
    append(named("second_moment.", adam.second_moments()));
    append(named("average.", adam.averages()));
    append(named("best.", best));
    state.emplace_back("steps", steps);
    state.emplace_back("num_steps", num_steps);
    state.emplace_back("generator", generator);
    load_tensors(file, state, kStateFormat);
    rounded_is_stale_ = true;
    best_ = std::move(best);
    const auto* counts = steps.data_ptr<std::int64_t>();
    adam.steps().assign(counts, counts + steps.numel());
    adam.set_num_steps(num_steps.item<std::int64_t>());
    network_->parameters().generator().set_state(generator);
  });
}

void NetworkPredictor::keep_best() {
  translate_errors([&] {
    best_.clear();
    for (const at::Tensor& weight : prediction_weights()) best_.push_back(weight.clone());
  });
}

void NetworkPredictor::restore_best() {
  translate_errors([&] {
    if (best_.empty()) return;
    copy(best_, weights());
    rounded_is_stale_ = true;
    if (optimiser_ && !optimiser_->averages().empty()) copy(best_, optimiser_->averages());
  });
}

}  // namespace mmra::model::neural
