#include "mmra/model/neural/shared_step.h"

#include <algorithm>

namespace mmra::model::neural {
namespace {

template <typename T>
void append(const std::vector<T>& from, std::size_t begin, std::size_t count, std::vector<T>& to) {
  const auto first = from.begin() + static_cast<std::ptrdiff_t>(begin);
  to.insert(to.end(), first, first + static_cast<std::ptrdiff_t>(count));
}

/// The gradients, 1 for each weight that has one, the losses.
std::size_t size_of_buffer(const std::vector<Parameter>& parameters, std::size_t num_losses) {
  std::size_t size = parameters.size() + num_losses;
  for (const Parameter& parameter : parameters) {
    size += static_cast<std::size_t>(parameter.value.numel());
  }
  return size;
}

}  // namespace

RowShare share_rows(std::size_t num_rows, const distributed::Communicator& communicator) {
  const distributed::Share rows =
      distributed::share_of(num_rows, communicator.rank(), communicator.size());
  if (rows.count == 0) return {{0, 1}, 0.0};
  return {rows, static_cast<double>(rows.count) / static_cast<double>(num_rows)};
}

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

void add_up_gradients(const std::vector<Parameter>& parameters, std::span<float> losses,
                      distributed::Communicator& communicator, std::vector<float>& buffer) {
  buffer.resize(size_of_buffer(parameters, losses.size()));
  float* to = buffer.data();
  float* there = buffer.data() + buffer.size() - losses.size() - parameters.size();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto size = parameters[i].value.numel();
    const at::Tensor& gradient = parameters[i].value.grad();
    there[i] = gradient.defined() ? 1.0F : 0.0F;
    if (gradient.defined()) {
      at::from_blob(to, gradient.sizes(), at::kFloat).copy_(gradient);
    } else {
      std::fill(to, to + size, 0.0F);
    }
    to += size;
  }
  std::copy(losses.begin(), losses.end(), there + parameters.size());
  communicator.all_reduce_sum(buffer);
  std::copy(there + parameters.size(), buffer.data() + buffer.size(), losses.begin());
  float* from = buffer.data();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor value = parameters[i].value;
    const auto size = value.numel();
    if (there[i] > 0.0F) value.mutable_grad() = at::from_blob(from, value.sizes(), at::kFloat);
    from += size;
  }
}

}  // namespace mmra::model::neural
