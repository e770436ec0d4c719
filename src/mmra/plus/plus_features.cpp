#include "mmra/plus/plus_features.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>

#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/plus/title_shape.h"

namespace mmra::plus {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kQueriesAtATime = 16;
constexpr std::size_t kTitlesAtATime = 64;
constexpr double kCategoryShrinkage = 5.0;
constexpr std::size_t kCategoryWidth = 2 + kHistoryWidth;  // effect, count, history

// Where the parts begin.
constexpr std::size_t kNeighboursAt = 1;
constexpr std::size_t kKeysAt = kNeighboursAt + kNeighbourWidth;
constexpr std::size_t kShapeAt = kKeysAt + 3 * kKeyWidth;
constexpr std::size_t kContextAt = kShapeAt + kShapeWidth;

std::size_t width_of(const UsedColumn& column) {
  return column.type == bank::ColumnType::kNumber ? 1 : kCategoryWidth;
}

std::optional<float> number_of(const bank::Context& context, const std::string& name) {
  const auto at = context.find(name);
  if (at == context.end() || !std::holds_alternative<double>(at->second)) return std::nullopt;
  return static_cast<float>(std::get<double>(at->second));
}

/// A category's key; numbers are categories by their shortest text.
std::optional<TermHash> key_of(const bank::Context& context, const std::string& name) {
  const auto at = context.find(name);
  if (at == context.end()) return std::nullopt;
  if (const auto* text = std::get_if<std::string>(&at->second)) return hash_key(*text);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.15g", std::get<double>(at->second));
  return hash_key(text.data());
}

std::vector<const UsedColumn*> categories_of(const PlusConfig& config) {
  std::vector<const UsedColumn*> columns;
  for (const UsedColumn& column : config.columns) {
    if (column.type == bank::ColumnType::kCategory) columns.push_back(&column);
  }
  return columns;
}

std::vector<TermHash> as_list(std::optional<TermHash> key) {
  return key ? std::vector<TermHash>{*key} : std::vector<TermHash>{};
}

const bank::RowDetails& details_of(const model::Batch& batch, std::size_t query) {
  return batch.queries->details(static_cast<std::size_t>(batch.query_rows[query]));
}

bool is_known(const DenseRows& rows, std::size_t index) {
  const auto row = rows.row(index);
  return std::any_of(row.begin(), row.end(), [](float value) { return value != 0.0F; });
}

/// Whether a row says anything in any space.
bool is_known(const RowVectors& vectors, std::size_t index) {
  return !vectors.lexical.row(index).columns.empty() || is_known(vectors.retrieval, index) ||
         is_known(vectors.visual, index);
}

void write_neighbours(std::span<const Neighbour> neighbours, const Memory& memory,
                      double label_mean, std::span<float> row) {
  std::vector<float> labels;
  for (const Neighbour& neighbour : neighbours) labels.push_back(memory.label(neighbour.row));
  neighbour_statistics(neighbours, labels, label_mean, row.subspan(kNeighboursAt, kNeighbourWidth));
}

void write_shape(const bank::RowDetails& details, const PlusConfig& config, std::span<float> row) {
  if (!config.parts.shape || config.without_text) return;
  const auto shape = title_shape(details.title);
  std::copy(shape.begin(), shape.end(), row.begin() + kShapeAt);
}

/// A creator's earlier videos. A stored row without a time has no "earlier"; what is not stored is
/// new, so that everything is earlier.
void write_history(const ValueHistory& history, TermHash key,
                   const retrieval::QueryIdentity& identity, const model::OwnRetrieval& retrieval,
                   const Memory& memory, std::span<float> out) {
  if (identity.own_row && !identity.as_of) return;
  const auto admits = [&](std::size_t position) {
    return retrieval::admits(retrieval.policy, identity, *retrieval.table, memory.row_of(position));
  };
  history.describe(key, identity.as_of, admits, out);
}

/// Numbers and histories; the effects of categories are written by whoever has their statistics.
void write_context(const bank::RowDetails& details, const retrieval::QueryIdentity& identity,
                   const model::OwnRetrieval& retrieval, const PlusConfig& config,
                   const Memory& memory, std::span<float> row) {
  std::size_t at = kContextAt;
  std::size_t category = 0;
  for (const UsedColumn& column : config.columns) {
    const auto out = row.subspan(at, width_of(column));
    at += out.size();
    if (column.type == bank::ColumnType::kNumber) {
      out[0] = number_of(details.context, column.name).value_or(kMissing);
      continue;
    }
    const ValueHistory& history = memory.history(category++);
    if (const auto key = key_of(details.context, column.name)) {
      write_history(history, *key, identity, retrieval, memory, out.subspan(2));
    }
  }
}

/// Where the features of used category `index` begin.
std::size_t category_at(const PlusConfig& config, std::size_t index) {
  std::size_t at = kContextAt;
  for (const UsedColumn& column : config.columns) {
    if (column.type == bank::ColumnType::kCategory && index-- == 0) return at;
    at += width_of(column);
  }
  return at;
}

/// Of one key: its effect and its count; NaN where the row has no value.
void write_effect(std::span<const float> statistics, bool has_value, std::span<float> out) {
  if (!has_value) return;
  out[0] = statistics[0];
  out[1] = statistics[3];
}

FeatureMatrix empty_matrix(std::size_t num_rows, const PlusConfig& config) {
  FeatureMatrix matrix{num_rows, parts_of_features(config).size(), {}};
  matrix.values.assign(matrix.num_rows * matrix.width, kMissing);
  return matrix;
}

/// A kind of keys that titles have.
struct KeyKind {
  KeyStatistics FirstStage::*statistics;
  std::vector<TermHash> TitleTerms::*keys;
};
constexpr std::array<KeyKind, 3> kKeyKinds = {
    KeyKind{&FirstStage::hashtags, &TitleTerms::hashtag_keys},
    KeyKind{&FirstStage::words, &TitleTerms::word_keys},
    KeyKind{&FirstStage::pairs, &TitleTerms::pair_keys}};

/// Fits the statistics of the title's keys and of the categories; writes what each row gets.
void fit_keys(const model::LabelledBatch& train, const PlusConfig& config,
              std::span<const TitleTerms> terms, std::span<const std::int32_t> folds,
              FirstStage& stage, FeatureMatrix& features) {
  const std::size_t n = train.targets.size();
  const auto fit = [&](const std::vector<std::span<const TermHash>>& keys, double shrinkage) {
    return fit_key_statistics(keys, train.targets, folds, config.num_folds, shrinkage);
  };
  std::vector<std::span<const TermHash>> keys(n);
  for (std::size_t kind = 0; config.parts.keys && kind < kKeyKinds.size(); ++kind) {
    for (std::size_t i = 0; i < n; ++i) keys[i] = terms[i].*kKeyKinds[kind].keys;
    KeyStatistics& statistics = stage.*kKeyKinds[kind].statistics;
    KeyStatisticsFit fitted = fit(keys, statistics.shrinkage());
    for (std::size_t i = 0; i < n; ++i) {
      if (terms[i].empty()) continue;
      const auto from = std::span(fitted.out_of_fold).subspan(i * kKeyWidth, kKeyWidth);
      std::copy(from.begin(), from.end(),
                features.row(i).begin() + static_cast<std::ptrdiff_t>(kKeysAt + kind * kKeyWidth));
    }
    statistics = std::move(fitted.all);
  }
  const auto categories = categories_of(config);
  for (std::size_t c = 0; c < categories.size(); ++c) {
    std::vector<std::vector<TermHash>> values(n);
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = as_list(key_of(details_of(train.batch, i).context, categories[c]->name));
      keys[i] = values[i];
    }
    KeyStatisticsFit fitted = fit(keys, kCategoryShrinkage);
    for (std::size_t i = 0; i < n; ++i) {
      write_effect(std::span(fitted.out_of_fold).subspan(i * kKeyWidth, kKeyWidth),
                   !values[i].empty(), features.row(i).subspan(category_at(config, c), 2));
    }
    stage.categories.push_back(std::move(fitted.all));
  }
}

Spaces fit_spaces(const model::Batch& batch, const PlusConfig& config,
                  std::span<const TitleTerms> terms) {
  Spaces spaces;
  spaces.lexical = LexicalSpace::fit(terms);
  spaces.retrieval_dim = static_cast<std::size_t>(config.retrieval_dim);
  if (!config.without_visual) {
    spaces.visual = fit_visual_scale(*batch.queries, batch.query_rows);
  }
  return spaces;
}

/// Vectors that are compared at a time: each block reads all rows once, and every thread has some.
std::size_t block_size(std::size_t num_vectors, int num_threads) {
  const auto threads = static_cast<std::size_t>(num_threads);
  return std::clamp<std::size_t>((num_vectors + threads - 1) / threads, 1, kQueriesAtATime);
}

}  // namespace

void require_retrieval(const model::Batch& batch) {
  if (!batch.own_retrieval || batch.own_retrieval->table == nullptr ||
      batch.own_retrieval->queries.size() != batch.query_rows.size()) {
    throw Error(ErrorKind::kInternal, "mmra-plus retrieves by itself and was not told from what");
  }
}

std::vector<Part> parts_of_features(const PlusConfig& config) {
  std::vector<Part> parts(1, Part::kKernel);
  parts.resize(kKeysAt, Part::kNeighbours);
  parts.resize(kShapeAt, Part::kKeys);
  parts.resize(kContextAt, Part::kShape);
  for (const UsedColumn& column : config.columns) {
    parts.resize(parts.size() + width_of(column), Part::kContext);
  }
  return parts;
}

bool has_part(const Parts& parts, Part part) {
  switch (part) {
    case Part::kKernel:
      return parts.kernel;
    case Part::kNeighbours:
      return parts.neighbours;
    case Part::kKeys:
      return parts.keys;
    case Part::kShape:
      return parts.shape;
    case Part::kContext:
      return true;
  }
  return false;
}

std::vector<TitleTerms> terms_of_rows(const bank::FeatureTable& table,
                                      std::span<const std::int32_t> rows, const PlusConfig& config,
                                      int num_threads) {
  std::vector<TitleTerms> terms(rows.size());
  parallel_for(rows.size(), kTitlesAtATime, num_threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const bank::RowDetails& details = table.details(static_cast<std::size_t>(rows[i]));
      // Captions are in the retrieval vector. Here their few words, alike in many clips, would
      // drown a title's rare ones.
      terms[i] = extract_terms(config.without_text ? "" : details.title);
    }
  });
  return terms;
}

Memory::Memory(const bank::FeatureTable& table, const model::OwnRetrieval& retrieval,
               const PlusConfig& config, const Spaces& spaces, int num_threads) {
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    if (!retrieval::admits(retrieval.policy, {}, *retrieval.table, row)) continue;
    rows_.push_back(static_cast<std::int32_t>(row));
    labels_.push_back(table.log2_popularity(row));
  }
  const std::vector<TitleTerms> terms = terms_of_rows(table, rows_, config, num_threads);
  index_ = std::make_unique<SimilarityIndex>(make_vectors(table, rows_, terms, spaces),
                                             spaces.lexical.num_columns(), config.kernel);
  for (const UsedColumn* column : categories_of(config)) {
    ValueHistory history;
    for (std::size_t position = 0; position < rows_.size(); ++position) {
      const bank::RowDetails& details = table.details(row_of(position));
      const auto key = key_of(details.context, column->name);
      if (key && details.posted_at) {
        history.add(*key, *details.posted_at, labels_[position], position);
      }
    }
    history.sort();
    histories_.push_back(std::move(history));
  }
}

DistinctQueries distinct_queries(const model::Batch& batch) {
  DistinctQueries distinct;
  std::unordered_map<std::int32_t, std::size_t> places;
  for (const std::int32_t row : batch.query_rows) {
    const auto [place, is_new] = places.try_emplace(row, distinct.rows.size());
    if (is_new) distinct.rows.push_back(row);
    distinct.row_of_query.push_back(place->second);
  }
  return distinct;
}

std::vector<std::vector<Neighbour>> find_neighbours(const RowVectors& vectors,
                                                    std::span<const std::size_t> vector_of_query,
                                                    const model::OwnRetrieval& retrieval,
                                                    const Memory& memory, int num_threads) {
  std::vector<std::vector<Neighbour>> found(vector_of_query.size());
  std::vector<std::vector<std::size_t>> queries_of(vectors.num_rows());
  for (std::size_t q = 0; q < vector_of_query.size(); ++q) {
    queries_of[vector_of_query[q]].push_back(q);
  }
  const std::size_t n = memory.index().num_rows();
  parallel_for(vectors.num_rows(), block_size(vectors.num_rows(), num_threads), num_threads,
               [&](std::size_t begin, std::size_t end) {
                 std::vector<float> similarities;
                 memory.index().compare(vectors, begin, end - begin, similarities);
                 for (std::size_t v = begin; v < end; ++v) {
                   if (!is_known(vectors, v)) continue;  // similar to nothing
                   for (const std::size_t q : queries_of[v]) {
                     const auto admits = [&](std::size_t position) {
                       return retrieval::admits(retrieval.policy, retrieval.queries[q],
                                                *retrieval.table, memory.row_of(position));
                     };
                     found[q] = nearest(std::span(similarities).subspan((v - begin) * n, n),
                                        kNumNeighbours, admits);
                   }
                 }
               });
  return found;
}

FeatureMatrix make_features(const model::Batch& batch, const PlusConfig& config,
                            const FirstStage& stage, const Memory& memory, int num_threads) {
  require_retrieval(batch);
  const model::OwnRetrieval& retrieval = *batch.own_retrieval;
  const DistinctQueries distinct = distinct_queries(batch);
  const std::vector<TitleTerms> terms_of_distinct =
      terms_of_rows(*batch.queries, distinct.rows, config, num_threads);
  const RowVectors vectors =
      make_vectors(*batch.queries, distinct.rows, terms_of_distinct, stage.spaces);
  FeatureMatrix features = empty_matrix(batch.query_rows.size(), config);
  if (config.parts.neighbours) {
    const auto neighbours =
        find_neighbours(vectors, distinct.row_of_query, retrieval, memory, num_threads);
    for (std::size_t i = 0; i < neighbours.size(); ++i) {
      write_neighbours(neighbours[i], memory, config.label_mean, features.row(i));
    }
  }
  std::vector<float> of_ridge(distinct.rows.size(), kMissing);
  if (config.parts.kernel) {
    const std::size_t n = stage.train->num_rows();
    parallel_for(of_ridge.size(), block_size(of_ridge.size(), num_threads), num_threads,
                 [&](std::size_t begin, std::size_t end) {
                   std::vector<float> similarities;
                   stage.train->compare(vectors, begin, end - begin, similarities);
                   for (std::size_t v = begin; v < end; ++v) {
                     of_ridge[v] =
                         stage.ridge.predict(std::span(similarities).subspan((v - begin) * n, n));
                   }
                 });
  }
  const auto categories = categories_of(config);
  parallel_for(features.num_rows, 1, num_threads, [&](std::size_t begin, std::size_t end) {
    std::array<float, kKeyWidth> effect{};
    for (std::size_t i = begin; i < end; ++i) {
      const auto row = features.row(i);
      const TitleTerms& terms = terms_of_distinct[distinct.row_of_query[i]];
      row[0] = of_ridge[distinct.row_of_query[i]];
      for (std::size_t kind = 0; config.parts.keys && !terms.empty() && kind < kKeyKinds.size();
           ++kind) {
        (stage.*kKeyKinds[kind].statistics)
            .describe(terms.*kKeyKinds[kind].keys,
                      row.subspan(kKeysAt + kind * kKeyWidth, kKeyWidth));
      }
      const bank::RowDetails& details = details_of(batch, i);
      write_shape(details, config, row);
      write_context(details, retrieval.queries[i], retrieval, config, memory, row);
      for (std::size_t c = 0; c < categories.size(); ++c) {
        const auto key = as_list(key_of(details.context, categories[c]->name));
        stage.categories[c].describe(key, effect);
        write_effect(effect, !key.empty(), row.subspan(category_at(config, c), 2));
      }
    }
  });
  return features;
}

FirstStageFit fit_first_stage(const model::LabelledBatch& train, const PlusConfig& config,
                              std::span<const std::int32_t> folds, int num_threads,
                              const std::stop_token& stop, ProgressSink& progress) {
  require_retrieval(train.batch);
  const model::Batch& batch = train.batch;
  FirstStageFit fit;
  fit.features = empty_matrix(batch.query_rows.size(), config);
  progress.begin("reading titles", std::nullopt);
  const std::vector<TitleTerms> terms =
      terms_of_rows(*batch.queries, batch.query_rows, config, num_threads);
  fit.stage.spaces = fit_spaces(batch, config, terms);
  const Spaces& spaces = fit.stage.spaces;
  fit.stage.train = std::make_unique<SimilarityIndex>(
      make_vectors(*batch.queries, batch.query_rows, terms, spaces), spaces.lexical.num_columns(),
      config.kernel);
  progress.end();

  if (config.parts.kernel) {
    RidgeSettings settings;
    if (config.lambda > 0.0) settings.lambdas = {config.lambda};
    KernelRidgeFit ridge =
        fit_kernel_ridge(*fit.stage.train, train.targets, folds, config.num_folds, settings,
                         num_threads, stop, progress);
    for (std::size_t i = 0; i < ridge.out_of_fold.size(); ++i) {
      fit.features.row(i)[0] = ridge.out_of_fold[i];
    }
    fit.kernel_iterations = ridge.num_iterations;
    fit.lambda = ridge.lambda;
    fit.stage.ridge = std::move(ridge.ridge);
  }

  progress.begin("retrieving out of fold", std::nullopt);
  std::vector<std::int32_t> fold_of_row(batch.own_retrieval->table->num_rows(), -1);
  for (std::size_t i = 0; i < folds.size(); ++i) {
    fold_of_row[static_cast<std::size_t>(batch.query_rows[i])] = folds[i];
  }
  model::OwnRetrieval retrieval = *batch.own_retrieval;
  retrieval.policy = retrieval.policy.out_of_fold(fold_of_row);
  const Memory memory(*batch.memory, retrieval, config, spaces, num_threads);
  if (config.parts.neighbours) {
    const std::vector<double> means = means_outside(train.targets, folds, config.num_folds);
    const auto neighbours =
        find_neighbours(fit.stage.train->rows(), distinct_queries(batch).row_of_query, retrieval,
                        memory, num_threads);
    for (std::size_t i = 0; i < neighbours.size(); ++i) {
      write_neighbours(neighbours[i], memory, means[static_cast<std::size_t>(folds[i])],
                       fit.features.row(i));
    }
  }
  // A history is of earlier rows, never of the row's own label: its folds may be the row's own.
  for (std::size_t i = 0; i < folds.size(); ++i) {
    write_shape(details_of(batch, i), config, fit.features.row(i));
    write_context(details_of(batch, i), batch.own_retrieval->queries[i], *batch.own_retrieval,
                  config, memory, fit.features.row(i));
  }
  fit_keys(train, config, terms, folds, fit.stage, fit.features);
  progress.end();
  return fit;
}

}  // namespace mmra::plus
