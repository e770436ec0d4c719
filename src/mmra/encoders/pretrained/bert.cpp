#include "mmra/encoders/pretrained/bert.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/encoders/pretrained/parallel_rows.h"
#include "mmra/encoders/pretrained/row_kernels.h"

namespace mmra::encoders {
namespace {

// Tokens of one pass: bounds its memory; products of BERT's sizes gain nothing from more.
constexpr std::int64_t kMaxTokensPerPass = 4096;
constexpr std::int64_t kLargestWidth = 1 << 16;
constexpr std::int64_t kLargestCount = 1 << 24;

PostNormBlock make_block(const Weights& weights, const BertConfig& config, Precision precision) {
  const std::int64_t hidden = config.hidden_size;
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    return Linear(weights, name, out, in, precision);
  };
  const auto norm = [&](const std::string& name) {
    return LayerNorm(weights, name, hidden, config.layer_norm_epsilon);
  };
  return {SelfAttention(QkvProjection(linear("attention.self.query", hidden, hidden),
                                      linear("attention.self.key", hidden, hidden),
                                      linear("attention.self.value", hidden, hidden)),
                        linear("attention.output.dense", hidden, hidden),
                        static_cast<int>(config.num_heads)),
          norm("attention.output.LayerNorm"),
          FeedForward{linear("intermediate.dense", config.intermediate_size, hidden),
                      linear("output.dense", hidden, config.intermediate_size), config.activation},
          norm("output.LayerNorm")};
}

/// `vector` [hidden] ← the states [tokens × hidden] pooled.
void pool(ConstRows states, Pooling pooling, float* vector) {
  std::fill_n(vector, states.cols, 0.0F);
  if (pooling == Pooling::kCls) {
    std::copy_n(states.row(0), states.cols, vector);
    return;
  }
  const float half = pooling == Pooling::kClsAverage ? 0.5F : 1.0F;
  const float share = half / static_cast<float>(states.rows);
  for (std::int64_t i = 0; i < states.rows; ++i) {
    add_scaled(vector, states.row(i), share, states.cols);
  }
  if (pooling == Pooling::kClsAverage) add_scaled(vector, states.row(0), 0.5F, states.cols);
}

void make_unit_length(float* vector, std::int64_t size) {
  const float length = std::max(std::sqrt(dot(vector, vector, size)), 1e-12F);
  for (std::int64_t i = 0; i < size; ++i) vector[i] /= length;
}

}  // namespace

BertConfig BertConfig::from(const ModelConfig& config) {
  const std::string type = config.text("model_type");
  if (type != "bert") {
    throw Error(ErrorKind::kUnsupported, config.origin() + ": \"model_type\" is \"" + type +
                                             "\"; text encoders of type \"bert\" are read");
  }
  const std::string positions = config.text("position_embedding_type", "absolute");
  if (positions != "absolute") {
    throw Error(ErrorKind::kUnsupported, config.origin() + ": \"position_embedding_type\" is \"" +
                                             positions + "\"; \"absolute\" is read");
  }
  BertConfig result;
  result.vocab_size = config.integer("vocab_size", 1, kLargestCount);
  result.hidden_size = config.integer("hidden_size", 1, kLargestWidth);
  result.num_layers = config.integer("num_hidden_layers", 1, 1024);
  result.num_heads = config.integer("num_attention_heads", 1, kLargestWidth);
  result.intermediate_size = config.integer("intermediate_size", 1, kLargestWidth);
  result.max_tokens = config.integer("max_position_embeddings", 1, kLargestCount);
  result.num_token_types = config.integer("type_vocab_size", 1, kLargestCount, 2);
  result.layer_norm_epsilon = config.number("layer_norm_eps", 0.0, 1.0, 1e-12);
  result.activation = parse_activation(config, "hidden_act");
  check_divides(config, "hidden_size", result.hidden_size, "num_attention_heads", result.num_heads);
  return result;
}

struct Bert::Network {
  Network(std::shared_ptr<const ModelFiles> files, Precision wanted)
      : Network(BertConfig::from(files->config()),
                Weights::rooted_at(files, "embeddings.word_embeddings.weight"), resolve(wanted)) {}

  Network(const BertConfig& sizes, const Weights& weights, Precision resolved)
      : config(sizes),
        precision(resolved),
        words(weights, "embeddings.word_embeddings.weight", sizes.vocab_size, sizes.hidden_size,
              resolved),
        positions(weights, "embeddings.position_embeddings.weight", sizes.max_tokens,
                  sizes.hidden_size, resolved),
        types(weights, "embeddings.token_type_embeddings.weight", sizes.num_token_types,
              sizes.hidden_size, resolved),
        norm(weights, "embeddings.LayerNorm", sizes.hidden_size, sizes.layer_norm_epsilon) {
    for (std::int64_t i = 0; i < sizes.num_layers; ++i) {
      blocks.push_back(
          make_block(weights.below("encoder.layer." + std::to_string(i)), sizes, resolved));
    }
  }

  void check(std::span<const std::int32_t> ids) const {
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= config.vocab_size) {
        throw Error(ErrorKind::kInvalidInput, "token id " + std::to_string(id) +
                                                  " is outside of the text encoder's " +
                                                  std::to_string(config.vocab_size) +
                                                  " words; its tokenizer belongs to another model");
      }
    }
  }

  void check(std::span<const TokenIds> texts) const {
    for (const TokenIds& ids : texts) {
      if (ids.empty() || static_cast<std::int64_t>(ids.size()) > config.max_tokens) {
        throw Error(ErrorKind::kInvalidInput, "a text of " + std::to_string(ids.size()) +
                                                  " tokens; the text encoder takes 1 to " +
                                                  std::to_string(config.max_tokens) +
                                                  " (truncate it)");
      }
      check(std::span(ids));
    }
  }

  /// norm(word + position + type 0), texts one after the other.
  void embed_tokens(std::span<const TokenIds> texts, Rows x) const {
    std::vector<std::pair<std::int32_t, std::int64_t>> tokens;  // id, position
    tokens.reserve(static_cast<std::size_t>(x.rows));
    for (const TokenIds& ids : texts) {
      for (std::size_t i = 0; i < ids.size(); ++i) {
        tokens.emplace_back(ids[i], static_cast<std::int64_t>(i));
      }
    }
    parallel_rows(x.rows, grain_of_rows(x.cols), [&](std::int64_t i, int) {
      const auto& [id, position] = tokens[static_cast<std::size_t>(i)];
      words.copy(id, x.row(i));
      types.add(0, x.row(i));
      positions.add(position, x.row(i));
    });
    norm.forward(x, x);
  }

  /// Runs texts, whose tokens fit a pass, and gives each one's last states to `take`.
  void run(std::span<const TokenIds> texts, const StageObserver& observer,
           const std::function<void(std::size_t text, ConstRows states)>& take) {
    std::vector<std::int64_t> lengths;
    std::int64_t num_tokens = 0;
    for (const TokenIds& ids : texts) {
      lengths.push_back(static_cast<std::int64_t>(ids.size()));
      num_tokens += lengths.back();
    }
    const auto workspace = workspaces.borrow();
    const Rows x = workspace->states.resize(num_tokens, config.hidden_size);
    embed_tokens(texts, x);
    if (observer) observer("embeddings", x);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      blocks[i].forward(x, lengths, *workspace);
      if (observer) observer("layer." + std::to_string(i), x);
    }
    std::int64_t first = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      take(i, x.slice(first, lengths[i]));
      first += lengths[i];
    }
  }

  /// run() on as many texts at a time as fit a pass.
  void run_all(std::span<const TokenIds> texts, const StageObserver& observer,
               const std::function<void(std::size_t text, ConstRows states)>& take) {
    check(texts);
    for (std::size_t first = 0; first < texts.size();) {
      std::size_t count = 0;
      std::size_t num_tokens = 0;
      do {
        num_tokens += texts[first + count].size();
        ++count;
      } while (first + count < texts.size() &&
               num_tokens + texts[first + count].size() <= kMaxTokensPerPass);
      run(texts.subspan(first, count), observer,
          [&](std::size_t text, ConstRows states) { take(first + text, states); });
      first += count;
    }
  }

  BertConfig config;
  Precision precision;
  Embedding words;
  Embedding positions;
  Embedding types;
  LayerNorm norm;
  std::vector<PostNormBlock> blocks;
  WorkspacePool workspaces;
};

Bert Bert::open(const std::filesystem::path& directory, Precision precision) {
  return {std::make_shared<const ModelFiles>(directory), precision};
}

Bert::Bert(std::shared_ptr<const ModelFiles> files, Precision precision)
    : network_(std::make_unique<Network>(std::move(files), precision)) {}
Bert::Bert(Bert&&) noexcept = default;
Bert& Bert::operator=(Bert&&) noexcept = default;
Bert::~Bert() = default;

const BertConfig& Bert::config() const { return network_->config; }
Precision Bert::precision() const { return network_->precision; }

std::vector<TokenMatrix> Bert::hidden_states(std::span<const TokenIds> texts,
                                             const StageObserver& observer) const {
  std::vector<TokenMatrix> all(texts.size());
  network_->run_all(texts, observer, [&](std::size_t text, ConstRows states) {
    all[text] = {static_cast<int>(states.rows), static_cast<int>(states.cols),
                 std::vector<float>(states.data, states.data + states.rows * states.cols)};
  });
  return all;
}

std::vector<float> Bert::embed(std::span<const TokenIds> texts, Pooling pooling,
                               bool normalise) const {
  const std::int64_t hidden = config().hidden_size;
  std::vector<float> vectors(texts.size() * static_cast<std::size_t>(hidden));
  network_->run_all(texts, {}, [&](std::size_t text, ConstRows states) {
    float* vector = vectors.data() + static_cast<std::int64_t>(text) * hidden;
    pool(states, pooling, vector);
    if (normalise) make_unit_length(vector, hidden);
  });
  return vectors;
}

TokenMatrix Bert::word_embeddings(std::span<const std::int32_t> ids) const {
  network_->check(ids);
  const auto hidden = static_cast<std::size_t>(config().hidden_size);
  TokenMatrix tokens{static_cast<int>(ids.size()), static_cast<int>(hidden), {}};
  tokens.values.resize(ids.size() * hidden);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    network_->words.copy(ids[i], tokens.values.data() + i * hidden);
  }
  return tokens;
}

}  // namespace mmra::encoders
