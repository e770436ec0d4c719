#include "mmra/pipeline/predict.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <future>
#include <memory>
#include <utility>

#include "mmra/bank/feature_table.h"
#include "mmra/bank/label_table.h"
#include "mmra/bank/load_feature_table.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/pipeline/systems.h"
#include "mmra/retrieval/random_instances.h"

namespace mmra::pipeline {
namespace {

bank::TokenView view_of(const HalfTokenMatrix& tokens) {
  return {tokens.num_tokens, tokens.dim, tokens.values};
}

std::vector<double> sorted_labels(const bank::BankTable& table) {
  std::vector<double> labels;
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    if (const auto popularity = table.popularity(row)) labels.push_back(*popularity);
  }
  std::sort(labels.begin(), labels.end());
  return labels;
}

/// Share of `sorted` below `value`, ties counted half, in percent.
double percentile_of(const std::vector<double>& sorted, double value) {
  if (sorted.empty()) return 50.0;
  const auto below = std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
  const auto up_to = std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
  return 50.0 * static_cast<double>(below + up_to) / static_cast<double>(sorted.size());
}

/// A new clip gets its tokens from the bank's encoders: they must be those that made the bank's.
void require_own_tokens(const Query& query, const bank::BankSchema& schema) {
  if (query.id) return;
  const ForeignFeatures foreign = foreign_features(schema.encoders_name);
  const auto refuse = [&](const char* part, const char* flag) {
    throw Error(ErrorKind::kInvalidInput,
                std::string("the bank's ") + part + " features were made elsewhere (" +
                    schema.encoders_name + "); predict a record with --id, or leave " + flag +
                    " out");
  };
  if (foreign.visual && query.has_clip()) refuse("visual", "--video");
  if (foreign.text && !query.title.empty()) refuse("text", "--title");
}

void require_own_text(const bank::BankSchema& schema) {
  if (!foreign_features(schema.encoders_name).text) return;
  throw Error(ErrorKind::kInvalidInput, "the bank's text features were made elsewhere (" +
                                            schema.encoders_name +
                                            "), so other titles cannot be tried with it");
}

bank::RowDetails details_of(const EncodedQuery& query, const bank::TokenView& visual) {
  bank::Record record;
  record.title = query.title;
  record.captions = query.captions;
  record.context = query.context;
  record.posted_at = query.posted_at;
  return bank::make_details(record, visual, query.features.retrieval_vector);
}

/// The features of the retrieved instances alone: k rows, not the whole bank.
bank::FeatureTable instance_features(const bank::MemoryBank& bank, const bank::BankTable& table,
                                     const bank::BankSchema& schema,
                                     const retrieval::RetrievalResult& result,
                                     const retrieval::QueryIdentity& query,
                                     std::vector<std::int32_t>& instance_rows) {
  bank::FeatureTable features(schema.visual_dim, schema.text_dim);
  for (const std::int32_t row : result.rows) {
    std::optional<bank::Features> stored;
    if (row != retrieval::RetrievalResult::kNoInstance) {
      stored = bank.find_features(table.id(static_cast<std::size_t>(row)));
    }
    if (!stored) {  // none, or removed since the table was made
      instance_rows.push_back(retrieval::RetrievalResult::kNoInstance);
      continue;
    }
    instance_rows.push_back(static_cast<std::int32_t>(features.num_rows()));
    features.append(view_of(stored->visual_tokens), view_of(stored->text_tokens),
                    retrieval::popularity_of(table, static_cast<std::size_t>(row), query));
  }
  return features;
}

/// Makes the instances that a model chose by itself those of the batch.
void show_used(const std::vector<model::UsedInstance>& used, model::Batch& batch) {
  batch.instance_rows.assign(static_cast<std::size_t>(batch.k),
                             retrieval::RetrievalResult::kNoInstance);
  batch.similarities.assign(static_cast<std::size_t>(batch.k), 0.0F);
  for (std::size_t j = 0; j < used.size(); ++j) {
    batch.instance_rows[j] = static_cast<std::int32_t>(used[j].row);
    batch.similarities[j] = static_cast<float>(used[j].similarity);
  }
}

/// A query, and the same query with something taken away, all in one batch: a model reads what it
/// needs once.
class Explanation {
 public:
  /// `asked` is the batch of the query alone.
  Explanation(const bank::Features& query, const bank::BankSchema& schema,
              const model::Batch& asked, bool uses_instances)
      : asked_(asked), queries_(schema.visual_dim, schema.text_dim) {
    const bank::TokenView visual = view_of(query.visual_tokens);
    const bank::TokenView text = view_of(query.text_tokens);
    bank::RowDetails details;
    if (asked.queries->has_details()) details = asked.queries->details(0);
    append(visual, text, details);
    append({0, visual.dim, {}}, text, without_video(details));
    append(visual, {0, text.dim, {}}, without_title(details));
    const int num_frames = visual.num_tokens > 1 ? visual.num_tokens : 0;
    for (int frame = 0; frame < num_frames; ++frame) {
      const std::vector<Float16Bits> others = without_token(visual, frame);
      const bank::TokenView seen{visual.num_tokens - 1, visual.dim, others};
      append(seen, text, with_visual_mean(details, seen));
    }
    batch_.queries = &queries_;
    batch_.memory = asked.memory;
    batch_.k = asked.k;
    if (asked.own_retrieval) {
      batch_.own_retrieval = {asked.own_retrieval->table, asked.own_retrieval->policy, {}};
    }
    add(kWhole, asked.instance_rows, own_identity());
    if (visual.num_tokens > 0) add_part("video", kWithoutVisual, asked.instance_rows);
    if (text.num_tokens > 0) add_part("title", kWithoutText, asked.instance_rows);
    for (int frame = 0; frame < num_frames; ++frame) {
      frames_.push_back(add(kWithoutFrame + frame, asked.instance_rows, own_identity()));
    }
    if (uses_instances) leave_out_instances();
  }
  Explanation(const Explanation&) = delete;
  Explanation& operator=(const Explanation&) = delete;

  /// What the model says of the query, and of each of its variants.
  [[nodiscard]] std::vector<float> predict(model::Predictor& predictor) const {
    return predictor.predict(batch_);
  }

  /// `predicted` by predict().
  void explain(const std::vector<float>& predicted, Prediction& prediction) const {
    const auto effect = [&](std::size_t i) {
      return static_cast<double>(predicted.front()) - predicted.at(i);
    };
    double sum = 0.0;
    for (const auto& [part, i] : parts_) sum += std::abs(effect(i));
    for (const auto& [part, i] : parts_) {
      prediction.parts.push_back({part, effect(i), bank::popularity_of_log2(predicted.at(i)),
                                  sum > 0.0 ? std::abs(effect(i)) / sum : 0.0});
    }
    for (const std::size_t i : frames_) prediction.frame_effects_log2.push_back(effect(i));
    for (const auto& [instance, i] : instances_) {
      prediction.instances.at(instance).effect_log2 = effect(i);
    }
  }

 private:
  enum : std::int32_t { kWhole, kWithoutVisual, kWithoutText, kWithoutFrame };

  void append(const bank::TokenView& visual, const bank::TokenView& text,
              const bank::RowDetails& details) {
    queries_.append(visual, text, std::nullopt);
    if (asked_.queries->has_details()) queries_.append_details(details);
  }
  static bank::RowDetails without_video(bank::RowDetails details) {
    details.visual_mean.clear();
    return details;
  }
  static std::vector<Float16Bits> without_token(const bank::TokenView& tokens, int token) {
    const auto dim = static_cast<std::size_t>(tokens.dim);
    std::vector<Float16Bits> others(tokens.values.begin(), tokens.values.end());
    const auto first = others.begin() + static_cast<std::ptrdiff_t>(token * dim);
    others.erase(first, first + static_cast<std::ptrdiff_t>(dim));
    return others;
  }
  static bank::RowDetails with_visual_mean(bank::RowDetails details,
                                           const bank::TokenView& visual) {
    details.visual_mean = bank::mean_of(visual);
    return details;
  }
  static bank::RowDetails without_title(bank::RowDetails details) {
    details.title.clear();
    return details;
  }

  /// `identity`: to a model that retrieves by itself, which does not look at `rows`.
  std::size_t add(std::int32_t query, const std::vector<std::int32_t>& rows,
                  const retrieval::QueryIdentity& identity) {
    if (batch_.own_retrieval) batch_.own_retrieval->queries.push_back(identity);
    batch_.query_rows.push_back(query);
    batch_.instance_rows.insert(batch_.instance_rows.end(), rows.begin(), rows.end());
    batch_.similarities.insert(batch_.similarities.end(), asked_.similarities.begin(),
                               asked_.similarities.end());
    return batch_.query_rows.size() - 1;
  }
  void add_part(const char* name, std::int32_t query, const std::vector<std::int32_t>& rows) {
    parts_.emplace_back(name, add(query, rows, own_identity()));
  }
  [[nodiscard]] retrieval::QueryIdentity own_identity() const {
    return asked_.own_retrieval ? asked_.own_retrieval->queries.at(0) : retrieval::QueryIdentity{};
  }

  void leave_out_instances() {
    const std::vector<std::int32_t>& rows = asked_.instance_rows;
    const std::vector<std::int32_t> none(rows.size(), retrieval::RetrievalResult::kNoInstance);
    if (rows == none) return;
    retrieval::QueryIdentity identity = own_identity();
    identity.sees_nothing = true;
    parts_.emplace_back("retrieval", add(kWhole, none, identity));
    for (std::size_t j = 0; j < rows.size(); ++j) {
      if (rows[j] == retrieval::RetrievalResult::kNoInstance) continue;
      std::vector<std::int32_t> others = rows;
      others[j] = retrieval::RetrievalResult::kNoInstance;
      identity = own_identity();
      identity.without_row = static_cast<std::size_t>(rows[j]);
      instances_.emplace_back(j, add(kWhole, others, identity));
    }
  }

  const model::Batch& asked_;
  bank::FeatureTable queries_;
  model::Batch batch_;
  std::vector<std::pair<std::string, std::size_t>> parts_;      ///< with their place in the batch
  std::vector<std::size_t> frames_;                             ///< their places in the batch
  std::vector<std::pair<std::size_t, std::size_t>> instances_;  ///< as parts_
};

std::shared_future<std::shared_ptr<model::Predictor>> load_beside(const System& system,
                                                                  std::filesystem::path directory,
                                                                  int num_threads) {
  const auto load = [&system, directory = std::move(directory),
                     num_threads]() -> std::shared_ptr<model::Predictor> {
    return system.load(directory, num_threads);
  };
  return std::async(std::launch::async, load).share();
}

// Vectors that no cache holds (64 MiB): one query waits for them to come from memory, and a quarter
// comes sooner.
constexpr std::size_t kValuesWorthBytes = std::size_t{1} << 24;

}  // namespace

PredictionEngine::PredictionEngine(const std::filesystem::path& bank_directory,
                                   const std::filesystem::path& model_directory, int num_threads,
                                   encoders::Precision precision,
                                   std::optional<int> network_threads, const std::string& horizon)
    : num_threads_(num_threads),
      bank_(bank::open_bank(bank_directory, bank::OpenMode::kReadOnly)),
      schema_(bank_->info().schema),
      card_(load_training_card(model_directory)),
      similarity_scale_(
          system_of_model(card_.model, model_directory).similarity_scale(model_directory)),
      calibration_(training::load_calibration(model_directory / "calibration.json")),
      predictor_((check_same_encoders(card_, schema_),
                  load_beside(system_of_model(card_.model, model_directory), model_directory,
                              network_threads.value_or(num_threads)))),
      encoders_(open_bank_encoders(bank_directory, schema_, precision)),
      columns_(system_of_model(card_.model, model_directory).feature_columns()) {
  if (!horizon.empty()) {
    static_cast<void>(bank::require_horizon(horizon));
    card_.popularity_horizon = horizon;
  }
  read_table();
}

void PredictionEngine::read_table() {
  if (!card_.popularity_horizon.empty()) schema_.popularity_horizon = card_.popularity_horizon;
  const std::optional<Duration> label_horizon = bank::horizon_of(card_.popularity_horizon);
  if (columns_.details) {
    bank::LoadedFeatures loaded = bank::load_feature_table(*bank_, columns_, label_horizon);
    memory_ = std::move(loaded.features);
    table_ = std::move(loaded.table);
  } else {
    table_ = bank_->table();
    if (label_horizon) table_ = bank::with_horizon(std::move(table_), *label_horizon);
  }
  bytes_.reset();
  const std::span<const float> vectors = table_->retrieval_vectors();
  if (vectors.size() >= kValuesWorthBytes) {
    bytes_.emplace(vectors, static_cast<std::size_t>(table_->retrieval_dim()), num_threads_);
  }
  sorted_popularity_ = sorted_labels(*table_);
}

void PredictionEngine::refresh() {
  if (table_->generation() == bank_->info().generation) return;
  schema_ = bank_->info().schema;  // it may have more context columns
  read_table();
}

void PredictionEngine::check(const Query& query) const { require_own_tokens(query, schema_); }

std::vector<EncodedQuery> PredictionEngine::encode(std::span<const Query> queries,
                                                   const std::stop_token& stop) const {
  for (const Query& query : queries) check(query);
  return encode_queries(*bank_, *table_, encoders_, queries, num_threads_, stop);
}

std::vector<EncodedQuery> PredictionEngine::encode_titles(const Query& query,
                                                          const std::vector<std::string>& titles,
                                                          const std::stop_token& stop) const {
  require_own_text(schema_);
  Query clip = query;
  clip.title.clear();
  require_own_tokens(clip, schema_);
  return pipeline::encode_titles(*bank_, *table_, encoders_, query, titles, num_threads_, stop);
}

std::vector<Instance> PredictionEngine::search(const EncodedQuery& query, int k,
                                               const std::stop_token& stop) const {
  const retrieval::RetrievalResult found = retrieval::search_exact(
      *table_, query.features.retrieval_vector, std::span(&query.identity, 1), k,
      retrieval::RetrievalPolicy::deployed().with_labels_as_of(), num_threads_, stop,
      bytes_ ? &*bytes_ : nullptr);
  return describe_instances(*bank_, *table_, found, /*similarity_scale=*/0.0, query.identity);
}

Prediction PredictionEngine::predict(const Query& query, const std::stop_token& stop) {
  return predict(std::move(encode(std::span(&query, 1), stop).front()), stop);
}

std::vector<Prediction> PredictionEngine::predict_titles(const Query& query,
                                                         const std::vector<std::string>& titles,
                                                         const std::stop_token& stop) {
  std::vector<Prediction> predictions;
  for (EncodedQuery& encoded : encode_titles(query, titles, stop)) {
    predictions.push_back(predict(std::move(encoded), stop));
  }
  return predictions;
}

/// The number, its interval and where it stands in the bank.
void PredictionEngine::set_number(double log2_popularity, const training::ErrorSignals& signals,
                                  Prediction& prediction) const {
  const double half_width = calibration_.half_width(signals);
  prediction.log2_popularity = log2_popularity;
  prediction.error_scale = calibration_.error_scale(signals);
  prediction.popularity = bank::popularity_of_log2(log2_popularity);
  prediction.interval_level = calibration_.level;
  prediction.interval_low = bank::popularity_of_log2(log2_popularity - half_width);
  prediction.interval_high = bank::popularity_of_log2(log2_popularity + half_width);
  prediction.percentile = percentile_of(sorted_popularity_, prediction.popularity);
  prediction.unit = schema_.popularity_unit;
  prediction.horizon = schema_.popularity_horizon;
}

Prediction PredictionEngine::predict(EncodedQuery encoded, const std::stop_token& stop) {
  // A model that retrieves by itself reads the labels that it has in memory, which are the latest.
  const auto policy = memory_ ? retrieval::RetrievalPolicy::deployed()
                              : retrieval::RetrievalPolicy::deployed().with_labels_as_of();
  const retrieval::RetrievalResult retrieved = retrieval::retrieve(
      *table_, encoded.features.retrieval_vector, std::span(&encoded.identity, 1), card_.k, policy,
      card_.rules.instances, num_threads_, stop, bytes_ ? &*bytes_ : nullptr);

  bank::FeatureTable queries(schema_.visual_dim, schema_.text_dim);
  const bank::TokenView visual = view_of(encoded.features.visual_tokens);
  model::Batch batch;
  std::optional<bank::FeatureTable> instances;
  if (memory_) {
    // Without tokens, as the rows that it was trained on.
    queries.append({0, schema_.visual_dim, {}}, {0, schema_.text_dim, {}}, std::nullopt);
    queries.append_details(details_of(encoded, visual));
    batch.instance_rows = retrieved.rows;
    batch.own_retrieval = {table_.get(), policy, {encoded.identity}};
  } else {
    queries.append(visual, view_of(encoded.features.text_tokens), std::nullopt);
    instances = instance_features(*bank_, *table_, schema_, retrieved, encoded.identity,
                                  batch.instance_rows);
  }
  batch.queries = &queries;
  batch.query_rows = {0};
  batch.memory = memory_ ? &*memory_ : &*instances;
  batch.k = card_.k;
  batch.similarities = retrieved.similarities;

  model::Predictor& predictor = *predictor_.get();
  Prediction prediction;
  model::Batch shown = batch;  // with the instances that people see
  if (const auto used = predictor.used_instances(batch, card_.k)) {
    prediction.instances = describe_instances(*bank_, *table_, used->at(0), encoded.identity);
    show_used(used->at(0), shown);
  } else {
    prediction.instances = describe_instances(*bank_, *table_, retrieved,
                                              similarity_scale_.value_or(1.0), encoded.identity);
  }
  prediction.instances_used = similarity_scale_.has_value();
  if (!prediction.instances_used) {
    for (Instance& instance : prediction.instances) instance.weight = 0.0;
  }
  const Explanation explanation(encoded.features, schema_, shown, prediction.instances_used);
  const std::vector<float> predicted = explanation.predict(predictor);
  explanation.explain(predicted, prediction);
  set_number(predicted.front(), training::error_signals(batch, std::span(predicted).first(1)).at(0),
             prediction);
  prediction.captions = std::move(encoded.captions);
  prediction.thumbnails = std::move(encoded.thumbnails);
  prediction.warning = std::move(encoded.warning);
  return prediction;
}

}  // namespace mmra::pipeline
