#pragma once

#include <span>
#include <vector>

#include "mmra/distributed/communicator.h"
#include "mmra/model/neural/parameter_set.h"
#include "mmra/model/predictor.h"

namespace mmra::model::neural {

/// The rows of a batch that a rank computes, and what their mean weighs in the mean over all rows.
/// A batch of fewer rows than ranks: the ranks without one compute the first row, which weighs
/// nothing, so that they draw what the others draw.
struct RowShare {
  distributed::Share rows;
  double weight = 0.0;
};
[[nodiscard]] RowShare share_rows(std::size_t num_rows,
                                  const distributed::Communicator& communicator);

/// `rows` of a batch, with their instances.
[[nodiscard]] Batch rows_of(const Batch& batch, distributed::Share rows);

/// Adds up the gradients of `parameters` and the `losses` over all ranks in one message; a weight
/// has a gradient afterwards where it had one on any rank. Gradients then lie in `buffer`, which is
/// kept from step to step: they are to be used and dropped before the next.
void add_up_gradients(const std::vector<Parameter>& parameters, std::span<float> losses,
                      distributed::Communicator& communicator, std::vector<float>& buffer);

}  // namespace mmra::model::neural
