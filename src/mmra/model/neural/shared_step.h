#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "mmra/core/precision.h"
#include "mmra/distributed/communicator.h"
#include "mmra/model/neural/linear.h"
#include "mmra/model/neural/network.h"
#include "mmra/model/predictor.h"

namespace mmra::model::neural {

using MakeNetwork = std::function<std::unique_ptr<Network>()>;

/// `rows` of a batch, with their instances.
[[nodiscard]] Batch rows_of(const Batch& batch, distributed::Share rows);

/// Means over a batch: what Network::Objective is, as numbers.
struct StepLosses {
  double total = 0.0;
  double squared_error = 0.0;
};

/// Gradients of a step whose batch is divided into micro-batches. Each is computed by one thread of
/// one rank in the same way wherever that is: its rows, the random numbers it draws and the kernels
/// it calls depend on the number of micro-batches alone. Their gradients, floats, are added in
/// double, where sums of floats of like size are exact. So a step gives the same bits on any number
/// of threads and ranks (as long as a thread has a micro-batch for itself: more threads divide its
/// products).
class SharedStep {
 public:
  /// How its products are computed; `rounded` must outlive it.
  struct Products {
    Precision precision = Precision::kFloat32;
    const RoundedWeights* rounded = nullptr;
  };

  /// For the weights of `network`, which must outlive this; `make` gives others of its kind, whose
  /// weights are then those of `network`. `ranks` may be null: one process alone; else each rank
  /// takes its share of the micro-batches. Throws Error{kInvalidInput} where there are fewer of
  /// them than ranks.
  SharedStep(Network& network, const MakeNetwork& make, int num_micro_batches, int num_threads,
             Products products, distributed::Communicator* ranks);

  /// Gives the weights of the network the gradients of the objective's mean over `batch`, where
  /// `wanted` are the standardised labels [B]. The gradients are to be used and dropped before the
  /// next step.
  StepLosses compute(const Batch& batch, const at::Tensor& wanted);

 private:
  [[nodiscard]] StepLosses compute_micro_batch(std::size_t index, const Batch& batch,
                                               const at::Tensor& wanted, std::uint64_t seed);
  [[nodiscard]] std::vector<StepLosses> compute_own(const Batch& batch, const at::Tensor& wanted,
                                                    std::uint64_t seed);
  /// Takes the replicas' gradients into `sums_`, and drops them.
  void add_own();
  void give_sums();

  Network& network_;
  int num_micro_batches_;
  distributed::Share own_;  ///< of the micro-batches
  int num_threads_;
  Products products_;
  distributed::Communicator* ranks_;
  std::vector<std::unique_ptr<Network>> replicas_;  ///< one for each own micro-batch
  /// The gradients, then for each weight the number of micro-batches that gave it one, then losses.
  std::vector<double> sums_;
  std::vector<float> gradients_;  ///< what the weights are given
};

}  // namespace mmra::model::neural
