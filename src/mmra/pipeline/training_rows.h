#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/progress.h"
#include "mmra/pipeline/model_directory.h"
#include "mmra/training/trainer.h"

namespace mmra::pipeline {

/// A bank's snapshot with everything that training and evaluation gather from it.
struct LoadedBank {
  std::filesystem::path directory;
  bank::BankInfo info;
  std::shared_ptr<const bank::BankTable> table;
  bank::FeatureTable features;
};

/// `horizon`: labels of this one instead of the bank's.
[[nodiscard]] LoadedBank load_bank(const std::filesystem::path& directory, ProgressSink& progress,
                                   const bank::FeatureColumns& columns = {},
                                   std::optional<Duration> horizon = {});

/// [rows] what the titles are compared by (near_duplicates.h), read from the bank.
[[nodiscard]] std::vector<std::u32string> read_title_keys(const LoadedBank& loaded);

/// The rows of a bank under the rules of an experiment: the same rows in the same order, with the
/// splits that the protocol gives them. What takes no part (where times decide: posted at an
/// unknown time, or with a label that was not yet known when the next split began; or dropped as a
/// near-duplicate) has no popularity here, so it neither trains, nor is
/// scored, nor is retrieved. Fills in `rules.cuts` where the protocol needs them and they are not
/// there. Throws Error{kInvalidInput} where rows have no times to divide them by.
[[nodiscard]] std::shared_ptr<const bank::BankTable> apply_rules(const LoadedBank& loaded,
                                                                 RowRules& rules, int num_threads,
                                                                 const std::stop_token& stop);

[[nodiscard]] std::vector<std::int32_t> labelled_rows(const bank::BankTable& table,
                                                      bank::Split split);

/// The rows that a transductive model may look at without their labels: those of the test split,
/// and others without a label. None where times decide: they are later than what it trains on.
/// Where near-duplicates are left out only rows with a label, since `table` does not tell them from
/// others.
[[nodiscard]] std::vector<std::int32_t> unlabelled_rows(const bank::BankTable& table,
                                                        const RowRules& rules);

/// log2 popularity, [rows].
[[nodiscard]] std::vector<float> labels_of(const bank::FeatureTable& features,
                                           const std::vector<std::int32_t>& rows);

/// Who stored rows are as queries; without instances.
[[nodiscard]] training::Examples identify_rows(const bank::BankTable& table,
                                               std::vector<std::int32_t> rows,
                                               const RowRules& rules);

/// The instances of stored rows, each row itself left out, nothing posted at or after it. `table`
/// is that of apply_rules.
[[nodiscard]] training::Examples retrieve_for_rows(const bank::BankTable& table,
                                                   std::vector<std::int32_t> rows, int k,
                                                   const RowRules& rules, int num_threads,
                                                   const std::stop_token& stop);

}  // namespace mmra::pipeline
