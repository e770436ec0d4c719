#include "mmra/model/neural/paper_network.h"

#include <cmath>

#include "mmra/model/instance_weights.h"

namespace mmra::model::neural {
namespace {

const double kReluGain = std::sqrt(2.0);
/// Of the learned stand-ins: about the size of a token after its ReLU.
constexpr double kTokenScale = 0.5;
/// The last layer starts small, so that the first predictions are near the mean label.
constexpr double kOutputGain = 0.1;

/// The vectors that H is made of: V, T, V^r, T^r, L^r as far as they exist.
int num_vectors(const MmraConfig& config) {
  const int modalities = (config.without.visual ? 0 : 1) + (config.without.text ? 0 : 1);
  return config.without.retrieval ? modalities : 2 * modalities + 1;
}

int num_interactions(const MmraConfig& config) {
  if (config.without.retrieval) return 0;
  const int modalities = (config.without.visual ? 0 : 1) + (config.without.text ? 0 : 1);
  return modalities * (modalities + 1);
}

std::vector<at::Tensor> defined(std::initializer_list<at::Tensor> tensors) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) result.push_back(tensor);
  }
  return result;
}

}  // namespace

PaperNetwork::PaperNetwork(const MmraConfig& config, at::ScalarType dtype)
    : Network(ParameterSet(dtype, config.seed)), config_(config) {
  const std::int64_t width = config.width;
  if (!config.without.visual) visual_ = make_modality("visual", config.visual_dim);
  if (!config.without.text) text_ = make_modality("text", config.text_dim);
  own_.emplace(parameters_, "interaction", config);
  if (!config.without.retrieval) {
    retrieved_.emplace(parameters_, "retrieved_interaction", config);
    label_ = {parameters_.glorot("label.weight", width, 1),
              parameters_.zeros("label.bias", {width})};
    no_instance_label_ = parameters_.half_normal("no_instance.label", {1, width}, kTokenScale);
  }
  std::int64_t size = num_vectors(config) * width + num_interactions(config);
  int index = 0;
  const auto add_layer = [&](std::int64_t to, double gain) {
    const std::string name = "prediction." + std::to_string(index);
    prediction_.add_layer({parameters_.glorot(name + ".weight", to, size, gain),
                           parameters_.zeros(name + ".bias", {to})});
    size = to;
    index += 2;
  };
  for (const int hidden : hidden_sizes(config)) add_layer(hidden, kReluGain);
  add_layer(1, kOutputGain);
}

PaperNetwork::ModalityWeights PaperNetwork::make_modality(const std::string& name, int dim) {
  const std::int64_t width = config_.width;
  ModalityWeights weights;
  if (dim > 0) {
    weights.input = {parameters_.glorot("input_" + name + ".weight", width, dim, kReluGain),
                     parameters_.zeros("input_" + name + ".bias", {width})};
  }
  weights.absent = parameters_.half_normal("absent." + name, {1, width}, kTokenScale);
  if (!config_.without.retrieval) {
    weights.no_instance = parameters_.half_normal("no_instance." + name, {1, width}, kTokenScale);
  }
  return weights;
}

PaperNetwork::ModalityTokens PaperNetwork::make_tokens(const PackedFeatures& packed,
                                                       const ModalityWeights& weights,
                                                       const Draws& draws) const {
  const auto project = [&](const at::Tensor& features) {
    if (features.size(0) == 0) return at::empty({0, config_.width}, parameters_.dtype());
    return weights.input(features, Activation::kRelu);
  };
  at::Tensor features = packed.features;
  if (packed.num_query_tokens > 0) {
    // Instances are left whole: only what the query says is made uncertain.
    features.copy_(dropout(features, config_.dropout_input, draws));
  }
  ModalityTokens tokens;
  tokens.query = {project(features), packed.query_begin};
  if (packed.query_slots.defined()) {
    tokens.query.values =
        at::cat({tokens.query.values, weights.absent}).index_select(0, packed.query_slots);
  }
  if (packed.aggregate_begin.defined()) {
    at::Tensor instances = project(packed.instance_features);
    if (packed.has_stand_ins) {
      instances = at::cat({instances, weights.absent, weights.no_instance});
    }
    tokens.aggregate = {packed.aggregate.times(instances), packed.aggregate_begin};
  }
  return tokens;
}

at::Tensor PaperNetwork::aggregated_label(const Batch& batch,
                                          std::span<const double> weights) const {
  const AggregatedLabels labels =
      aggregate_labels(batch, weights, config_.label_mean, config_.label_std, parameters_.dtype());
  // The weights sum to one, so the layer of the sum is the sum of the layers.
  const at::Tensor known = label_(labels.values.unsqueeze(1));
  if (!labels.any_missing) return known;
  return at::where(labels.missing.unsqueeze(1), no_instance_label_, known);
}

at::Tensor PaperNetwork::forward(const Batch& batch, const Draws& draws) const {
  DistinctRows instances;
  std::vector<double> weights;
  if (retrieved_) {
    instances = distinct_rows(batch.instance_rows);
    weights = instance_weights(batch.instance_rows, batch.similarities, batch.k,
                               config_.similarity_scale);
  }
  const TokenDropout token_dropout{config_.token_dropout, draws};
  const auto tokens_for = [&](Modality modality, const std::optional<ModalityWeights>& of) {
    if (!of) return ModalityTokens{};
    return make_tokens(pack_features(batch, instances, weights, modality,
                                     feature_type(parameters_.dtype()), token_dropout),
                       *of, draws);
  };
  const ModalityTokens visual = tokens_for(Modality::kVisual, visual_);
  const ModalityTokens text = tokens_for(Modality::kText, text_);

  const auto own = (*own_)(visual.query, text.query);
  std::vector<at::Tensor> h = defined({own.visual, own.text});
  if (retrieved_) {
    const auto retrieved = (*retrieved_)(visual.aggregate, text.aggregate);
    const auto others =
        defined({retrieved.visual, retrieved.text, aggregated_label(batch, weights)});
    std::vector<at::Tensor> interactions;
    for (const at::Tensor& mine : h) {
      for (const at::Tensor& other : others) {
        interactions.push_back((mine * other).sum(1, /*keepdim=*/true));
      }
    }
    h.insert(h.end(), others.begin(), others.end());
    const double scale =
        config_.scaled_interactions ? 1.0 / std::sqrt(static_cast<double>(config_.width)) : 1.0;
    h.push_back(at::cat(interactions, 1) * scale);
  }
  return prediction_(at::cat(h, 1), config_.dropout_hidden, draws);
}

}  // namespace mmra::model::neural
