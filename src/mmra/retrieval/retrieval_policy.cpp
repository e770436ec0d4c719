#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::retrieval {

std::string_view name_of(Choice choice) noexcept {
  return choice == Choice::kRandom ? "random" : "similar";
}

std::optional<Choice> parse_choice(std::string_view name) noexcept {
  for (const Choice choice : {Choice::kSimilar, Choice::kRandom}) {
    if (name == name_of(choice)) return choice;
  }
  return std::nullopt;
}

bool admits(const RetrievalPolicy& policy, const QueryIdentity& query, const bank::BankTable& table,
            std::size_t candidate_row) {
  if (query.own_row && *query.own_row == candidate_row) return false;
  if (!policy.splits.contains(table.split(candidate_row))) return false;
  if (policy.labelled_only && !table.popularity(candidate_row)) return false;
  if (query.as_of) {
    const auto posted_at = table.posted_at(candidate_row);
    if (!posted_at || !(*posted_at < *query.as_of)) return false;
  }
  return true;
}

}  // namespace mmra::retrieval
