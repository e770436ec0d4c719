#include "mmra/model/neural/bipolar_interaction.h"

#include <cmath>
#include <limits>

namespace mmra::model::neural {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// ReLU(X + A W₁) W₂ (paper 2.2.2), A the concatenated attentions or undefined.
at::Tensor fuse(const at::Tensor& x, const at::Tensor& attended, const Linear& w1,
                const Linear& w2) {
  return w2(at::relu(attended.defined() ? x + w1(attended) : x));
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& key_mask, double scale) {
  const at::Tensor scores = at::bmm(q, k.transpose(1, 2)) * scale;
  const at::Tensor weights =
      at::softmax(scores.masked_fill(key_mask.logical_not().unsqueeze(1), kMinusInfinity), 2);
  return at::bmm(weights, v);
}

AttentivePooling::AttentivePooling(ParameterSet& parameters, const std::string& prefix,
                                   std::int64_t width)
    : hidden_{parameters.glorot(prefix + ".hidden.weight", width, width),
              parameters.zeros(prefix + ".hidden.bias", {width})},
      score_{parameters.glorot(prefix + ".score.weight", 1, width), {}} {}

at::Tensor AttentivePooling::operator()(const Tokens& tokens) const {
  const at::Tensor scores = score_(at::tanh(hidden_(tokens.values))).squeeze(2);
  const at::Tensor weights =
      at::softmax(scores.masked_fill(tokens.mask.logical_not(), kMinusInfinity), 1);
  return at::bmm(weights.unsqueeze(1), tokens.values).squeeze(1);
}

/// All queries, keys and values that come from one modality's tokens, by one matrix product.
struct BipolarInteraction::Projections {
  std::vector<at::Tensor> queries;
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
};

BipolarInteraction::BipolarInteraction(ParameterSet& parameters, const std::string& prefix,
                                       const MmraConfig& config)
    : width_(config.width), has_visual_(!config.without.visual), has_text_(!config.without.text) {
  if (has_visual_ && has_text_) {
    text_seen_ = make_attentions(parameters, prefix, "text", config);
    visual_seen_ = make_attentions(parameters, prefix, "visual", config);
  }
  if (has_visual_) {
    fusion_.push_back(make_fusion(parameters, prefix + ".fuse_visual", text_seen_.size()));
    pooling_.emplace_back(parameters, prefix + ".pool_visual", width_);
  }
  if (has_text_) {
    fusion_.push_back(make_fusion(parameters, prefix + ".fuse_text", visual_seen_.size()));
    pooling_.emplace_back(parameters, prefix + ".pool_text", width_);
  }
}

std::vector<BipolarInteraction::Attention> BipolarInteraction::make_attentions(
    ParameterSet& parameters, const std::string& prefix, const std::string& modality,
    const MmraConfig& config) const {
  std::vector<Attention> attentions;
  const auto make = [&](const std::string& polarity, double factor) {
    const std::string name = prefix + "." + polarity + "_" + modality;
    attentions.push_back({parameters.glorot(name + ".query", width_, width_),
                          parameters.glorot(name + ".key", width_, width_),
                          parameters.glorot(name + ".value", width_, width_),
                          factor / std::sqrt(static_cast<double>(width_))});
  };
  if (!config.without.positive_attention) make("positive", config.alpha);
  if (!config.without.negative_attention) make("negative", -(1.0 - config.alpha));
  return attentions;
}

BipolarInteraction::Fusion BipolarInteraction::make_fusion(ParameterSet& parameters,
                                                           const std::string& prefix,
                                                           std::size_t polarities) const {
  Fusion fusion;
  if (polarities > 0) {
    fusion.w1.weight =
        parameters.glorot(prefix + ".w1", width_, static_cast<std::int64_t>(polarities) * width_);
  }
  fusion.w2.weight = parameters.glorot(prefix + ".w2", width_, width_);
  return fusion;
}

BipolarInteraction::Projections BipolarInteraction::project(const at::Tensor& x,
                                                            const std::vector<Attention>& as_query,
                                                            const std::vector<Attention>& as_key) {
  std::vector<at::Tensor> weights;
  for (const Attention& a : as_query) weights.push_back(a.query);
  for (const Attention& a : as_key) weights.push_back(a.key);
  for (const Attention& a : as_key) weights.push_back(a.value);
  if (weights.empty()) return {};
  const auto parts =
      at::linear(x, at::cat(weights)).chunk(static_cast<std::int64_t>(weights.size()), 2);
  const auto keys = parts.begin() + static_cast<std::ptrdiff_t>(as_query.size());
  const auto values = keys + static_cast<std::ptrdiff_t>(as_key.size());
  return {{parts.begin(), keys}, {keys, values}, {values, parts.end()}};
}

BipolarInteraction::Output BipolarInteraction::operator()(const Tokens& visual,
                                                          const Tokens& text) const {
  at::Tensor text_attended;
  at::Tensor visual_attended;
  if (!text_seen_.empty()) {
    const Projections of_visual = project(visual.values, text_seen_, visual_seen_);
    const Projections of_text = project(text.values, visual_seen_, text_seen_);
    std::vector<at::Tensor> from_text;
    std::vector<at::Tensor> from_visual;
    for (std::size_t i = 0; i < text_seen_.size(); ++i) {
      from_text.push_back(attention(of_visual.queries[i], of_text.keys[i], of_text.values[i],
                                    text.mask, text_seen_[i].scale));
      from_visual.push_back(attention(of_text.queries[i], of_visual.keys[i], of_visual.values[i],
                                      visual.mask, visual_seen_[i].scale));
    }
    text_attended = at::cat(from_text, 2);
    visual_attended = at::cat(from_visual, 2);
  }
  Output output;
  if (has_visual_) {
    const Fusion& fusion = fusion_.front();
    output.visual =
        pooling_.front()({fuse(visual.values, text_attended, fusion.w1, fusion.w2), visual.mask});
  }
  if (has_text_) {
    const Fusion& fusion = fusion_.back();
    output.text =
        pooling_.back()({fuse(text.values, visual_attended, fusion.w1, fusion.w2), text.mask});
  }
  return output;
}

}  // namespace mmra::model::neural
