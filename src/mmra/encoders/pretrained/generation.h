#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mmra::encoders {

/// When beam search stops, as transformers' `early_stopping` says it.
enum class EarlyStopping {
  kLikely,  ///< false: when the best open beam, at its present length, cannot win any more
  kFirst,   ///< true: as soon as num_beams sentences are finished
  kNever,   ///< "never": only when no open beam can win at any length
};

/// How sentences are generated: the names, meanings and defaults of transformers' GenerationConfig.
/// Lengths are in tokens and count the start token.
struct GenerationOptions {
  std::int32_t start_id = 0;
  std::vector<std::int32_t> end_ids;  ///< any of them finishes a sentence; at least one
  int max_length = 20;
  int min_length = 0;
  int num_beams = 1;  ///< 1: greedy
  double length_penalty = 1.0;
  EarlyStopping early_stopping = EarlyStopping::kLikely;
  float repetition_penalty = 1.0F;
  int no_repeat_ngram_size = 0;  ///< 0: repetition is allowed
};

/// Throws Error{kInvalidInput} naming the option that cannot be, with its value: no end id, an id
/// outside [0, vocabulary_size), a length below 2, fewer than one beam, more beams than the
/// vocabulary has candidates for, a penalty that is not a positive number.
void check(const GenerationOptions& options, int vocabulary_size);

/// What generation needs of a language model: the scores of the next token of some sentences, each
/// of which continues one of those of the call before.
class NextTokenModel {
 public:
  virtual ~NextTokenModel() = default;
  [[nodiscard]] virtual int vocabulary_size() const = 0;
  /// Sentence i becomes the one that was in row `parents[i]` of the call before, followed by
  /// `tokens[i]`; in the first call, `parents[i]` is the item that it is about. Writes the logits
  /// of what follows, row-major [tokens.size() × vocabulary_size()]. Rows that are nobody's parent
  /// are finished; several rows may have the same parent.
  virtual void advance(std::span<const std::int32_t> tokens, std::span<const int> parents,
                       std::span<float> logits) = 0;
};

/// One sentence for each of `num_items` items: start id, tokens, the end id where it fits into
/// max_length. Greedy for one beam, else beam search (the best sentence of num_beams). Equal, id
/// for id, to transformers' `generate` without sampling; as there, penalties act on logits in
/// greedy search and on log-probabilities in beam search. Items that are finished are no longer
/// asked for. Throws as `check` does, and Error{kCorruptData} where logits are not finite numbers.
[[nodiscard]] std::vector<std::vector<std::int32_t>> generate(NextTokenModel& model, int num_items,
                                                              const GenerationOptions& options);

}  // namespace mmra::encoders
