#include "mmra/model/neural/baselines/tmall.h"

#include <algorithm>
#include <utility>

#include "mmra/model/neural/baselines/layers.h"

namespace mmra::model::neural {
namespace {

/// [n × d] to [n × n].
at::Tensor squared_distances(const at::Tensor& x) {
  const at::Tensor squares = x.square().sum(1);
  const at::Tensor distances = squares.unsqueeze(0) + squares.unsqueeze(1) - 2.0 * at::mm(x, x.t());
  return distances.clamp_min(0.0);
}

at::Tensor gram(const at::Tensor& x, std::int64_t size) {
  const at::Tensor part = x.narrow(1, 0, size);
  return at::mm(part.t(), part);
}

}  // namespace

at::Tensor scaled_laplacian(const at::Tensor& x) {
  const std::int64_t n = x.size(0);
  const at::Tensor distances = squared_distances(x);
  const at::Tensor apart = at::eye(n, at::kBool).logical_not();
  const double median = distances.detach().masked_select(apart).median().item<double>();
  // Rows that are all alike are one cloud, whatever its width.
  const at::Tensor edges = at::exp(distances * (-1.0 / (median > 0.0 ? median : 1.0)));
  const at::Tensor root = edges.sum(1).rsqrt();
  const at::Tensor laplacian =
      at::eye(n, x.options().requires_grad(false)) - root.unsqueeze(1) * edges * root.unsqueeze(0);
  return laplacian / laplacian.trace();
}

TmallNetwork::TmallNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype)
    : Network(ParameterSet(dtype, config.seed)), config_(config) {
  std::int64_t size = 0;
  if (config.has_visual()) size += config.visual_dim;
  if (config.has_text()) size += config.text_dim;
  const bool released = config.variant == Variant::kReleased;
  shared_matrix_ = released ? parameters_.normal("shared_space_matrix", {size, config.width})
                            : parameters_.glorot("shared_space_matrix", size, config.width);
  prediction_ = torch_linear(parameters_, "popularity_prediction", config.width, 1);
  if (config.has_visual()) {
    views_.push_back({Modality::kVisual, absent_token(parameters_, "visual", config.visual_dim)});
  }
  if (config.has_text()) {
    views_.push_back({Modality::kText, absent_token(parameters_, "text", config.text_dim)});
  }
}

void TmallNetwork::see_unlabelled(const bank::FeatureTable& features,
                                  std::vector<std::int32_t> rows) {
  unlabelled_features_ = &features;
  unlabelled_rows_ = std::move(rows);
}

std::vector<TmallNetwork::Vectors> TmallNetwork::vectors_of(
    const bank::FeatureTable& table, std::span<const std::int32_t> rows) const {
  std::vector<Vectors> vectors;
  for (const View& view : views_) {
    const QueryTokens query = query_tokens(table, rows, view.modality, parameters_.dtype());
    const bool as_authors =
        config_.variant == Variant::kReleased && view.modality == Modality::kText;
    vectors.push_back(
        {as_authors ? first_and_mean_of_tokens(query.tokens) : mean_of_tokens(query.tokens),
         query.present});
  }
  return vectors;
}

at::Tensor TmallNetwork::to_shared_space(const std::vector<Vectors>& vectors,
                                         const Draws& draws) const {
  std::vector<at::Tensor> filled;
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const auto& [values, present] = vectors[i];
    filled.push_back(at::where(present.unsqueeze(1), values, views_[i].absent));
  }
  return at::mm(dropout(at::cat(filled, 1), config_.dropout_input, draws), shared_matrix_);
}

at::Tensor TmallNetwork::predict_from(const at::Tensor& shared, const Draws& draws) const {
  return prediction_(dropout(shared, config_.dropout_hidden, draws)).squeeze(1);
}

at::Tensor TmallNetwork::forward(const Batch& batch, const Draws& draws) const {
  return predict_from(to_shared_space(vectors_of(*batch.queries, batch.query_rows), draws), draws);
}

at::Tensor TmallNetwork::graph_penalty(const std::vector<Vectors>& vectors,
                                       const at::Tensor& shared, const at::Tensor& output) const {
  const at::Tensor whole = scaled_laplacian(shared);
  at::Tensor penalty = config_.smoothness * at::dot(output, at::mv(whole, output));
  for (const auto& [values, present] : vectors) {
    const at::Tensor rows = present.nonzero().squeeze(1);
    if (rows.numel() < 2) continue;
    const bool all = rows.numel() == values.size(0);
    const at::Tensor in_shared_space = all ? whole : scaled_laplacian(shared.index_select(0, rows));
    const at::Tensor in_modality = scaled_laplacian(values.index_select(0, rows));
    penalty = penalty + config_.disagreement * (in_shared_space - in_modality).square().sum();
  }
  return penalty;
}

Network::Objective TmallNetwork::objective_with(const Batch& batch, const at::Tensor& wanted,
                                                std::span<const std::int32_t> unlabelled,
                                                const Draws& draws) const {
  const std::int64_t labelled = wanted.size(0);
  std::vector<Vectors> vectors = vectors_of(*batch.queries, batch.query_rows);
  if (!unlabelled.empty()) {
    const std::vector<Vectors> more = vectors_of(*unlabelled_features_, unlabelled);
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      vectors[i].values = at::cat({vectors[i].values, more[i].values});
      vectors[i].present = at::cat({vectors[i].present, more[i].present});
    }
  }
  const at::Tensor shared = to_shared_space(vectors, draws);
  const at::Tensor output = predict_from(shared, draws);
  const at::Tensor squared_error = (output.narrow(0, 0, labelled) - wanted).square().mean();
  if (config_.variant == Variant::kPaper) {
    if (shared.size(0) < 2) return {squared_error, squared_error};
    return {squared_error + graph_penalty(vectors, shared, output), squared_error};
  }
  if (vectors.size() < 2) return {squared_error, squared_error};
  const std::int64_t size = std::min(vectors[0].values.size(1), vectors[1].values.size(1));
  const at::Tensor constant =
      (gram(vectors[0].values, size) - gram(vectors[1].values, size)).norm();
  return {squared_error + config_.disagreement * constant, squared_error};
}

Network::Objective TmallNetwork::objective(const Batch& batch, const at::Tensor& wanted,
                                           const Draws& draws) const {
  std::vector<std::int32_t> drawn;
  if (!unlabelled_rows_.empty()) {
    const at::Tensor picks = at::randint(static_cast<std::int64_t>(unlabelled_rows_.size()),
                                         {static_cast<std::int64_t>(batch.query_rows.size())},
                                         draws.generator(), at::kLong);
    const auto* indices = picks.data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < picks.numel(); ++i) {
      drawn.push_back(unlabelled_rows_[static_cast<std::size_t>(indices[i])]);
    }
  }
  return objective_with(batch, wanted, drawn, draws);
}

}  // namespace mmra::model::neural
