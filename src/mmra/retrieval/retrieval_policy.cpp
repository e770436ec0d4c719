#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::retrieval {
namespace {

bool share_fold(const std::vector<std::int32_t>& folds, std::size_t a, std::size_t b) {
  return folds[a] >= 0 && folds[a] == folds[b];
}

}  // namespace

std::string_view name_of(Choice choice) noexcept {
  return choice == Choice::kRandom ? "random" : "similar";
}

std::optional<Choice> parse_choice(std::string_view name) noexcept {
  for (const Choice choice : {Choice::kSimilar, Choice::kRandom}) {
    if (name == name_of(choice)) return choice;
  }
  return std::nullopt;
}

std::optional<double> popularity_of(const bank::BankTable& table, std::size_t row,
                                    const QueryIdentity& query) {
  return query.as_of ? table.popularity_as_of(row, *query.as_of) : table.popularity(row);
}

bool admits(const RetrievalPolicy& policy, const QueryIdentity& query, const bank::BankTable& table,
            std::size_t candidate_row) {
  if (query.sees_nothing) return false;
  if (query.own_row && *query.own_row == candidate_row) return false;
  if (query.without_row && *query.without_row == candidate_row) return false;
  if (policy.folds != nullptr && query.own_row &&
      share_fold(*policy.folds, *query.own_row, candidate_row)) {
    return false;
  }
  if (!policy.splits.contains(table.split(candidate_row))) return false;
  const bool is_labelled = table.popularity(candidate_row).has_value();
  if (policy.labelled_only && !is_labelled) return false;
  if (!query.as_of) return true;
  const auto posted_at = table.posted_at(candidate_row);
  if (!posted_at || !(*posted_at < *query.as_of)) return false;
  if (!is_labelled) return true;
  if (policy.labels_as_of) return table.popularity_as_of(candidate_row, *query.as_of).has_value();
  const auto known_at = table.label_known_at(candidate_row);
  return !known_at || *known_at < *query.as_of;
}

}  // namespace mmra::retrieval
