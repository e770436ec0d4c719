#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"

namespace mmra::pipeline {

/// Two rows whose retrieval vectors are more similar than this are nearly the same.
inline constexpr float kNearDuplicateSimilarity = 0.99F;

/// What titles are compared by: their words, case and punctuation left out. Empty where there is no
/// word: such titles are like nothing.
[[nodiscard]] std::u32string title_key(std::string_view title);

/// A row that is nearly the same as one of a later split (train < valid < test): a model that has
/// seen it knows the answer to the other.
struct NearDuplicates {
  std::vector<bool> rows;              ///< [rows of the table] such rows of train and valid
  std::int64_t num_train = 0;          ///< of them in train
  std::int64_t num_valid = 0;          ///< in valid
  std::int64_t num_test_affected = 0;  ///< test rows that have one in train or valid
  std::int64_t num_same_title = 0;     ///< of those, by their title
  std::int64_t num_similar = 0;        ///< of those, by their retrieval vector
};

/// Among labelled rows, by the splits of `table`. `title_keys` has a key for each row.
[[nodiscard]] NearDuplicates find_near_duplicates(const bank::BankTable& table,
                                                  const std::vector<std::u32string>& title_keys,
                                                  int num_threads, const std::stop_token& stop);

}  // namespace mmra::pipeline
