#include "mmra/model/neural/baselines/cban.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace mmra::model::neural {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// [… × dim] to [… × width], zeros behind.
at::Tensor widen(const at::Tensor& x, std::int64_t width) {
  const std::int64_t missing = width - x.size(-1);
  return missing == 0 ? x : at::constant_pad_nd(x, {0, missing});
}

}  // namespace

CbanNetwork::CbanNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype)
    : Network(ParameterSet(dtype, config.seed)), config_(config) {
  if (config.has_visual()) add_side(Modality::kVisual, "visual", config.visual_dim);
  if (config.has_text()) add_side(Modality::kText, "text", config.text_dim);
  if (sides_.size() == 2) {
    combine_ = parameters_.uniform("score.combine", {config.width},
                                   1.0 / std::sqrt(static_cast<double>(config.width)));
  }
  predict_ = torch_linear(parameters_, "predict",
                          static_cast<std::int64_t>(sides_.size()) * config.width, 1);
}

void CbanNetwork::add_side(Modality modality, const std::string& name, int dim) {
  const std::int64_t width = config_.width;
  const bool attends = config_.has_visual() && config_.has_text();
  Side side;
  side.modality = modality;
  side.input = torch_linear(parameters_, "input_" + name, dim, width);
  side.absent = absent_token(parameters_, name, width);
  if (attends) {
    side.score = torch_linear(parameters_, "score_" + name, width, width);
    side.attended = torch_linear(parameters_, "attended_" + name, 2 * width, width);
  }
  side.fuse = torch_linear(parameters_, "fuse_" + name, attends ? 2 * width : width, width);
  side.pool_hidden = torch_linear(parameters_, "pool_" + name + ".hidden", width, width);
  side.pool_score.weight = parameters_.uniform("pool_" + name + ".score.weight", {1, width},
                                               1.0 / std::sqrt(static_cast<double>(width)));
  sides_.push_back(std::move(side));
}

Padded CbanNetwork::tokens_of_side(const Side& side, const Batch& batch, const Draws& draws) const {
  QueryTokens query =
      query_tokens(*batch.queries, batch.query_rows, side.modality, parameters_.dtype());
  query.tokens.values = side.input(dropout(query.tokens.values, config_.dropout_input, draws));
  return with_absent(query, side.absent);
}

at::Tensor CbanNetwork::scores(const Padded& first, const Padded& second) const {
  const at::Tensor pairs =
      sides_[0].score(first.values).unsqueeze(2) + sides_[1].score(second.values).unsqueeze(1);
  return at::matmul(at::tanh(pairs), combine_);
}

at::Tensor CbanNetwork::attend(const at::Tensor& scores, const Padded& seen) {
  const at::Tensor hidden = seen.mask.logical_not().unsqueeze(1);
  const auto by = [&](const at::Tensor& s) {
    return at::bmm(at::softmax(s.masked_fill(hidden, kMinusInfinity), 2), seen.values);
  };
  return at::cat({by(scores), by(-scores)}, 2);
}

at::Tensor CbanNetwork::pool(const Side& side, const Padded& tokens) {
  const at::Tensor scores = side.pool_score(at::tanh(side.pool_hidden(tokens.values))).squeeze(2);
  const at::Tensor weights =
      at::softmax(scores.masked_fill(tokens.mask.logical_not(), kMinusInfinity), 1);
  return at::bmm(weights.unsqueeze(1), tokens.values).squeeze(1);
}

at::Tensor CbanNetwork::forward(const Batch& batch, const Draws& draws) const {
  std::vector<Padded> tokens;
  for (const Side& side : sides_) tokens.push_back(tokens_of_side(side, batch, draws));
  std::vector<at::Tensor> attended;
  if (tokens.size() == 2) {
    const at::Tensor s = scores(tokens[0], tokens[1]);
    attended = {attend(s, tokens[1]), attend(s.transpose(1, 2), tokens[0])};
  }
  std::vector<at::Tensor> pooled;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    at::Tensor x = tokens[i].values;
    if (!attended.empty()) x = at::cat({x, at::tanh(sides_[i].attended(attended[i]))}, 2);
    pooled.push_back(pool(sides_[i], {at::tanh(sides_[i].fuse(x)), tokens[i].mask}));
  }
  return predict_(dropout(at::cat(pooled, 1), config_.dropout_hidden, draws)).squeeze(1);
}

ReleasedCbanNetwork::ReleasedCbanNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype)
    : Network(ParameterSet(dtype, config.seed)),
      config_(config),
      width_(std::max(config.has_visual() ? config.visual_dim : 0,
                      config.has_text() ? config.text_dim : 0)) {
  const std::int64_t d = width_;
  const bool both = config.has_visual() && config.has_text();
  const std::int64_t cross_in = both ? 2 * d : d;
  if (both) {
    visual_embedding_ = torch_linear(parameters_, "visual_embedding", d, d);
    text_embedding_ = torch_linear(parameters_, "textual_embedding", d, d);
    dual_visual_ = torch_linear(parameters_, "dual_attention_linear_1", 2 * d, d);
    dual_text_ = torch_linear(parameters_, "dual_attention_linear_2", 2 * d, d);
    score_ = torch_linear(parameters_, "add_attention_linear_1", d, 1);
  }
  if (config.has_visual()) {
    cross_visual_ = torch_linear(parameters_, "cross_modal_linear_1", cross_in, d);
    pool_visual_ = torch_linear(parameters_, "add_attention_linear_2", d, 1);
    by_frame_ = parameters_.normal("add_attention_matrix_1", {config.num_frames, d});
    absent_visual_ = absent_token(parameters_, "visual", d);
  }
  if (config.has_text()) {
    cross_text_ = torch_linear(parameters_, "cross_modal_linear_2", cross_in, d);
    pool_text_ = torch_linear(parameters_, "add_attention_linear_3", d, 1);
    by_text_ = parameters_.normal("add_attention_matrix_2", {1, d});
    absent_text_ = absent_token(parameters_, "text", d);
  }
  predict_ = torch_linear(parameters_, "predict_linear", both ? 2 * d : d, 1);
}

Padded ReleasedCbanNetwork::frames(const Batch& batch, const Draws& draws) const {
  QueryTokens query =
      query_tokens(*batch.queries, batch.query_rows, Modality::kVisual, parameters_.dtype());
  query.tokens.values = widen(dropout(query.tokens.values, config_.dropout_input, draws), width_);
  return with_absent(query, absent_visual_);
}

at::Tensor ReleasedCbanNetwork::text(const Batch& batch, const Draws& draws) const {
  QueryTokens query =
      query_tokens(*batch.queries, batch.query_rows, Modality::kText, parameters_.dtype());
  query.tokens.values = widen(dropout(query.tokens.values, config_.dropout_input, draws), width_);
  return first_and_mean_of_tokens(with_absent(query, absent_text_));
}

at::Tensor ReleasedCbanNetwork::pool_frames(const at::Tensor& fused, const at::Tensor& mask) const {
  const at::Tensor rows = at::arange(fused.size(1), at::kLong).clamp_max(by_frame_.size(0) - 1);
  const at::Tensor weights =
      at::tanh(pool_visual_(fused + by_frame_.index_select(0, rows))).squeeze(2) *
      mask.to(fused.scalar_type());
  return at::bmm(weights.unsqueeze(1), fused).squeeze(1);
}

at::Tensor ReleasedCbanNetwork::forward(const Batch& batch, const Draws& draws) const {
  Padded visual;
  at::Tensor visual_in;
  at::Tensor text_in;
  if (config_.has_visual()) {
    visual = frames(batch, draws);
    visual_in = visual.values;
  }
  if (config_.has_text()) text_in = text(batch, draws);
  if (score_.weight.defined()) {
    const at::Tensor both = at::tanh(visual_embedding_(visual.values)) +
                            at::tanh(text_embedding_(text_in)).unsqueeze(1);
    const at::Tensor s = at::tanh(score_(both)).squeeze(2);
    const at::Tensor weights =
        at::softmax(s.masked_fill(visual.mask.logical_not(), kMinusInfinity), 1);
    const at::Tensor text_seen = weights.unsqueeze(2) * text_in.unsqueeze(1);
    // The softmax over the single text is 1: the frames' sum.
    const at::Tensor frames_seen =
        (visual.values * visual.mask.unsqueeze(2).to(s.scalar_type())).sum(1);
    visual_in =
        at::cat({visual.values, at::tanh(dual_visual_(at::cat({text_seen, -text_seen}, 2)))}, 2);
    text_in = at::cat({text_in, at::tanh(dual_text_(at::cat({frames_seen, -frames_seen}, 1)))}, 1);
  }
  std::vector<at::Tensor> pooled;
  if (visual_in.defined()) {
    pooled.push_back(pool_frames(at::tanh(cross_visual_(visual_in)), visual.mask));
  }
  if (text_in.defined()) {
    const at::Tensor fused = at::tanh(cross_text_(text_in));
    pooled.push_back(at::tanh(pool_text_(fused + by_text_)) * fused);
  }
  return predict_(dropout(at::cat(pooled, 1), config_.dropout_hidden, draws)).squeeze(1);
}

}  // namespace mmra::model::neural
