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
#include "mmra/pipeline/bank_index.h"
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

/// Appends the features of the retrieved instances alone (k rows, not the whole bank) and gives the
/// rows that they have in `features`.
std::vector<std::int32_t> append_instances(const bank::MemoryBank& bank,
                                           const bank::BankTable& table,
                                           const retrieval::RetrievalResult& result,
                                           const retrieval::QueryIdentity& query,
                                           bank::FeatureTable& features) {
  std::vector<std::int32_t> rows;
  rows.reserve(result.rows.size());
  for (const std::int32_t row : result.rows) {
    std::optional<bank::Features> stored;
    if (row != retrieval::RetrievalResult::kNoInstance) {
      stored = bank.find_features(table.id(static_cast<std::size_t>(row)));
    }
    if (!stored) {  // none, or removed since the table was made
      rows.push_back(retrieval::RetrievalResult::kNoInstance);
      continue;
    }
    rows.push_back(static_cast<std::int32_t>(features.num_rows()));
    features.append(view_of(stored->visual_tokens), view_of(stored->text_tokens),
                    retrieval::popularity_of(table, static_cast<std::size_t>(row), query));
  }
  return rows;
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

/// Some queries, and each of them with something taken away, all in one batch: a model reads what
/// it needs once, and is started once.
class Explanations {
 public:
  explicit Explanations(const bank::BankSchema& schema)
      : queries_(schema.visual_dim, schema.text_dim) {
    batch_.queries = &queries_;
  }
  Explanations(const Explanations&) = delete;
  Explanations& operator=(const Explanations&) = delete;

  /// `asked` is the batch of the query alone; its memory and its policy are those of all.
  void add(const bank::Features& query, const model::Batch& asked, bool uses_instances) {
    const bank::TokenView visual = view_of(query.visual_tokens);
    const bank::TokenView text = view_of(query.text_tokens);
    const auto whole = static_cast<std::int32_t>(queries_.num_rows());
    append_variants(visual, text, asked);
    batch_.memory = asked.memory;
    batch_.k = asked.k;
    if (asked.own_retrieval && !batch_.own_retrieval) {
      batch_.own_retrieval = {asked.own_retrieval->table, asked.own_retrieval->policy, {}};
    }
    Places places;
    places.whole = add_row(whole, asked, asked.instance_rows, own_identity(asked));
    const auto add_part = [&](const char* name, std::int32_t row) {
      places.parts.emplace_back(name,
                                add_row(row, asked, asked.instance_rows, own_identity(asked)));
    };
    if (visual.num_tokens > 0) add_part("video", whole + kWithoutVisual);
    if (text.num_tokens > 0) add_part("title", whole + kWithoutText);
    for (int frame = 0; frame < num_frames_of(visual); ++frame) {
      places.frames.push_back(
          add_row(whole + kWithoutFrame + frame, asked, asked.instance_rows, own_identity(asked)));
    }
    if (uses_instances) leave_out_instances(whole, asked, places);
    places_.push_back(std::move(places));
  }

  /// What the model says of each query, and of each of its variants.
  [[nodiscard]] std::vector<float> predict(model::Predictor& predictor) const {
    return predictor.predict(batch_);
  }

  /// What it says of the query that was added as the `i`-th. `predicted` by predict().
  [[nodiscard]] float whole(std::size_t i, const std::vector<float>& predicted) const {
    return predicted.at(places_.at(i).whole);
  }

  /// The effects of its parts and instances. `predicted` by predict().
  void explain(std::size_t i, const std::vector<float>& predicted, Prediction& prediction) const {
    const Places& places = places_.at(i);
    const auto effect = [&](std::size_t place) {
      return static_cast<double>(predicted.at(places.whole)) - predicted.at(place);
    };
    double sum = 0.0;
    for (const auto& [part, place] : places.parts) sum += std::abs(effect(place));
    for (const auto& [part, place] : places.parts) {
      prediction.parts.push_back({part, effect(place),
                                  bank::popularity_of_log2(predicted.at(place)),
                                  sum > 0.0 ? std::abs(effect(place)) / sum : 0.0});
    }
    for (const std::size_t place : places.frames) {
      prediction.frame_effects_log2.push_back(effect(place));
    }
    for (const auto& [instance, place] : places.instances) {
      prediction.instances.at(instance).effect_log2 = effect(place);
    }
  }

 private:
  /// Rows of `queries_` behind that of the whole query.
  enum : std::int32_t { kWithoutVisual = 1, kWithoutText, kWithoutFrame };

  /// Where in the batch a query, its parts and its instances are.
  struct Places {
    std::size_t whole = 0;
    std::vector<std::pair<std::string, std::size_t>> parts;
    std::vector<std::size_t> frames;
    std::vector<std::pair<std::size_t, std::size_t>> instances;
  };

  /// Frames that can be left out: the only one is the video.
  static int num_frames_of(const bank::TokenView& visual) {
    return visual.num_tokens > 1 ? visual.num_tokens : 0;
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

  void append_variants(const bank::TokenView& visual, const bank::TokenView& text,
                       const model::Batch& asked) {
    bank::RowDetails details;
    const bool has_details = asked.queries->has_details();
    if (has_details) {
      details = asked.queries->details(static_cast<std::size_t>(asked.query_rows.at(0)));
    }
    const auto append = [&](const bank::TokenView& v, const bank::TokenView& t,
                            const bank::RowDetails& d) {
      queries_.append(v, t, std::nullopt);
      if (has_details) queries_.append_details(d);
    };
    append(visual, text, details);
    append({0, visual.dim, {}}, text, without_video(details));
    append(visual, {0, text.dim, {}}, without_title(details));
    for (int frame = 0; frame < num_frames_of(visual); ++frame) {
      const std::vector<Float16Bits> others = without_token(visual, frame);
      const bank::TokenView seen{visual.num_tokens - 1, visual.dim, others};
      append(seen, text, with_visual_mean(details, seen));
    }
  }

  /// `identity`: to a model that retrieves by itself, which does not look at `instance_rows`.
  std::size_t add_row(std::int32_t query, const model::Batch& asked,
                      const std::vector<std::int32_t>& instance_rows,
                      const retrieval::QueryIdentity& identity) {
    if (batch_.own_retrieval) batch_.own_retrieval->queries.push_back(identity);
    batch_.query_rows.push_back(query);
    batch_.instance_rows.insert(batch_.instance_rows.end(), instance_rows.begin(),
                                instance_rows.end());
    batch_.similarities.insert(batch_.similarities.end(), asked.similarities.begin(),
                               asked.similarities.end());
    return batch_.query_rows.size() - 1;
  }
  static retrieval::QueryIdentity own_identity(const model::Batch& asked) {
    return asked.own_retrieval ? asked.own_retrieval->queries.at(0) : retrieval::QueryIdentity{};
  }

  void leave_out_instances(std::int32_t whole, const model::Batch& asked, Places& places) {
    const std::vector<std::int32_t>& rows = asked.instance_rows;
    const std::vector<std::int32_t> none(rows.size(), retrieval::RetrievalResult::kNoInstance);
    if (rows == none) return;
    retrieval::QueryIdentity identity = own_identity(asked);
    identity.sees_nothing = true;
    places.parts.emplace_back("retrieval", add_row(whole, asked, none, identity));
    for (std::size_t j = 0; j < rows.size(); ++j) {
      if (rows[j] == retrieval::RetrievalResult::kNoInstance) continue;
      std::vector<std::int32_t> others = rows;
      others[j] = retrieval::RetrievalResult::kNoInstance;
      identity = own_identity(asked);
      identity.without_row = static_cast<std::size_t>(rows[j]);
      places.instances.emplace_back(j, add_row(whole, asked, others, identity));
    }
  }

  bank::FeatureTable queries_;
  model::Batch batch_;
  std::vector<Places> places_;  ///< of each query
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
                                   std::optional<int> network_threads, const std::string& horizon,
                                   std::shared_ptr<const bank::MemoryBank> opened)
    : num_threads_(num_threads),
      bank_directory_(bank_directory),
      bank_(opened != nullptr ? std::move(opened)
                              : bank::open_bank(bank_directory, bank::OpenMode::kReadOnly)),
      schema_(bank_->info().schema),
      card_(load_training_card(model_directory)),
      similarity_scale_(
          system_of_model(card_.model, model_directory).similarity_scale(model_directory)),
      rows_are_independent_(
          system_of_model(card_.model, model_directory).rows_are_independent(model_directory)),
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
  read_table(/*read_already=*/nullptr);
}

void PredictionEngine::read_table(const retrieval::SegmentedIndex* read_already) {
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
  read_index(read_already);
  bytes_.reset();
  const std::span<const float> vectors = table_->retrieval_vectors();
  if (index_ == nullptr && vectors.size() >= kValuesWorthBytes) {
    bytes_.emplace(vectors, static_cast<std::size_t>(table_->retrieval_dim()), num_threads_);
  }
  sorted_popularity_ = sorted_labels(*table_);
}

void PredictionEngine::read_index(const retrieval::SegmentedIndex* read_already) {
  const auto previous = std::move(index_);
  index_ = open_bank_index(bank_directory_, table_, num_threads_,
                           read_already != nullptr ? read_already : previous.get());
}

void PredictionEngine::refresh() {
  std::shared_ptr<const retrieval::SegmentedIndex> offered;
  {
    const std::scoped_lock lock(offered_mutex_);
    offered.swap(offered_index_);
  }
  const bank::BankInfo now = bank_->info();
  if (table_->generation() != now.generation) {
    schema_ = now.schema;  // it may have more context columns
    read_table(offered.get());
  } else if (offered != nullptr) {
    read_index(offered.get());
  }
}

void PredictionEngine::offer_index(std::shared_ptr<const retrieval::SegmentedIndex> index) {
  const std::scoped_lock lock(offered_mutex_);
  offered_index_ = std::move(index);
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

retrieval::RetrievalResult PredictionEngine::find_similar(const EncodedQuery& query, int k,
                                                          const retrieval::RetrievalPolicy& policy,
                                                          const std::stop_token& stop) const {
  const std::span<const float> vector = query.features.retrieval_vector;
  const std::span identity(&query.identity, 1);
  if (index_ != nullptr) {
    return index_->search(*table_, vector, identity, k, policy, num_threads_, stop);
  }
  return retrieval::search_exact(*table_, vector, identity, k, policy, num_threads_, stop,
                                 bytes_ ? &*bytes_ : nullptr);
}

std::vector<Instance> PredictionEngine::search(const EncodedQuery& query, int k,
                                               const std::stop_token& stop) const {
  const retrieval::RetrievalResult found =
      find_similar(query, k, retrieval::RetrievalPolicy::deployed().with_labels_as_of(), stop);
  return describe_instances(*bank_, *table_, found, /*similarity_scale=*/0.0, query.identity);
}

Prediction PredictionEngine::predict(const Query& query, const std::stop_token& stop) {
  return predict(std::move(encode(std::span(&query, 1), stop).front()), stop);
}

std::vector<Prediction> PredictionEngine::predict_titles(const Query& query,
                                                         const std::vector<std::string>& titles,
                                                         const std::stop_token& stop) {
  return predict_all(encode_titles(query, titles, stop), stop);
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

Prediction PredictionEngine::predict(EncodedQuery query, const std::stop_token& stop) {
  std::vector<EncodedQuery> queries;
  queries.push_back(std::move(query));
  return std::move(predict_together(std::move(queries), stop).front());
}

std::vector<Prediction> PredictionEngine::predict_all(std::vector<EncodedQuery> queries,
                                                      const std::stop_token& stop) {
  if (rows_are_independent_) return predict_together(std::move(queries), stop);
  std::vector<Prediction> predictions;
  predictions.reserve(queries.size());
  for (EncodedQuery& query : queries) predictions.push_back(predict(std::move(query), stop));
  return predictions;
}

/// A query on its way through the model.
struct PredictionEngine::Asked {
  retrieval::RetrievalResult retrieved;
  model::Batch batch;  ///< of it alone
};

/// What all queries of a batch look into; must stay where it is while it is asked.
struct PredictionEngine::BatchTables {
  explicit BatchTables(const bank::BankSchema& schema)
      : queries(schema.visual_dim, schema.text_dim),
        instances(schema.visual_dim, schema.text_dim) {}
  bank::FeatureTable queries;
  bank::FeatureTable instances;  ///< of a model that takes those of the batch
};

PredictionEngine::Asked PredictionEngine::retrieve(const EncodedQuery& query, BatchTables& tables,
                                                   const std::stop_token& stop) const {
  // A model that retrieves by itself reads the labels that it has in memory, which are the latest.
  const auto policy = memory_ ? retrieval::RetrievalPolicy::deployed()
                              : retrieval::RetrievalPolicy::deployed().with_labels_as_of();
  Asked asked;
  asked.retrieved = card_.rules.instances == retrieval::Choice::kSimilar
                        ? find_similar(query, card_.k, policy, stop)
                        : retrieval::retrieve(*table_, query.features.retrieval_vector,
                                              std::span(&query.identity, 1), card_.k, policy,
                                              card_.rules.instances, num_threads_, stop);
  const bank::TokenView visual = view_of(query.features.visual_tokens);
  asked.batch.queries = &tables.queries;
  asked.batch.query_rows = {static_cast<std::int32_t>(tables.queries.num_rows())};
  asked.batch.memory = memory_ ? &*memory_ : &tables.instances;
  asked.batch.k = card_.k;
  asked.batch.similarities = asked.retrieved.similarities;
  if (memory_) {
    // Without tokens, as the rows that it was trained on.
    tables.queries.append({0, schema_.visual_dim, {}}, {0, schema_.text_dim, {}}, std::nullopt);
    tables.queries.append_details(details_of(query, visual));
    asked.batch.instance_rows = asked.retrieved.rows;
    asked.batch.own_retrieval = {table_.get(), policy, {query.identity}};
  } else {
    tables.queries.append(visual, view_of(query.features.text_tokens), std::nullopt);
    asked.batch.instance_rows =
        append_instances(*bank_, *table_, asked.retrieved, query.identity, tables.instances);
  }
  return asked;
}

/// The instances that people see; gives the batch that looks at these.
model::Batch PredictionEngine::choose_instances(const EncodedQuery& query, const Asked& asked,
                                                Prediction& prediction) const {
  model::Batch shown = asked.batch;
  if (const auto used = predictor_.get()->used_instances(asked.batch, card_.k)) {
    prediction.instances = describe_instances(*bank_, *table_, used->at(0), query.identity);
    show_used(used->at(0), shown);
  } else {
    prediction.instances = describe_instances(*bank_, *table_, asked.retrieved,
                                              similarity_scale_.value_or(1.0), query.identity);
  }
  prediction.instances_used = similarity_scale_.has_value();
  if (!prediction.instances_used) {
    for (Instance& instance : prediction.instances) instance.weight = 0.0;
  }
  return shown;
}

std::vector<Prediction> PredictionEngine::predict_together(std::vector<EncodedQuery> queries,
                                                           const std::stop_token& stop) {
  if (queries.empty()) return {};
  BatchTables tables(schema_);
  std::vector<Asked> asked;
  asked.reserve(queries.size());
  for (const EncodedQuery& query : queries) asked.push_back(retrieve(query, tables, stop));
  Explanations explanations(schema_);
  std::vector<Prediction> predictions(queries.size());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const model::Batch shown = choose_instances(queries[i], asked[i], predictions[i]);
    explanations.add(queries[i].features, shown, predictions[i].instances_used);
  }
  const std::vector<float> predicted = explanations.predict(*predictor_.get());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    Prediction& prediction = predictions[i];
    explanations.explain(i, predicted, prediction);
    const float whole = explanations.whole(i, predicted);
    set_number(whole, training::error_signals(asked[i].batch, std::span(&whole, 1)).at(0),
               prediction);
    prediction.captions = std::move(queries[i].captions);
    prediction.thumbnails = std::move(queries[i].thumbnails);
    prediction.warning = std::move(queries[i].warning);
  }
  return predictions;
}

}  // namespace mmra::pipeline
