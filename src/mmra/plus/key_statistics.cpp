#include "mmra/plus/key_statistics.h"

#include <algorithm>
#include <utility>

namespace mmra::plus {
namespace {

constexpr double kPrior = 0.3;  // weight of "nothing known" in the weighted mean

}  // namespace

KeyStatistics::KeyStatistics(double shrinkage, double label_sum, std::int64_t num_rows,
                             std::unordered_map<TermHash, Sum> sums)
    : shrinkage_(shrinkage), label_sum_(label_sum), num_rows_(num_rows), sums_(std::move(sums)) {}

void KeyStatistics::add(std::span<const TermHash> keys, float label) {
  label_sum_ += label;
  ++num_rows_;
  for (const TermHash key : keys) {
    Sum& sum = sums_[key];
    sum.labels += label;
    ++sum.count;
  }
}

KeyStatistics KeyStatistics::without(const KeyStatistics& other) const {
  KeyStatistics rest = *this;
  rest.label_sum_ -= other.label_sum_;
  rest.num_rows_ -= other.num_rows_;
  for (const auto& [key, sum] : other.sums_) {
    const auto at = rest.sums_.find(key);
    if (at == rest.sums_.end()) continue;
    at->second.labels -= sum.labels;
    at->second.count -= sum.count;
    if (at->second.count <= 0) rest.sums_.erase(at);
  }
  return rest;
}

void KeyStatistics::describe(std::span<const TermHash> keys, std::span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0F);
  const double mean = num_rows_ > 0 ? label_sum_ / static_cast<double>(num_rows_) : 0.0;
  int num_known = 0;
  double sum = 0.0, highest = 0.0, lowest = 0.0, most = 0.0, fewest = 0.0;
  double weights = 0.0, weighted = 0.0;
  for (const TermHash key : keys) {
    const auto at = sums_.find(key);
    if (at == sums_.end()) continue;
    const double count = at->second.count;
    const double effect = (at->second.labels - count * mean) / (count + shrinkage_);
    const bool first = num_known == 0;
    sum += effect;
    highest = first ? effect : std::max(highest, effect);
    lowest = first ? effect : std::min(lowest, effect);
    most = first ? count : std::max(most, count);
    fewest = first ? count : std::min(fewest, count);
    const double weight = count / (count + shrinkage_);
    weights += weight;
    weighted += weight * effect;
    ++num_known;
  }
  const double values[] = {sum,
                           highest,
                           lowest,
                           most,
                           fewest,
                           static_cast<double>(num_known),
                           weighted / (weights + kPrior)};
  std::transform(std::begin(values), std::end(values), out.begin(),
                 [](double value) { return static_cast<float>(value); });
}

KeyStatisticsFit fit_key_statistics(std::span<const std::span<const TermHash>> keys_of_rows,
                                    std::span<const float> targets,
                                    std::span<const std::int32_t> folds, int num_folds,
                                    double shrinkage) {
  KeyStatisticsFit fit{KeyStatistics(shrinkage), {}};
  std::vector<KeyStatistics> held(static_cast<std::size_t>(num_folds), KeyStatistics(shrinkage));
  for (std::size_t i = 0; i < targets.size(); ++i) {
    fit.all.add(keys_of_rows[i], targets[i]);
    held[static_cast<std::size_t>(folds[i])].add(keys_of_rows[i], targets[i]);
  }
  fit.out_of_fold.resize(targets.size() * kKeyWidth);
  for (int fold = 0; fold < num_folds; ++fold) {
    const KeyStatistics others = fit.all.without(held[static_cast<std::size_t>(fold)]);
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (folds[i] != fold) continue;
      others.describe(keys_of_rows[i],
                      std::span(fit.out_of_fold).subspan(i * kKeyWidth, kKeyWidth));
    }
  }
  return fit;
}

}  // namespace mmra::plus
