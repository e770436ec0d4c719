#include "mmra/bank/table_changes.h"

#include <utility>

namespace mmra::bank {
namespace {

// An ingest of more rows makes the table from the records: their ids are not kept.
constexpr std::size_t kMostChanges = std::size_t{1} << 17;

}  // namespace

void TableChanges::note(std::span<const std::string> ids, std::uint64_t generation) {
  const std::scoped_lock lock(mutex_);
  if (table_ == nullptr) return;
  for (const std::string& id : ids) last_changes_[id] = generation;
  if (last_changes_.size() <= kMostChanges) return;
  table_ = nullptr;
  last_changes_.clear();
}

void TableChanges::follow(std::shared_ptr<const BankTable> table) {
  const std::scoped_lock lock(mutex_);
  if (table_ != nullptr && table_->generation() >= table->generation()) return;
  const std::uint64_t generation = table->generation();
  std::erase_if(last_changes_, [&](const auto& change) { return change.second <= generation; });
  table_ = std::move(table);
}

bool TableChanges::is_following() const {
  const std::scoped_lock lock(mutex_);
  return table_ != nullptr;
}

void TableChanges::forget() {
  const std::scoped_lock lock(mutex_);
  table_ = nullptr;
  last_changes_.clear();
}

std::optional<TableChanges::Since> TableChanges::before(std::uint64_t generation) const {
  const std::scoped_lock lock(mutex_);
  if (table_ == nullptr || table_->generation() > generation) return std::nullopt;
  Since since{table_, {}};
  for (const auto& [id, changed_at] : last_changes_) since.ids.push_back(id);
  return since;
}

}  // namespace mmra::bank
