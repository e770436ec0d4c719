#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "mmra/encoders/pretrained/generation.h"
#include "mmra/encoders/pretrained/transformer_blocks.h"

namespace mmra::encoders {

/// The sizes of BLIP's text decoder, from its config.json.
struct BlipTextConfig {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t image_hidden_size = 0;  ///< of the vision tower
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t max_tokens = 0;  ///< max_position_embeddings
  double layer_norm_epsilon = 0.0;
  Activation activation = Activation::kGelu;

  /// `text_config` is the section of that name of a BLIP's config.json; keys that it leaves out
  /// have transformers' defaults. Throws Error{kUnsupported} for relative positions, {kCorruptData}
  /// naming the key.
  [[nodiscard]] static BlipTextConfig from(const ModelConfig& text_config,
                                           std::int64_t image_hidden_size);
};

/// BlipTextLMHeadModel as a decoder of captions (Li et al. 2022): a BERT whose tokens see those
/// before them, and in every layer the image too. Post-norm:
///   x ← norm₁(x + self_attention(x)); x ← norm₂(x + cross_attention(x, image));
///   x ← norm₃(x + feed_forward(x)),
/// then logits = W norm(act(W' x + b')) + b. Immutable; begin() is thread-safe.
class BlipTextDecoder {
 public:
  /// The tensors below "text_decoder." of a BLIP model. Throws what ModelFiles, BlipTextConfig and
  /// Weights throw.
  BlipTextDecoder(std::shared_ptr<const ModelFiles> files, std::int64_t image_hidden_size,
                  Precision precision);
  BlipTextDecoder(BlipTextDecoder&&) noexcept;
  BlipTextDecoder& operator=(BlipTextDecoder&&) noexcept;
  ~BlipTextDecoder();

  [[nodiscard]] const BlipTextConfig& config() const;

  /// Bytes that begin() keeps for one image of `num_image_tokens`.
  [[nodiscard]] std::size_t bytes_per_image(std::int64_t num_image_tokens) const;

  /// Sentences about images: `image_states` [num_images · tokens × image_hidden_size], image by
  /// image, not needed after the call. Item i of the model is image i; sentences may have
  /// `max_length` tokens. Keys and values of the images and of the tokens so far are kept, so that
  /// a step costs one token a sentence. The decoder must outlive the model, which one thread at a
  /// time may use. Throws Error{kInvalidInput} where max_length is more than the decoder has
  /// positions for; advance() throws Error{kInvalidInput} for an id outside the vocabulary.
  [[nodiscard]] std::unique_ptr<NextTokenModel> begin(ConstRows image_states,
                                                      std::int64_t num_images, int max_length,
                                                      const StageObserver& observer = {}) const;

 private:
  struct Network;
  class Session;
  std::unique_ptr<Network> network_;
};

}  // namespace mmra::encoders
