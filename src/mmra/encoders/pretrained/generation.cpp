#include "mmra/encoders/pretrained/generation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::encoders {
namespace {

using Sentence = std::vector<std::int32_t>;

constexpr float kBanned = -std::numeric_limits<float>::infinity();

bool contains(std::span<const std::int32_t> ids, std::int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// Candidates per beam: enough that, whatever ends, every beam has one that goes on.
std::size_t candidates_per_beam(const GenerationOptions& options) {
  return std::max<std::size_t>(2, 1 + options.end_ids.size());
}

Error invalid(const std::string& message) {
  return Error(ErrorKind::kInvalidInput, "generation: " + message);
}

void check_id(const char* name, std::int32_t id, int vocabulary_size) {
  if (id < 0 || id >= vocabulary_size) {
    throw invalid(std::string(name) + " must be in [0, " + std::to_string(vocabulary_size) +
                  "), the model's vocabulary, not " + std::to_string(id));
  }
}

void penalise_repetition(std::span<float> scores, std::span<const std::int32_t> sentence,
                         float penalty) {
  for (std::size_t i = 0; i < sentence.size(); ++i) {
    if (contains(sentence.first(i), sentence[i])) continue;  // once a token
    float& score = scores[static_cast<std::size_t>(sentence[i])];
    score = score < 0.0F ? score * penalty : score / penalty;
  }
}

/// Bans every token that would finish an n-gram that the sentence already has.
void ban_repeated_ngrams(std::span<float> scores, std::span<const std::int32_t> sentence,
                         std::size_t n) {
  if (sentence.size() < n) return;
  const auto prefix = sentence.last(n - 1);
  for (std::size_t first = 0; first + n <= sentence.size(); ++first) {
    const auto ngram = sentence.subspan(first, n);
    if (std::equal(prefix.begin(), prefix.end(), ngram.begin())) {
      scores[static_cast<std::size_t>(ngram.back())] = kBanned;
    }
  }
}

/// In transformers' order, which matters: a token may be penalised and banned.
void apply_rules(std::span<float> scores, std::span<const std::int32_t> sentence,
                 const GenerationOptions& options) {
  if (options.repetition_penalty != 1.0F) {
    penalise_repetition(scores, sentence, options.repetition_penalty);
  }
  if (options.no_repeat_ngram_size > 0) {
    ban_repeated_ngrams(scores, sentence, static_cast<std::size_t>(options.no_repeat_ngram_size));
  }
  if (sentence.size() < static_cast<std::size_t>(options.min_length)) {
    for (const std::int32_t id : options.end_ids) scores[static_cast<std::size_t>(id)] = kBanned;
  }
}

void require_finite(float best_score) {
  if (!std::isfinite(best_score)) {
    throw Error(ErrorKind::kCorruptData,
                "generation: the language model's scores are not finite numbers; its weights are "
                "damaged, or belong to another architecture");
  }
}

/// logits → log-probabilities, in place.
void log_softmax(std::span<float> logits) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  require_finite(highest);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  const float shift = static_cast<float>(std::log(sum));
  for (float& logit : logits) logit = (logit - highest) - shift;
}

class LogitRows {
 public:
  explicit LogitRows(NextTokenModel& model)
      : model_(model), vocabulary_size_(static_cast<std::size_t>(model.vocabulary_size())) {}

  void advance(std::span<const std::int32_t> tokens, std::span<const int> parents) {
    logits_.resize(tokens.size() * vocabulary_size_);
    model_.advance(tokens, parents, logits_);
  }
  [[nodiscard]] std::span<float> row(std::size_t index) {
    return std::span(logits_).subspan(index * vocabulary_size_, vocabulary_size_);
  }

 private:
  NextTokenModel& model_;
  std::size_t vocabulary_size_;
  std::vector<float> logits_;
};

std::vector<Sentence> generate_greedily(NextTokenModel& model, int num_items,
                                        const GenerationOptions& options) {
  std::vector<Sentence> sentences(static_cast<std::size_t>(num_items), {options.start_id});
  std::vector<std::size_t> open(sentences.size());  // the item of each row
  std::vector<int> parents(sentences.size());
  std::vector<std::int32_t> tokens(sentences.size(), options.start_id);
  for (std::size_t item = 0; item < sentences.size(); ++item) {
    open[item] = item;
    parents[item] = static_cast<int>(item);
  }
  LogitRows logits(model);
  for (int length = 1; length < options.max_length && !open.empty(); ++length) {
    logits.advance(tokens, parents);
    std::vector<std::size_t> still_open;
    parents.clear();
    tokens.clear();
    for (std::size_t row = 0; row < open.size(); ++row) {
      Sentence& sentence = sentences[open[row]];
      const std::span<float> scores = logits.row(row);
      apply_rules(scores, sentence, options);
      const auto best = std::max_element(scores.begin(), scores.end());
      require_finite(*best);
      sentence.push_back(static_cast<std::int32_t>(best - scores.begin()));
      if (contains(options.end_ids, sentence.back())) continue;
      still_open.push_back(open[row]);
      parents.push_back(static_cast<int>(row));
      tokens.push_back(sentence.back());
    }
    open = std::move(still_open);
  }
  return sentences;
}

/// The best finished sentences of one item, at most num_beams.
class Hypotheses {
 public:
  explicit Hypotheses(const GenerationOptions& options)
      : options_(options), capacity_(static_cast<std::size_t>(options.num_beams)) {}

  /// `generated` tokens after the start token decide the length that the score is divided by.
  void add(const Sentence& sentence, double log_probability, std::size_t generated) {
    const double score = normalised(log_probability, generated);
    if (finished_.size() >= capacity_ && score <= worst_score_) return;
    finished_.push_back({score, sentence});
    if (finished_.size() <= capacity_) {
      worst_score_ = std::min(worst_score_, score);
      return;
    }
    const auto lower = [](const Finished& a, const Finished& b) { return a.score < b.score; };
    finished_.erase(std::min_element(finished_.begin(), finished_.end(), lower));
    worst_score_ = std::min_element(finished_.begin(), finished_.end(), lower)->score;
  }

  /// True where no open beam can, or is likely to, become better than what is finished.
  [[nodiscard]] bool is_complete(double best_log_probability, std::size_t generated) const {
    if (finished_.size() < capacity_) return false;
    switch (options_.early_stopping) {
      case EarlyStopping::kFirst:
        return true;
      case EarlyStopping::kLikely:
        return worst_score_ >= normalised(best_log_probability, generated);
      case EarlyStopping::kNever:
        break;
    }
    const std::size_t longest = static_cast<std::size_t>(options_.max_length) - 1;
    return worst_score_ >=
           normalised(best_log_probability, options_.length_penalty > 0.0 ? longest : generated);
  }

  /// Of equal ones the latest, as a stable sort leaves it.
  [[nodiscard]] const Sentence& best() const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < finished_.size(); ++i) {
      if (finished_[i].score >= finished_[best].score) best = i;
    }
    return finished_[best].sentence;
  }

 private:
  struct Finished {
    double score;
    Sentence sentence;
  };

  [[nodiscard]] double normalised(double log_probability, std::size_t generated) const {
    return log_probability / std::pow(static_cast<double>(generated), options_.length_penalty);
  }

  const GenerationOptions& options_;
  std::size_t capacity_;
  std::vector<Finished> finished_;
  double worst_score_ = 1e9;
};

struct Beam {
  Sentence sentence;
  float log_probability = 0.0F;
  int parent = 0;  ///< row of the model's last call that it continues
};

struct Candidate {
  float score = 0.0F;  ///< log-probability of the whole sentence
  std::size_t beam = 0;
  std::int32_t token = 0;
};

bool better(const Candidate& a, const Candidate& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
}

/// Keeps the best `capacity` candidates.
class CandidateHeap {
 public:
  explicit CandidateHeap(std::size_t capacity) : capacity_(capacity) {}

  void offer(const Candidate& candidate) {
    if (heap_.size() < capacity_) {
      heap_.push_back(candidate);
      std::push_heap(heap_.begin(), heap_.end(), better);
    } else if (better(candidate, heap_.front())) {
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.back() = candidate;
      std::push_heap(heap_.begin(), heap_.end(), better);
    }
  }
  /// Best first.
  [[nodiscard]] std::vector<Candidate> take_sorted() {
    std::sort_heap(heap_.begin(), heap_.end(), better);
    return std::move(heap_);
  }

 private:
  std::size_t capacity_;
  std::vector<Candidate> heap_;
};

/// Beam search of one item.
class ItemSearch {
 public:
  ItemSearch(int item, const GenerationOptions& options)
      : options_(options), hypotheses_(options), beams_{{{options.start_id}, 0.0F, item}} {}

  [[nodiscard]] bool is_done() const { return done_; }
  [[nodiscard]] const std::vector<Beam>& beams() const { return beams_; }

  /// Rows first_row, first_row + 1, … of `logits` belong to the beams.
  void step(LogitRows& logits, std::size_t first_row) {
    const std::vector<Candidate> candidates = best_candidates(logits, first_row);
    const std::size_t num_beams = static_cast<std::size_t>(options_.num_beams);
    const std::size_t generated = beams_.front().sentence.size();  // with the new token
    std::vector<Beam> next;
    for (std::size_t rank = 0; rank < candidates.size() && next.size() < num_beams; ++rank) {
      const Candidate& candidate = candidates[rank];
      const Beam& beam = beams_[candidate.beam];
      if (contains(options_.end_ids, candidate.token)) {
        if (rank < num_beams) hypotheses_.add(beam.sentence, candidate.score, generated);
        continue;
      }
      next.push_back(
          {beam.sentence, candidate.score, static_cast<int>(first_row + candidate.beam)});
      next.back().sentence.push_back(candidate.token);
    }
    beams_ = std::move(next);
    done_ = hypotheses_.is_complete(candidates.front().score, generated);
  }

  /// The best sentence, with the end id where it fits.
  [[nodiscard]] Sentence finish() {
    if (!done_) {
      for (const Beam& beam : beams_) {
        hypotheses_.add(beam.sentence, beam.log_probability, beam.sentence.size() - 1);
      }
    }
    Sentence sentence = hypotheses_.best();
    if (sentence.size() < static_cast<std::size_t>(options_.max_length)) {
      sentence.push_back(options_.end_ids.front());
    }
    return sentence;
  }

 private:
  [[nodiscard]] std::vector<Candidate> best_candidates(LogitRows& logits, std::size_t first_row) {
    CandidateHeap heap(candidates_per_beam(options_) *
                       static_cast<std::size_t>(options_.num_beams));
    for (std::size_t b = 0; b < beams_.size(); ++b) {
      const std::span<float> scores = logits.row(first_row + b);
      log_softmax(scores);
      apply_rules(scores, beams_[b].sentence, options_);
      for (std::size_t token = 0; token < scores.size(); ++token) {
        heap.offer(
            {scores[token] + beams_[b].log_probability, b, static_cast<std::int32_t>(token)});
      }
    }
    return heap.take_sorted();
  }

  const GenerationOptions& options_;
  Hypotheses hypotheses_;
  std::vector<Beam> beams_;
  bool done_ = false;
};

std::vector<Sentence> search_beams(NextTokenModel& model, int num_items,
                                   const GenerationOptions& options) {
  std::vector<ItemSearch> items;
  for (int item = 0; item < num_items; ++item) items.emplace_back(item, options);
  LogitRows logits(model);
  for (int length = 1; length < options.max_length; ++length) {
    std::vector<std::int32_t> tokens;
    std::vector<int> parents;
    for (const ItemSearch& item : items) {
      if (item.is_done()) continue;
      for (const Beam& beam : item.beams()) {
        tokens.push_back(beam.sentence.back());
        parents.push_back(beam.parent);
      }
    }
    if (tokens.empty()) break;
    logits.advance(tokens, parents);
    std::size_t row = 0;
    for (ItemSearch& item : items) {
      if (item.is_done()) continue;
      const std::size_t num_rows = item.beams().size();
      item.step(logits, row);
      row += num_rows;
    }
  }
  std::vector<Sentence> sentences;
  for (ItemSearch& item : items) sentences.push_back(item.finish());
  return sentences;
}

}  // namespace

void check(const GenerationOptions& options, int vocabulary_size) {
  check_id("the start id", options.start_id, vocabulary_size);
  if (options.end_ids.empty()) throw invalid("at least one end id is needed");
  for (const std::int32_t id : options.end_ids) check_id("an end id", id, vocabulary_size);
  if (options.max_length < 2) {
    throw invalid("max_length must be at least 2 (the start token and one more), not " +
                  std::to_string(options.max_length));
  }
  if (options.min_length < 0) {
    throw invalid("min_length must not be negative, but is " + std::to_string(options.min_length));
  }
  if (options.num_beams < 1) {
    throw invalid("num_beams must be at least 1, not " + std::to_string(options.num_beams));
  }
  const std::size_t candidates =
      candidates_per_beam(options) * static_cast<std::size_t>(options.num_beams);
  if (options.num_beams > 1 && candidates > static_cast<std::size_t>(vocabulary_size)) {
    throw invalid(std::to_string(options.num_beams) + " beams need a vocabulary of " +
                  std::to_string(candidates) + " tokens, the model's has " +
                  std::to_string(vocabulary_size));
  }
  if (!std::isfinite(options.length_penalty)) throw invalid("length_penalty is not a number");
  if (!(options.repetition_penalty > 0.0F) || !std::isfinite(options.repetition_penalty)) {
    throw invalid("repetition_penalty must be above 0, not " +
                  std::to_string(options.repetition_penalty));
  }
  if (options.no_repeat_ngram_size < 0) {
    throw invalid("no_repeat_ngram_size must not be negative, but is " +
                  std::to_string(options.no_repeat_ngram_size));
  }
}

std::vector<std::vector<std::int32_t>> generate(NextTokenModel& model, int num_items,
                                                const GenerationOptions& options) {
  check(options, model.vocabulary_size());
  return options.num_beams == 1 ? generate_greedily(model, num_items, options)
                                : search_beams(model, num_items, options);
}

}  // namespace mmra::encoders
