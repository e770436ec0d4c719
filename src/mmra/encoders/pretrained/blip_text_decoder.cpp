#include "mmra/encoders/pretrained/blip_text_decoder.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/encoders/pretrained/parallel_rows.h"

namespace mmra::encoders {
namespace {

constexpr std::int64_t kLargestWidth = 1 << 16;
constexpr std::int64_t kLargestCount = 1 << 24;

/// Keys and values of the images in one layer, [images · tokens × hidden] each.
struct ImageMemory {
  Matrix keys;
  Matrix values;
};

/// What the sentences of a decoding look at.
struct DecodingState {
  std::int64_t tokens_per_image = 0;
  std::vector<std::int32_t> image_of_row;
};

/// Attention to something, its output layer and the norm after it.
struct AttentionPart {
  AttentionPart(const Weights& weights, const BlipTextConfig& config, std::int64_t memory_width,
                Precision precision)
      : queries(weights, "self.query", config.hidden_size, config.hidden_size, precision),
        keys(weights, "self.key", config.hidden_size, memory_width, precision),
        values(weights, "self.value", config.hidden_size, memory_width, precision),
        output(weights, "output.dense", config.hidden_size, config.hidden_size, precision),
        norm(weights, "output.LayerNorm", config.hidden_size, config.layer_norm_epsilon) {}

  /// x ← norm(x + output(attended)).
  void finish(ConstRows attended, Rows x, Workspace& workspace) const {
    output.add_to(attended, x, workspace);
    norm.forward(x, x);
  }

  Linear queries;
  Linear keys;
  Linear values;
  Linear output;
  LayerNorm norm;
};

class DecoderLayer {
 public:
  DecoderLayer(const Weights& weights, const BlipTextConfig& config, Precision precision)
      : num_heads_(static_cast<int>(config.num_heads)),
        self_(weights.below("attention"), config, config.hidden_size, precision),
        cross_(weights.below("crossattention"), config, config.image_hidden_size, precision),
        feed_forward_(Linear(weights, "intermediate.dense", config.intermediate_size,
                             config.hidden_size, precision),
                      Linear(weights, "output.dense", config.hidden_size, config.intermediate_size,
                             precision),
                      config.activation),
        norm_(weights, "output.LayerNorm", config.hidden_size, config.layer_norm_epsilon) {}

  [[nodiscard]] ImageMemory remember(ConstRows image_states, Workspace& workspace) const {
    ImageMemory memory{Matrix(image_states.rows, cross_.keys.out()),
                       Matrix(image_states.rows, cross_.values.out())};
    const ProductOperand input = cross_.keys.input(image_states, workspace);
    cross_.keys.forward(input, memory.keys.view(), workspace);
    cross_.values.forward(input, memory.values.view(), workspace);
    return memory;
  }

  /// x [sentences × hidden], the newest token of each, through the layer.
  void forward(Rows x, KeyValueCache& cache, const ImageMemory& memory, const DecodingState& state,
               Workspace& workspace) const {
    attend_to_tokens(x, cache, workspace);
    attend_to_images(x, memory, state, workspace);
    feed_forward_.add_to(x, x, workspace);
    norm_.forward(x, x);
  }

 private:
  void attend_to_tokens(Rows x, KeyValueCache& cache, Workspace& workspace) const {
    const Rows projected = workspace.projected.resize(3 * x.rows, x.cols);
    const Rows queries = projected.slice(0, x.rows);
    const Rows keys = projected.slice(x.rows, x.rows);
    const Rows values = projected.slice(2 * x.rows, x.rows);
    const ProductOperand input = self_.queries.input(x, workspace);
    self_.queries.forward(input, queries, workspace);
    self_.keys.forward(input, keys, workspace);
    self_.values.forward(input, values, workspace);
    cache.append(keys, values);
    const Rows context = workspace.context.resize(x.rows, x.cols);
    std::vector<AttentionSequence> sequences;
    for (std::int64_t i = 0; i < x.rows; ++i) {
      sequences.push_back(
          {queries.slice(i, 1), cache.keys(i), cache.values(i), context.slice(i, 1)});
    }
    attend(sequences, num_heads_, workspace);
    self_.finish(context, x, workspace);
  }

  void attend_to_images(Rows x, const ImageMemory& memory, const DecodingState& state,
                        Workspace& workspace) const {
    const Rows queries = workspace.projected.resize(x.rows, x.cols);
    cross_.queries.forward(x, queries, workspace);
    const Rows context = workspace.context.resize(x.rows, x.cols);
    std::vector<AttentionSequence> sequences;
    for (std::int64_t first = 0; first < x.rows;) {
      // Neighbours that look at the same image (its beams) do so together.
      const std::int32_t image = state.image_of_row[static_cast<std::size_t>(first)];
      std::int64_t count = 1;
      while (first + count < x.rows &&
             state.image_of_row[static_cast<std::size_t>(first + count)] == image) {
        ++count;
      }
      const std::int64_t first_key = image * state.tokens_per_image;
      sequences.push_back({queries.slice(first, count),
                           memory.keys.view().slice(first_key, state.tokens_per_image),
                           memory.values.view().slice(first_key, state.tokens_per_image),
                           context.slice(first, count)});
      first += count;
    }
    attend(sequences, num_heads_, workspace);
    cross_.finish(context, x, workspace);
  }

  int num_heads_;
  AttentionPart self_;
  AttentionPart cross_;
  FeedForward feed_forward_;
  LayerNorm norm_;
};

/// The language model's head: logits = W norm(act(W' x + b')) + b. Checkpoints that tie W to the
/// word embeddings may leave it out, and name its bias either way.
class LanguageHead {
 public:
  LanguageHead(const Weights& weights, const BlipTextConfig& config, Precision precision)
      : activation_(config.activation),
        transform_(weights, "cls.predictions.transform.dense", config.hidden_size,
                   config.hidden_size, precision),
        norm_(weights, "cls.predictions.transform.LayerNorm", config.hidden_size,
              config.layer_norm_epsilon),
        words_(weights, first_there(weights, "cls.predictions.decoder.weight", kWordEmbeddings),
               std::array{config.vocab_size, config.hidden_size},
               first_there(weights, "cls.predictions.bias", "cls.predictions.decoder.bias"),
               config.vocab_size, config.hidden_size, precision) {}

  static constexpr const char* kWordEmbeddings = "bert.embeddings.word_embeddings.weight";

  void forward(ConstRows x, Rows logits, Workspace& workspace) const {
    const Rows transformed = workspace.normed.resize(x.rows, x.cols);
    transform_.forward(x, transformed, workspace, activation_);
    norm_.forward(transformed, transformed);
    words_.forward(transformed, logits, workspace);
  }

 private:
  static std::string first_there(const Weights& weights, const std::string& first,
                                 const std::string& second) {
    return !weights.has(first) && weights.has(second) ? second : first;
  }

  Activation activation_;
  Linear transform_;
  LayerNorm norm_;
  Linear words_;
};

}  // namespace

BlipTextConfig BlipTextConfig::from(const ModelConfig& text_config,
                                    std::int64_t image_hidden_size) {
  const std::string positions = text_config.text("position_embedding_type", "absolute");
  if (positions != "absolute") {
    throw Error(ErrorKind::kUnsupported, text_config.origin() +
                                             ": \"position_embedding_type\" is \"" + positions +
                                             "\"; \"absolute\" is read");
  }
  BlipTextConfig result;
  result.vocab_size = text_config.integer("vocab_size", 1, kLargestCount, 30524);
  result.hidden_size = text_config.integer("hidden_size", 1, kLargestWidth, 768);
  result.image_hidden_size = image_hidden_size;
  result.num_layers = text_config.integer("num_hidden_layers", 1, 1024, 12);
  result.num_heads = text_config.integer("num_attention_heads", 1, kLargestWidth, 8);
  result.intermediate_size = text_config.integer("intermediate_size", 1, kLargestWidth, 3072);
  result.max_tokens = text_config.integer("max_position_embeddings", 1, kLargestCount, 512);
  result.layer_norm_epsilon = text_config.number("layer_norm_eps", 0.0, 1.0, 1e-12);
  result.activation = parse_activation(text_config, "hidden_act");
  check_divides(text_config, "hidden_size", result.hidden_size, "num_attention_heads",
                result.num_heads);
  return result;
}

struct BlipTextDecoder::Network {
  Network(const std::shared_ptr<const ModelFiles>& files, std::int64_t image_hidden_size,
          Precision wanted)
      : Network(BlipTextConfig::from(files->config().section("text_config"), image_hidden_size),
                Weights::rooted_at(files, LanguageHead::kWordEmbeddings), resolve(wanted)) {}

  Network(const BlipTextConfig& sizes, const Weights& weights, Precision precision)
      : config(sizes),
        words(weights, LanguageHead::kWordEmbeddings, sizes.vocab_size, sizes.hidden_size,
              precision),
        positions(weights, "bert.embeddings.position_embeddings.weight", sizes.max_tokens,
                  sizes.hidden_size, precision),
        norm(weights, "bert.embeddings.LayerNorm", sizes.hidden_size, sizes.layer_norm_epsilon),
        head(weights, sizes, precision) {
    for (std::int64_t i = 0; i < sizes.num_layers; ++i) {
      layers.emplace_back(weights.below("bert.encoder.layer." + std::to_string(i)), sizes,
                          precision);
    }
  }

  BlipTextConfig config;
  Embedding words;
  Embedding positions;
  LayerNorm norm;
  LanguageHead head;
  std::vector<DecoderLayer> layers;
  WorkspacePool workspaces;
};

class BlipTextDecoder::Session : public NextTokenModel {
 public:
  Session(Network& network, ConstRows image_states, std::int64_t num_images, int max_length,
          StageObserver observer)
      : network_(network),
        workspace_(network.workspaces.borrow()),
        observer_(std::move(observer)),
        max_length_(max_length) {
    state_.tokens_per_image = num_images == 0 ? 0 : image_states.rows / num_images;
    if (num_images == 0) return;
    for (const DecoderLayer& layer : network.layers) {
      memories_.push_back(layer.remember(image_states, *workspace_));
    }
  }

  [[nodiscard]] int vocabulary_size() const override {
    return static_cast<int>(network_.config.vocab_size);
  }

  void advance(std::span<const std::int32_t> tokens, std::span<const int> parents,
               std::span<float> logits) override {
    check(tokens);
    continue_from(parents);
    const auto rows = static_cast<std::int64_t>(tokens.size());
    const Rows x = workspace_->states.resize(rows, network_.config.hidden_size);
    embed(tokens, x);
    observe("embeddings", x);
    for (std::size_t i = 0; i < network_.layers.size(); ++i) {
      network_.layers[i].forward(x, caches_[i], memories_[i], state_, *workspace_);
      observe("layer." + std::to_string(i), x);
    }
    const std::int64_t vocabulary = network_.config.vocab_size;
    network_.head.forward(x, {logits.data(), rows, vocabulary, vocabulary}, *workspace_);
    ++num_tokens_;
  }

 private:
  void check(std::span<const std::int32_t> tokens) const {
    for (const std::int32_t id : tokens) {
      if (id < 0 || id >= network_.config.vocab_size) {
        throw Error(ErrorKind::kInvalidInput,
                    "token id " + std::to_string(id) + " is outside of the captioner's " +
                        std::to_string(network_.config.vocab_size) + " words");
      }
    }
  }

  /// Makes row i what row parents[i] was, or, at first, about image parents[i].
  void continue_from(std::span<const int> parents) {
    if (num_tokens_ == 0) {
      state_.image_of_row.assign(parents.begin(), parents.end());
      for (std::size_t i = 0; i < network_.layers.size(); ++i) {
        caches_.emplace_back(static_cast<std::int64_t>(parents.size()), max_length_,
                             network_.config.hidden_size);
      }
      return;
    }
    bool is_same = parents.size() == state_.image_of_row.size();
    std::vector<std::int32_t> images;
    for (std::size_t i = 0; i < parents.size(); ++i) {
      is_same = is_same && parents[i] == static_cast<int>(i);
      images.push_back(state_.image_of_row.at(static_cast<std::size_t>(parents[i])));
    }
    if (is_same) return;
    state_.image_of_row = std::move(images);
    for (KeyValueCache& cache : caches_) cache.reorder(parents);
  }

  /// x ← norm(word + position).
  void embed(std::span<const std::int32_t> tokens, Rows x) const {
    for (std::int64_t i = 0; i < x.rows; ++i) {
      network_.words.copy(tokens[static_cast<std::size_t>(i)], x.row(i));
      network_.positions.add(num_tokens_, x.row(i));
    }
    network_.norm.forward(x, x);
  }

  void observe(const std::string& stage, ConstRows values) const {
    if (observer_) observer_(stage, values);
  }

  Network& network_;
  WorkspacePool::Lease workspace_;
  StageObserver observer_;
  std::int64_t max_length_;
  std::int64_t num_tokens_ = 0;
  DecodingState state_;
  std::vector<ImageMemory> memories_;  // one a layer
  std::vector<KeyValueCache> caches_;  // one a layer
};

BlipTextDecoder::BlipTextDecoder(std::shared_ptr<const ModelFiles> files,
                                 std::int64_t image_hidden_size, Precision precision)
    : network_(std::make_unique<Network>(files, image_hidden_size, precision)) {}
BlipTextDecoder::BlipTextDecoder(BlipTextDecoder&&) noexcept = default;
BlipTextDecoder& BlipTextDecoder::operator=(BlipTextDecoder&&) noexcept = default;
BlipTextDecoder::~BlipTextDecoder() = default;

const BlipTextConfig& BlipTextDecoder::config() const { return network_->config; }

std::size_t BlipTextDecoder::bytes_per_image(std::int64_t num_image_tokens) const {
  const BlipTextConfig& config = network_->config;
  return static_cast<std::size_t>(2 * config.num_layers * num_image_tokens * config.hidden_size) *
         sizeof(float);
}

std::unique_ptr<NextTokenModel> BlipTextDecoder::begin(ConstRows image_states,
                                                       std::int64_t num_images, int max_length,
                                                       const StageObserver& observer) const {
  // The last token of a sentence is never an input.
  if (max_length - 1 > network_->config.max_tokens) {
    throw Error(ErrorKind::kInvalidInput,
                "captions of at most " + std::to_string(max_length) +
                    " tokens need as many positions; this captioner has " +
                    std::to_string(network_->config.max_tokens) + " (lower max_length)");
  }
  return std::make_unique<Session>(*network_, image_states, num_images, max_length, observer);
}

}  // namespace mmra::encoders
