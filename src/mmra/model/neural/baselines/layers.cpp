#include "mmra/model/neural/baselines/layers.h"

#include <cmath>
#include <limits>

namespace mmra::model::neural {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr double kNormEpsilon = 1e-5;

Linear layer_norm_weights(ParameterSet& parameters, const std::string& name, std::int64_t dim) {
  return {parameters.ones(name + ".weight", {dim}), parameters.zeros(name + ".bias", {dim})};
}

at::Tensor normalise(const at::Tensor& x, const Linear& norm) {
  return at::layer_norm(x, norm.weight.sizes(), norm.weight, norm.bias, kNormEpsilon);
}

}  // namespace

Linear torch_linear(ParameterSet& parameters, const std::string& name, std::int64_t in,
                    std::int64_t out) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  return {parameters.uniform(name + ".weight", {out, in}, bound),
          parameters.uniform(name + ".bias", {out}, bound)};
}

Lstm::Lstm(ParameterSet& parameters, const std::string& name, std::int64_t in, std::int64_t hidden)
    : hidden_(hidden) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(hidden));
  weights_ = {parameters.uniform(name + ".weight_ih_l0", {4 * hidden, in}, bound),
              parameters.uniform(name + ".weight_hh_l0", {4 * hidden, hidden}, bound),
              parameters.uniform(name + ".bias_ih_l0", {4 * hidden}, bound),
              parameters.uniform(name + ".bias_hh_l0", {4 * hidden}, bound)};
}

at::Tensor Lstm::last_state(const Padded& tokens) const {
  const at::Tensor zeros = at::zeros({1, tokens.values.size(0), hidden_}, tokens.values.options());
  const at::Tensor states =
      std::get<0>(at::lstm(tokens.values, {zeros, zeros}, weights_, /*has_biases=*/true,
                           /*num_layers=*/1, /*dropout=*/0.0, /*train=*/false,
                           /*bidirectional=*/false, /*batch_first=*/true));
  // Padding is behind the tokens, so their states know nothing of it.
  const at::Tensor last = tokens.mask.sum(1) - 1;
  return states.gather(1, last.view({-1, 1, 1}).expand({-1, 1, hidden_})).squeeze(1);
}

TransformerLayer::TransformerLayer(ParameterSet& parameters, const std::string& name,
                                   std::int64_t dim, std::int64_t num_heads,
                                   std::int64_t feed_forward, double dropout_rate)
    : dim_(dim), num_heads_(num_heads), dropout_rate_(dropout_rate) {
  in_ = {parameters.glorot(name + ".self_attn.in_proj_weight", 3 * dim, dim),
         parameters.zeros(name + ".self_attn.in_proj_bias", {3 * dim})};
  out_ = {parameters.uniform(name + ".self_attn.out_proj.weight", {dim, dim},
                             1.0 / std::sqrt(static_cast<double>(dim))),
          parameters.zeros(name + ".self_attn.out_proj.bias", {dim})};
  expand_ = torch_linear(parameters, name + ".linear1", dim, feed_forward);
  contract_ = torch_linear(parameters, name + ".linear2", feed_forward, dim);
  norm1_ = layer_norm_weights(parameters, name + ".norm1", dim);
  norm2_ = layer_norm_weights(parameters, name + ".norm2", dim);
}

at::Tensor TransformerLayer::attend(const Padded& tokens, const Draws& draws) const {
  const std::int64_t batch = tokens.values.size(0);
  const std::int64_t length = tokens.values.size(1);
  const std::int64_t head = dim_ / num_heads_;
  const auto parts = in_(tokens.values).chunk(3, 2);
  const auto by_head = [&](const at::Tensor& x) {  // [B · heads × n × head]
    return x.reshape({batch, length, num_heads_, head})
        .transpose(1, 2)
        .reshape({batch * num_heads_, length, head});
  };
  const at::Tensor queries = by_head(parts[0]) * (1.0 / std::sqrt(static_cast<double>(head)));
  const at::Tensor hidden = tokens.mask.logical_not().repeat_interleave(num_heads_, 0).unsqueeze(1);
  const at::Tensor scores =
      at::bmm(queries, by_head(parts[1]).transpose(1, 2)).masked_fill(hidden, kMinusInfinity);
  const at::Tensor weights = dropout(at::softmax(scores, 2), dropout_rate_, draws);
  const at::Tensor seen = at::bmm(weights, by_head(parts[2]))
                              .view({batch, num_heads_, length, head})
                              .transpose(1, 2)
                              .reshape({batch, length, dim_});
  return out_(seen);
}

at::Tensor TransformerLayer::operator()(const Padded& tokens, const Draws& draws) const {
  const at::Tensor attended =
      normalise(tokens.values + dropout(attend(tokens, draws), dropout_rate_, draws), norm1_);
  const at::Tensor expanded = dropout(at::relu(expand_(attended)), dropout_rate_, draws);
  return normalise(attended + dropout(contract_(expanded), dropout_rate_, draws), norm2_);
}

}  // namespace mmra::model::neural
