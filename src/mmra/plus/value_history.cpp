#include "mmra/plus/value_history.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace mmra::plus {
namespace {

constexpr double kMsPerDay = 86'400'000.0;

}  // namespace

void ValueHistory::add(TermHash value, Timestamp posted_at, float label, std::size_t row) {
  entries_[value].push_back({posted_at, label, row});
}

void ValueHistory::sort() {
  for (auto& [value, entries] : entries_) {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.posted_at, a.row) < std::tie(b.posted_at, b.row);
    });
  }
}

void ValueHistory::describe(TermHash value, std::optional<Timestamp> before,
                            const std::function<bool(std::size_t)>& admits,
                            std::span<float> out) const {
  constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
  std::fill(out.begin(), out.end(), kMissing);
  out[0] = 0.0F;
  const auto found = entries_.find(value);
  if (found == entries_.end()) return;
  double sum = 0.0;
  int count = 0;
  const Entry* last = nullptr;
  float highest = -std::numeric_limits<float>::infinity();
  for (const Entry& entry : found->second) {
    if (before && !(entry.posted_at < *before)) break;
    if (!admits(entry.row)) continue;
    sum += entry.label;
    ++count;
    highest = std::max(highest, entry.label);
    last = &entry;
  }
  if (last == nullptr) return;
  out[0] = static_cast<float>(count);
  out[1] = static_cast<float>(sum / count);
  out[2] = last->label;
  out[3] = highest;
  if (before) {
    out[4] = static_cast<float>(static_cast<double>(before->ms - last->posted_at.ms) / kMsPerDay);
  }
}

}  // namespace mmra::plus
