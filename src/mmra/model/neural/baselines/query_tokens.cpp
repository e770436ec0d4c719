#include "mmra/model/neural/baselines/query_tokens.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mmra::model::neural {

QueryTokens query_tokens(const bank::FeatureTable& table, std::span<const std::int32_t> rows,
                         Modality modality, at::ScalarType dtype) {
  std::vector<bank::TokenView> views;
  std::int64_t length = 1;
  for (const std::int32_t row : rows) {
    views.push_back(tokens_of(table, static_cast<std::size_t>(row), modality));
    length = std::max<std::int64_t>(length, views.back().num_tokens);
  }
  const auto num_rows = static_cast<std::int64_t>(rows.size());
  const std::int64_t dim = modality == Modality::kVisual ? table.visual_dim() : table.text_dim();
  at::Tensor values = at::zeros({num_rows, length, dim}, at::kFloat);
  at::Tensor counts = at::empty({num_rows, 1}, at::kLong);
  auto* to = values.data_ptr<float>();
  for (std::int64_t row = 0; row < num_rows; ++row) {
    const bank::TokenView& view = views[static_cast<std::size_t>(row)];
    halves_to_floats(view.values, {to + row * length * dim, view.values.size()});
    counts.data_ptr<std::int64_t>()[row] = view.num_tokens;
  }
  return {{values.to(dtype), at::arange(length).unsqueeze(0).lt(counts.clamp_min(1))},
          counts.squeeze(1).gt(0)};
}

at::Tensor absent_token(ParameterSet& parameters, const std::string& name, std::int64_t dim) {
  return parameters.uniform("absent." + name, {dim}, 1.0 / std::sqrt(static_cast<double>(dim)));
}

Padded with_absent(const QueryTokens& query, const at::Tensor& absent) {
  const at::Tensor missing =
      query.tokens.mask.logical_and(query.present.logical_not().unsqueeze(1)).unsqueeze(2);
  return {at::where(missing, absent, query.tokens.values), query.tokens.mask};
}

at::Tensor mean_of_tokens(const Padded& tokens) {
  const at::Tensor kept = tokens.mask.unsqueeze(2).to(tokens.values.scalar_type());
  return (tokens.values * kept).sum(1) / kept.sum(1);
}

at::Tensor last_of_tokens(const Padded& tokens) {
  const at::Tensor last = tokens.mask.sum(1) - 1;
  return tokens.values.gather(1, last.view({-1, 1, 1}).expand({-1, 1, tokens.values.size(2)}))
      .squeeze(1);
}

at::Tensor first_and_mean_of_tokens(const Padded& tokens) {
  return (tokens.values.select(1, 0) + mean_of_tokens(tokens)) * 0.5;
}

}  // namespace mmra::model::neural
