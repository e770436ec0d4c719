#include "mmra/model/neural/baselines/clstm.h"

#include "mmra/model/neural/baselines/query_tokens.h"

namespace mmra::model::neural {
namespace {

constexpr std::int64_t kHidden = 200;  ///< between the two layers

}  // namespace

ClstmNetwork::ClstmNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype)
    : Network(ParameterSet(dtype, config.seed)), config_(config) {
  if (config.has_text()) add_reader(Modality::kText, "text", config.text_dim);
  if (config.has_visual()) add_reader(Modality::kVisual, "visual", config.visual_dim);
  fc1_ = torch_linear(parameters_, "fc1", static_cast<std::int64_t>(readers_.size()) * config.width,
                      kHidden);
  fc2_ = torch_linear(parameters_, "fc2", kHidden, 1);
}

void ClstmNetwork::add_reader(Modality modality, const std::string& name, int dim) {
  Lstm lstm(parameters_, "lstm_" + name, dim, config_.width);
  readers_.push_back({modality, std::move(lstm), absent_token(parameters_, name, dim)});
}

at::Tensor ClstmNetwork::read(const Reader& reader, const Batch& batch, const Draws& draws) const {
  Padded tokens = with_absent(
      query_tokens(*batch.queries, batch.query_rows, reader.modality, parameters_.dtype()),
      reader.absent);
  if (config_.variant == Variant::kReleased && reader.modality == Modality::kText) {
    tokens.values = first_and_mean_of_tokens(tokens).unsqueeze(1);
    tokens.mask = at::ones({tokens.values.size(0), 1}, at::kBool);
  }
  tokens.values = dropout(tokens.values, config_.dropout_input, draws);
  return reader.lstm.last_state(tokens);
}

at::Tensor ClstmNetwork::forward(const Batch& batch, const Draws& draws) const {
  std::vector<at::Tensor> states;
  for (const Reader& reader : readers_) states.push_back(read(reader, batch, draws));
  at::Tensor hidden = fc1_(dropout(at::cat(states, 1), config_.dropout_hidden, draws));
  if (config_.variant == Variant::kPaper) hidden = at::relu(hidden);
  return fc2_(hidden).squeeze(1);
}

}  // namespace mmra::model::neural
