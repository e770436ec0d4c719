#include "mmra/model/neural/baselines/variational.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <numeric>

namespace mmra::model::neural {
namespace {

constexpr std::int64_t kMaxHeads = 8;
constexpr std::int64_t kFeedForward = 256;
constexpr double kTransformerDropout = 0.1;
constexpr std::int64_t kFirstEncoder = 512;
constexpr std::int64_t kSecondEncoder = 256;
constexpr std::int64_t kHmmvedDecoder = 20;
constexpr double kMasslDropout = 0.2;
/// Of log σ² in the paper variant, so that no variance and no precision overflows.
constexpr double kLogSquareLimit = 10.0;

/// MASSL's decoder behind its two layers: convolutions (kernel 3, stride 2, padding 1) and maxima
/// (kernel 2, stride 1), with the places that they have in the authors' list of layers.
struct Step {
  int place;
  bool is_convolution;
};
constexpr Step kMasslSteps[] = {{5, true}, {6, false}, {7, true},  {8, false},
                                {9, true}, {10, true}, {11, true}, {12, false}};
constexpr int kMasslLastPlace = 13;

std::int64_t length_behind_massl_steps(std::int64_t length) {
  for (const Step& step : kMasslSteps) length = step.is_convolution ? (length + 1) / 2 : length - 1;
  return length;
}

/// μ + ε σ, ε from N(0, 1).
at::Tensor draw(const Gaussian& gaussian, const Draws& draws) {
  const at::Tensor noise = draws.like(
      gaussian.mean,
      [](at::Tensor& values, at::Generator& generator) { values.normal_(0.0, 1.0, generator); });
  return gaussian.mean + noise * (gaussian.log_square * 0.5).exp();
}

std::string place(int index) { return "decoder." + std::to_string(index); }

}  // namespace

Gaussian product_of_experts(const std::vector<Expert>& experts) {
  at::Tensor precision;
  at::Tensor weighted;
  at::Tensor none;  // bool [B × 1]: no expert
  for (const auto& [gaussian, present] : experts) {
    at::Tensor own = at::exp(-gaussian.log_square);
    if (present.defined()) own = own * present.unsqueeze(1).to(own.scalar_type());
    const at::Tensor absent = present.defined() ? present.logical_not().unsqueeze(1)
                                                : at::zeros({own.size(0), 1}, at::kBool);
    precision = precision.defined() ? precision + own : own;
    const at::Tensor mean = gaussian.mean * own;
    weighted = weighted.defined() ? weighted + mean : mean;
    none = none.defined() ? none.logical_and(absent) : absent;
  }
  precision = precision + none.to(precision.scalar_type());
  return {weighted / precision, -at::log(precision)};
}

at::Tensor divergence_from_standard(const Gaussian& gaussian) {
  const at::Tensor each =
      1.0 + gaussian.log_square - gaussian.mean.square() - gaussian.log_square.exp();
  return (each.sum(1) * -0.5).mean();
}

VariationalNetwork::VariationalNetwork(const NeuralBaselineConfig& config, at::ScalarType dtype)
    : Network(ParameterSet(dtype, config.seed)), config_(config) {
  if (config.has_visual()) {
    const std::int64_t heads = std::gcd(kMaxHeads, static_cast<std::int64_t>(config.visual_dim));
    frames_.emplace(parameters_, "visual_dense_layer.transformer_encoder.layers.0",
                    config.visual_dim, heads, kFeedForward, kTransformerDropout);
    visual_ = make_encoder("visual", config.visual_dim);
  }
  if (config.has_text()) text_ = make_encoder("textual", config.text_dim);
  make_decoder();
}

VariationalNetwork::Encoder VariationalNetwork::make_encoder(const std::string& name, int dim) {
  Encoder encoder;
  encoder.first = torch_linear(parameters_, name + "_encoder.0", dim, kFirstEncoder);
  encoder.second = torch_linear(parameters_, name + "_encoder.2", kFirstEncoder, kSecondEncoder);
  encoder.mean = torch_linear(parameters_, name + "_mu_layer", kSecondEncoder, config_.width);
  encoder.log_square =
      torch_linear(parameters_, name + "_logvar_layer", kSecondEncoder, config_.width);
  if (config_.variant == Variant::kReleased) encoder.absent = absent_token(parameters_, name, dim);
  return encoder;
}

void VariationalNetwork::make_decoder() {
  const std::int64_t width = config_.width;
  if (config_.kind == NeuralBaseline::kHmmved) {
    decoder_ = {torch_linear(parameters_, place(0), width, kHmmvedDecoder),
                torch_linear(parameters_, place(2), kHmmvedDecoder, 1)};
    return;
  }
  decoder_ = {torch_linear(parameters_, place(0), width, width),
              torch_linear(parameters_, place(3), width, width)};
  const double bound = 1.0 / std::sqrt(3.0);  // of a kernel of three
  for (const Step& step : kMasslSteps) {
    if (!step.is_convolution) continue;
    convolutions_.push_back({parameters_.uniform(place(step.place) + ".weight", {1, 1, 3}, bound),
                             parameters_.uniform(place(step.place) + ".bias", {1}, bound)});
  }
  decoder_.push_back(
      torch_linear(parameters_, place(kMasslLastPlace), length_behind_massl_steps(width), 1));
}

at::Tensor VariationalNetwork::visual_vector(Padded tokens, const Draws& draws) const {
  if (config_.variant == Variant::kPaper) {
    return mean_of_tokens({(*frames_)(tokens, draws), tokens.mask});
  }
  // The authors' layer takes the rows for the sequence: each frame of a row sees the same frame of
  // the other rows. Only the last frame goes on.
  const at::Tensor last = last_of_tokens(tokens).unsqueeze(0);
  return (*frames_)({last, at::ones({1, last.size(1)}, at::kBool)}, draws).squeeze(0);
}

Expert VariationalNetwork::expert(const Encoder& encoder, const Batch& batch, Modality modality,
                                  const Draws& draws) const {
  const QueryTokens query =
      query_tokens(*batch.queries, batch.query_rows, modality, parameters_.dtype());
  const bool released = config_.variant == Variant::kReleased;
  Padded tokens = released ? with_absent(query, encoder.absent) : query.tokens;
  tokens.values = dropout(tokens.values, config_.dropout_input, draws);
  at::Tensor vector;
  if (modality == Modality::kVisual) {
    vector = visual_vector(tokens, draws);
  } else {
    vector = released ? first_and_mean_of_tokens(tokens) : mean_of_tokens(tokens);
  }
  const at::Tensor hidden = dropout(at::relu(encoder.second(at::relu(encoder.first(vector)))),
                                    config_.dropout_hidden, draws);
  const at::Tensor log_square = encoder.log_square(hidden);
  if (released) return {{encoder.mean(hidden), log_square}, {}};
  return {{encoder.mean(hidden), log_square.clamp(-kLogSquareLimit, kLogSquareLimit)},
          query.present};
}

Gaussian VariationalNetwork::encode(const Batch& batch, const Draws& draws) const {
  std::vector<Expert> experts;
  if (visual_) experts.push_back(expert(*visual_, batch, Modality::kVisual, draws));
  if (text_) experts.push_back(expert(*text_, batch, Modality::kText, draws));
  return product_of_experts(experts);
}

at::Tensor VariationalNetwork::decode_by_convolutions(const at::Tensor& z,
                                                      const Draws& draws) const {
  at::Tensor x = at::relu(dropout(decoder_[0](z), kMasslDropout, draws));
  x = at::relu(decoder_[1](x)).unsqueeze(1);  // [B × one channel × width]
  auto convolution = convolutions_.begin();
  for (const Step& step : kMasslSteps) {
    if (!step.is_convolution) {
      x = at::max_pool1d(x, {2}, {1});
      continue;
    }
    x = at::conv1d(x, convolution->weight, convolution->bias, {2}, {1});
    ++convolution;
  }
  const at::Tensor output = decoder_[2](x.squeeze(1));
  // The authors drop predictions themselves: one in five is 0 in training.
  return config_.variant == Variant::kReleased ? dropout(output, kMasslDropout, draws) : output;
}

at::Tensor VariationalNetwork::decode(const at::Tensor& z, const Draws& draws) const {
  if (config_.kind == NeuralBaseline::kMassl) {
    return decode_by_convolutions(z, draws).squeeze(1);
  }
  return decoder_[1](at::relu(decoder_[0](z))).squeeze(1);
}

at::Tensor VariationalNetwork::forward(const Batch& batch, const Draws& draws) const {
  const Gaussian latent = encode(batch, draws);
  if (!draws && config_.variant == Variant::kPaper) {
    return decode(latent.mean, draws);
  }
  // A prediction has a generator of its own, so that it is the same each time it is asked for.
  at::Generator own = at::detail::createCPUGenerator(config_.seed);
  return decode(draw(latent, draws ? draws : Draws(own)), draws);
}

Network::Objective VariationalNetwork::objective(const Batch& batch, const at::Tensor& wanted,
                                                 const Draws& draws) const {
  const Gaussian latent = encode(batch, draws);
  return objective_of(decode(draw(latent, draws), draws), latent, wanted);
}

Network::Objective VariationalNetwork::objective_of(const at::Tensor& output,
                                                    const Gaussian& latent,
                                                    const at::Tensor& wanted) const {
  const at::Tensor squared_error = (output - wanted).square().mean();
  return {(1.0 - config_.kld_weight) * squared_error +
              config_.kld_weight * divergence_from_standard(latent),
          squared_error};
}

}  // namespace mmra::model::neural
