#include "mmra/pipeline/training_rows.h"

#include <algorithm>
#include <utility>

#include "mmra/bank/load_feature_table.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/near_duplicates.h"
#include "mmra/retrieval/random_instances.h"

namespace mmra::pipeline {
namespace {

/// A table with splits of its own, in which some rows have lost their popularity.
class RuledTable final : public bank::BankTable {
 public:
  RuledTable(std::shared_ptr<const bank::BankTable> table, std::vector<bank::Split> splits,
             std::vector<bool> hidden)
      : table_(std::move(table)), splits_(std::move(splits)), hidden_(std::move(hidden)) {}

  [[nodiscard]] std::uint64_t generation() const override { return table_->generation(); }
  [[nodiscard]] std::size_t num_rows() const override { return table_->num_rows(); }
  [[nodiscard]] int retrieval_dim() const override { return table_->retrieval_dim(); }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override {
    return table_->retrieval_vectors();
  }
  [[nodiscard]] std::string_view id(std::size_t row) const override { return table_->id(row); }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view id) const override {
    return table_->row_of(id);
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t row) const override {
    return hidden_[row] ? std::nullopt : table_->popularity(row);
  }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t row) const override {
    return table_->posted_at(row);
  }
  [[nodiscard]] bank::Split split(std::size_t row) const override { return splits_[row]; }
  [[nodiscard]] std::uint64_t commit_id() const override { return table_->commit_id(); }
  [[nodiscard]] bank::HistoryView history(std::size_t row) const override {
    return table_->history(row);
  }
  [[nodiscard]] std::optional<Timestamp> label_known_at(std::size_t row) const override {
    return table_->label_known_at(row);
  }
  [[nodiscard]] std::optional<double> popularity_as_of(std::size_t row,
                                                       Timestamp moment) const override {
    return hidden_[row] ? std::nullopt : table_->popularity_as_of(row, moment);
  }

  void hide(const std::vector<bool>& rows) {
    for (std::size_t row = 0; row < rows.size(); ++row) hidden_[row] = hidden_[row] || rows[row];
  }

 private:
  std::shared_ptr<const bank::BankTable> table_;
  std::vector<bank::Split> splits_;
  std::vector<bool> hidden_;
};

/// The moments before which 80 % and 90 % of the labelled rows were posted.
TimeCuts find_cuts(const bank::BankTable& table) {
  std::vector<Timestamp> times;
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    const auto time = table.posted_at(row);
    if (time && table.popularity(row)) times.push_back(*time);
  }
  if (times.empty()) {
    throw Error(ErrorKind::kInvalidInput,
                "the protocol chronological needs labelled rows with posted_at, and the bank has "
                "none: ingest a manifest with that column, or use another protocol");
  }
  std::sort(times.begin(), times.end());
  const TimeCuts cuts{times[times.size() * 8 / 10], times[times.size() * 9 / 10]};
  if (times.front() < cuts.valid_from && cuts.valid_from < cuts.test_from) return cuts;
  throw Error(ErrorKind::kInvalidInput,
              "the bank's rows cannot be divided by time: 80 % of " + std::to_string(times.size()) +
                  " were posted before " + format_timestamp(cuts.valid_from) + " and 90 % before " +
                  format_timestamp(cuts.test_from) + "; these must be different moments");
}

bank::Split split_of_time(Timestamp time, const TimeCuts& cuts) {
  if (time < cuts.valid_from) return bank::Split::kTrain;
  return time < cuts.test_from ? bank::Split::kValid : bank::Split::kTest;
}

/// Whether the label of a row of `split` was known before the next split began: what is learned or
/// chosen from it is then of the past.
bool is_known_in_time(std::optional<Timestamp> known_at, bank::Split split, const TimeCuts& cuts) {
  if (!known_at || split == bank::Split::kTest) return true;
  return *known_at < (split == bank::Split::kTrain ? cuts.valid_from : cuts.test_from);
}

retrieval::RetrievalPolicy policy_of(Protocol protocol) {
  return protocol == Protocol::kAuthors ? retrieval::RetrievalPolicy::authors_training()
                                        : retrieval::RetrievalPolicy::honest_training();
}

}  // namespace

LoadedBank load_bank(const std::filesystem::path& directory, ProgressSink& progress,
                     const bank::FeatureColumns& columns, std::optional<Duration> horizon) {
  const auto bank = bank::open_bank(directory, bank::OpenMode::kReadOnly);
  progress.begin("loading features", std::nullopt);
  bank::LoadedFeatures loaded = bank::load_feature_table(*bank, columns, horizon);
  progress.end();
  return {directory, bank->info(), std::move(loaded.table), std::move(loaded.features)};
}

std::vector<std::u32string> read_title_keys(const LoadedBank& loaded) {
  const auto bank = bank::open_bank(loaded.directory, bank::OpenMode::kReadOnly);
  std::vector<std::u32string> keys(loaded.table->num_rows());
  bank->for_each([&](const bank::Record& record) {
    if (const auto row = loaded.table->row_of(record.id)) keys[*row] = title_key(record.title);
    return true;
  });
  return keys;
}

std::shared_ptr<const bank::BankTable> apply_rules(const LoadedBank& loaded, RowRules& rules,
                                                   int num_threads, const std::stop_token& stop) {
  const bank::BankTable& table = *loaded.table;
  const bool by_time = rules.protocol == Protocol::kChronological;
  if (by_time && !rules.cuts) rules.cuts = find_cuts(table);
  std::vector<bank::Split> splits;
  std::vector<bool> hidden;
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    const auto time = table.posted_at(row);
    const bank::Split split =
        by_time && time ? split_of_time(*time, *rules.cuts) : table.split(row);
    hidden.push_back(by_time &&
                     !(time && is_known_in_time(table.label_known_at(row), split, *rules.cuts)));
    splits.push_back(split);
  }
  auto ruled = std::make_shared<RuledTable>(loaded.table, std::move(splits), std::move(hidden));
  if (rules.drop_near_duplicates) {
    ruled->hide(find_near_duplicates(*ruled, read_title_keys(loaded), num_threads, stop).rows);
  }
  return ruled;
}

std::vector<std::int32_t> labelled_rows(const bank::BankTable& table, bank::Split split) {
  std::vector<std::int32_t> rows;
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    if (table.split(row) == split && table.popularity(row)) {
      rows.push_back(static_cast<std::int32_t>(row));
    }
  }
  return rows;
}

std::vector<std::int32_t> unlabelled_rows(const bank::BankTable& table, const RowRules& rules) {
  std::vector<std::int32_t> rows;
  if (rules.protocol == Protocol::kChronological) return rows;
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    const bool has_label = table.popularity(row).has_value();
    const bool is_test = has_label && table.split(row) == bank::Split::kTest;
    const bool is_new = !has_label && !rules.drop_near_duplicates;
    if (is_test || is_new) rows.push_back(static_cast<std::int32_t>(row));
  }
  return rows;
}

std::vector<float> labels_of(const bank::FeatureTable& features,
                             const std::vector<std::int32_t>& rows) {
  std::vector<float> labels;
  labels.reserve(rows.size());
  for (const std::int32_t row : rows) {
    labels.push_back(features.log2_popularity(static_cast<std::size_t>(row)));
  }
  return labels;
}

training::Examples identify_rows(const bank::BankTable& table, std::vector<std::int32_t> rows,
                                 const RowRules& rules) {
  std::vector<retrieval::QueryIdentity> identities;
  identities.reserve(rows.size());
  for (const std::int32_t row : rows) {
    const auto index = static_cast<std::size_t>(row);
    // The authors' code knows no time.
    identities.push_back(
        {index, rules.protocol == Protocol::kAuthors ? std::nullopt : table.posted_at(index)});
  }
  training::Examples examples;
  examples.rows = std::move(rows);
  examples.own_retrieval = {&table, policy_of(rules.protocol), std::move(identities)};
  return examples;
}

training::Examples retrieve_for_rows(const bank::BankTable& table, std::vector<std::int32_t> rows,
                                     int k, const RowRules& rules, int num_threads,
                                     const std::stop_token& stop) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  std::vector<float> vectors;
  vectors.reserve(rows.size() * dim);
  const std::span<const float> all = table.retrieval_vectors();
  for (const std::int32_t row : rows) {
    const auto index = static_cast<std::size_t>(row);
    const auto vector = all.subspan(index * dim, dim);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  training::Examples examples = identify_rows(table, std::move(rows), rules);
  examples.instances =
      retrieval::retrieve(table, vectors, examples.own_retrieval->queries, k,
                          policy_of(rules.protocol), rules.instances, num_threads, stop);
  return examples;
}

}  // namespace mmra::pipeline
