#include "mmra/model/neural/shared_step.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <future>
#include <mutex>
#include <string>

#include "mmra/core/error.h"

namespace mmra::model::neural {
namespace {

constexpr std::size_t kNumLosses = 2;

template <typename T>
void append(const std::vector<T>& from, std::size_t begin, std::size_t count, std::vector<T>& to) {
  const auto first = from.begin() + static_cast<std::ptrdiff_t>(begin);
  to.insert(to.end(), first, first + static_cast<std::ptrdiff_t>(count));
}

std::size_t num_weights(const std::vector<Parameter>& parameters) {
  std::size_t size = 0;
  for (const Parameter& parameter : parameters) {
    size += static_cast<std::size_t>(parameter.value.numel());
  }
  return size;
}

/// A network whose weights are those of `network`, in the same memory, with gradients of their own.
std::unique_ptr<Network> make_replica(const Network& network, const MakeNetwork& make) {
  std::unique_ptr<Network> replica = make();
  const std::vector<Parameter>& weights = network.parameters().all();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    at::Tensor weight = replica->parameters().all()[i].value;
    weight.set_data(weights[i].value.detach());
  }
  return replica;
}

/// All ranks draw it alike; micro-batches of a step then draw from generators of their own.
std::uint64_t draw_seed(at::Generator& generator) {
  const std::scoped_lock lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

}  // namespace

Batch rows_of(const Batch& batch, distributed::Share rows) {
  Batch part;
  part.queries = batch.queries;
  part.memory = batch.memory;
  part.k = batch.k;
  append(batch.query_rows, rows.begin, rows.count, part.query_rows);
  const std::size_t k = batch.instance_rows.size() / batch.query_rows.size();
  append(batch.instance_rows, rows.begin * k, rows.count * k, part.instance_rows);
  append(batch.similarities, rows.begin * k, rows.count * k, part.similarities);
  return part;
}

SharedStep::SharedStep(Network& network, const MakeNetwork& make, int num_micro_batches,
                       int num_threads, Products products, distributed::Communicator* ranks)
    : network_(network),
      num_micro_batches_(num_micro_batches),
      num_threads_(num_threads),
      products_(products),
      ranks_(distributed::is_alone(ranks) ? nullptr : ranks) {
  const int num_ranks = ranks_ == nullptr ? 1 : ranks_->size();
  if (num_micro_batches < num_ranks) {
    throw Error(
        ErrorKind::kInvalidInput,
        std::to_string(num_ranks) + " ranks cannot share steps of " +
            std::to_string(num_micro_batches) +
            " micro-batches: give as many (mmra train --micro-batches) or start fewer ranks");
  }
  own_ = distributed::share_of(static_cast<std::size_t>(num_micro_batches),
                               ranks_ == nullptr ? 0 : ranks_->rank(), num_ranks);
  for (std::size_t i = 0; i < own_.count; ++i) replicas_.push_back(make_replica(network, make));
  const std::vector<Parameter>& weights = network.parameters().all();
  gradients_.resize(num_weights(weights));
  sums_.resize(gradients_.size() + weights.size() + kNumLosses);
}

StepLosses SharedStep::compute_micro_batch(std::size_t index, const Batch& batch,
                                           const at::Tensor& wanted, std::uint64_t seed) {
  const std::size_t place = own_.begin + index;
  const distributed::Share rows =
      distributed::share_of(batch.query_rows.size(), static_cast<int>(place), num_micro_batches_);
  if (rows.count == 0) return {};
  const double weight =
      static_cast<double>(rows.count) / static_cast<double>(batch.query_rows.size());
  at::Generator generator = at::detail::createCPUGenerator(seed + place);
  const at::AutoGradMode with_gradients(true);
  const ProductPrecision precision(products_.precision, products_.rounded);
  const Network::Objective objective =
      replicas_[index]->objective(rows_of(batch, rows),
                                  wanted.narrow(0, static_cast<std::int64_t>(rows.begin),
                                                static_cast<std::int64_t>(rows.count)),
                                  generator);
  (objective.total * weight).backward();
  return {objective.total.item<double>() * weight, objective.squared_error.item<double>() * weight};
}

std::vector<StepLosses> SharedStep::compute_own(const Batch& batch, const at::Tensor& wanted,
                                                std::uint64_t seed) {
  std::vector<StepLosses> losses(own_.count);
  const std::size_t num_workers =
      std::min(own_.count, static_cast<std::size_t>(std::max(1, num_threads_)));
  const int threads_each = std::max(1, num_threads_ / static_cast<int>(num_workers));
  const auto work = [&](std::size_t first) {
    if (at::get_num_threads() != threads_each) at::set_num_threads(threads_each);
    for (std::size_t i = first; i < own_.count; i += num_workers) {
      losses[i] = compute_micro_batch(i, batch, wanted, seed);
    }
  };
  if (num_workers == 1) {
    work(0);
    return losses;
  }
  // Threads of their own: to change the number of threads of the caller's, and back, in each step
  // would make OpenMP start its threads anew.
  std::vector<std::future<void>> workers;
  for (std::size_t worker = 0; worker < num_workers; ++worker) {
    workers.push_back(std::async(std::launch::async, work, worker));
  }
  for (std::future<void>& worker : workers) worker.wait();
  for (std::future<void>& worker : workers) worker.get();
  return losses;
}

void SharedStep::add_own() {
  const std::vector<Parameter>& weights = network_.parameters().all();
  double* const counts = sums_.data() + gradients_.size();
  std::fill(sums_.begin(), sums_.end(), 0.0);
  for (const auto& replica : replicas_) {
    double* to = sums_.data();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      at::Tensor weight = replica->parameters().all()[i].value;
      const auto size = static_cast<std::size_t>(weight.numel());
      if (weight.grad().defined()) {
        counts[i] += 1.0;
        const at::Tensor gradient = weight.grad().contiguous();
        const auto* from = gradient.data_ptr<float>();
        for (std::size_t j = 0; j < size; ++j) to[j] += static_cast<double>(from[j]);
        weight.mutable_grad() = at::Tensor();
      }
      to += size;
    }
  }
}

void SharedStep::give_sums() {
  const std::vector<Parameter>& weights = network_.parameters().all();
  const double* const counts = sums_.data() + gradients_.size();
  for (std::size_t i = 0; i < gradients_.size(); ++i) gradients_[i] = static_cast<float>(sums_[i]);
  float* from = gradients_.data();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    at::Tensor weight = weights[i].value;
    if (counts[i] > 0.0) weight.mutable_grad() = at::from_blob(from, weight.sizes(), at::kFloat);
    from += weight.numel();
  }
}

StepLosses SharedStep::compute(const Batch& batch, const at::Tensor& wanted) {
  const std::uint64_t seed = draw_seed(network_.parameters().generator());
  const std::vector<StepLosses> losses = compute_own(batch, wanted, seed);
  add_own();
  double* const summed = sums_.data() + sums_.size() - kNumLosses;
  for (const StepLosses& each : losses) {
    summed[0] += each.total;
    summed[1] += each.squared_error;
  }
  if (ranks_ != nullptr) ranks_->all_reduce_sum(sums_);
  give_sums();
  return {summed[0], summed[1]};
}

}  // namespace mmra::model::neural
