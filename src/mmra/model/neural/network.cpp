#include "mmra/model/neural/network.h"

#include <string>

#include "mmra/core/error.h"
#include "mmra/model/neural/paper_network.h"
#include "mmra/model/neural/released_network.h"

namespace mmra::model::neural {
namespace {

void check_table(const bank::FeatureTable& table, const BatchShape& shape, const char* which) {
  const auto check = [&](const char* modality, int actual, int expected) {
    if (actual == expected) return;
    throw Error(ErrorKind::kInvalidInput,
                std::string("the network was made for ") + modality + " features of " +
                    std::to_string(expected) + " dimensions, the " + which + " have " +
                    std::to_string(actual) + "; use the bank's own encoders");
  };
  check("visual", table.visual_dim(), shape.visual_dim);
  check("text", table.text_dim(), shape.text_dim);
}

void check_row(std::int32_t row, const bank::FeatureTable& table, const char* which) {
  if (row < 0 || static_cast<std::size_t>(row) >= table.num_rows()) {
    throw Error(ErrorKind::kInvalidInput,
                std::string("the batch names row ") + std::to_string(row) + " of the " + which +
                    ", which have " + std::to_string(table.num_rows()) + " rows");
  }
}

}  // namespace

Network::Objective Network::objective(const Batch& batch, const at::Tensor& wanted,
                                      const Draws& draws) const {
  const at::Tensor squared_error = (forward(batch, draws) - wanted).square().mean();
  return {squared_error, squared_error};
}

std::unique_ptr<Network> make_network(const MmraConfig& config, at::ScalarType dtype) {
  validate_config(config);
  if (config.variant == Variant::kReleased) return std::make_unique<ReleasedNetwork>(config, dtype);
  return std::make_unique<PaperNetwork>(config, dtype);
}

void check_batch(const Batch& batch, const BatchShape& shape) {
  if (batch.queries == nullptr || batch.query_rows.empty()) {
    throw Error(ErrorKind::kInvalidInput, "a batch needs a table of features and at least one row");
  }
  check_table(*batch.queries, shape, "queries");
  for (const std::int32_t row : batch.query_rows) check_row(row, *batch.queries, "queries");
  if (!shape.instances) return;
  const std::size_t expected =
      batch.query_rows.size() * static_cast<std::size_t>(std::max(batch.k, 0));
  if (batch.memory == nullptr || batch.k < 1 || batch.instance_rows.size() != expected ||
      batch.similarities.size() != expected) {
    throw Error(ErrorKind::kInvalidInput, "a batch of " + std::to_string(batch.query_rows.size()) +
                                              " queries with k = " + std::to_string(batch.k) +
                                              " needs as many instances and similarities, got " +
                                              std::to_string(batch.instance_rows.size()) + " and " +
                                              std::to_string(batch.similarities.size()));
  }
  check_table(*batch.memory, shape, "instances");
  for (const std::int32_t row : batch.instance_rows) {
    if (row >= 0) check_row(row, *batch.memory, "instances");
  }
}

}  // namespace mmra::model::neural
