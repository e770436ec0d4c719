#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mmra/core/token_matrix.h"
#include "mmra/encoders/pretrained/transformer_blocks.h"

namespace mmra::encoders {

/// The sizes of a BERT, from its config.json.
struct BertConfig {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t max_tokens = 0;  ///< max_position_embeddings
  std::int64_t num_token_types = 0;
  double layer_norm_epsilon = 0.0;
  Activation activation = Activation::kGelu;

  /// Throws Error{kUnsupported} for another model_type than "bert" or for relative positions,
  /// {kCorruptData} naming the key.
  [[nodiscard]] static BertConfig from(const ModelConfig& config);
};

/// How the last hidden states of a text become one vector.
enum class Pooling {
  kCls,         ///< the first token's
  kMean,        ///< the mean over all tokens, [CLS] and [SEP] among them
  kClsAverage,  ///< (the first token's + the mean) / 2, AnglE's "cls_avg"
};

/// Token ids of one text, [CLS] and [SEP] included.
using TokenIds = std::vector<std::int32_t>;

/// BertModel (Devlin et al. 2019) with absolute positions, all tokens of type 0, without dropout
/// and without the pooler. Immutable; every member is thread-safe. Texts of a batch are not padded:
/// one gives the same alone and among others, up to the rounding of float32 sums.
///
/// Members that take texts throw Error{kInvalidInput} for a text without tokens or with more than
/// config().max_tokens, and for an id outside the vocabulary.
class Bert {
 public:
  /// Opens a model folder. Throws what ModelFiles, BertConfig and Weights throw.
  [[nodiscard]] static Bert open(const std::filesystem::path& directory,
                                 Precision precision = Precision::kAuto);
  Bert(std::shared_ptr<const ModelFiles> files, Precision precision);
  Bert(Bert&&) noexcept;
  Bert& operator=(Bert&&) noexcept;
  ~Bert();

  [[nodiscard]] const BertConfig& config() const;
  [[nodiscard]] Precision precision() const;

  /// Last hidden states of each text [its tokens × hidden_size].
  [[nodiscard]] std::vector<TokenMatrix> hidden_states(std::span<const TokenIds> texts,
                                                       const StageObserver& observer = {}) const;

  /// One vector a text, [texts × hidden_size] row-major; `normalise` makes them of unit length.
  [[nodiscard]] std::vector<float> embed(std::span<const TokenIds> texts, Pooling pooling,
                                         bool normalise) const;

  /// The rows of the word-embedding table alone [tokens × hidden_size], before positions, types and
  /// norm.
  [[nodiscard]] TokenMatrix word_embeddings(std::span<const std::int32_t> ids) const;

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

}  // namespace mmra::encoders
