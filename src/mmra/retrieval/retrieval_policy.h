#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"

namespace mmra::retrieval {

/// A set of splits.
class SplitSet {
 public:
  static SplitSet all() { return SplitSet(0b111); }
  static SplitSet only(bank::Split split) { return SplitSet(bit(split)); }
  [[nodiscard]] SplitSet with(bank::Split split) const { return SplitSet(bits_ | bit(split)); }
  [[nodiscard]] bool contains(bank::Split split) const { return (bits_ & bit(split)) != 0; }

 private:
  explicit SplitSet(unsigned bits) : bits_(bits) {}
  static unsigned bit(bank::Split split) { return 1U << static_cast<unsigned>(split); }
  unsigned bits_;
};

/// Which of the admitted rows a query gets.
enum class Choice {
  kSimilar,  ///< the k most similar (paper eq. 1)
  kRandom,   ///< k drawn by chance, to see what similarity is worth
};
[[nodiscard]] std::string_view name_of(Choice choice) noexcept;  ///< "similar", "random"
[[nodiscard]] std::optional<Choice> parse_choice(std::string_view name) noexcept;

/// What may be retrieved, decided here and nowhere else: in training, evaluation, prediction,
/// search and serving alike. A candidate must carry a label, be in an allowed split, not be the
/// query itself, and, where the query has a time, have been posted strictly before it (candidates
/// without a time are then left out) and have a label that was known strictly before it. With
/// `folds`, what is in the query's own fold is left out too.
struct RetrievalPolicy {
  SplitSet splits = SplitSet::all();
  bool labelled_only = true;
  /// Of every row of the table, -1: in none. Not owned.
  const std::vector<std::int32_t>* folds = nullptr;
  /// The caller takes the instances' labels as of the query's time (popularity_of()): enough, then,
  /// that a label was known at that time, be it an earlier count. Else it is
  /// BankTable::popularity() itself that must have been known.
  bool labels_as_of = false;

  /// Training items and everything that is evaluated retrieve from train.
  static RetrievalPolicy honest_training() {
    return {SplitSet::only(bank::Split::kTrain), /*labelled_only=*/true};
  }
  /// The authors' protocol: train and validation for all three splits.
  static RetrievalPolicy authors_training() {
    return {SplitSet::only(bank::Split::kTrain).with(bank::Split::kValid), /*labelled_only=*/true};
  }
  /// The same policy out of fold: for a model that learns from what rows retrieved, and must not
  /// see a label again in what the row's neighbours retrieved.
  [[nodiscard]] RetrievalPolicy out_of_fold(const std::vector<std::int32_t>& fold_of_row) const {
    return {splits, labelled_only, &fold_of_row, labels_as_of};
  }
  [[nodiscard]] RetrievalPolicy with_labels_as_of() const {
    return {splits, labelled_only, folds, /*labels_as_of=*/true};
  }
  /// predict, search and serve: every labelled record but the query.
  static RetrievalPolicy deployed() { return {}; }
};

/// The part of a query that the policy looks at. `own_row` is the query's row in the table where it
/// is in the bank.
struct QueryIdentity {
  std::optional<std::size_t> own_row;
  std::optional<Timestamp> as_of;
  // For what a prediction would be otherwise:
  std::optional<std::size_t> without_row = {};  ///< not admitted either
  bool sees_nothing = false;                    ///< no row is admitted
};

/// The label of an admitted row for a caller whose policy has labels_as_of.
[[nodiscard]] std::optional<double> popularity_of(const bank::BankTable& table, std::size_t row,
                                                  const QueryIdentity& query);

[[nodiscard]] bool admits(const RetrievalPolicy& policy, const QueryIdentity& query,
                          const bank::BankTable& table, std::size_t candidate_row);

}  // namespace mmra::retrieval
