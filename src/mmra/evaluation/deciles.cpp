#include "mmra/evaluation/deciles.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "mmra/core/error.h"

namespace mmra::evaluation {
namespace {

constexpr std::size_t kNumGroups = 10;

struct Rows {
  std::span<const float> predictions;
  std::span<const float> targets;
  std::span<const double> half_widths;
};

void check(const Rows& rows) {
  const std::size_t n = rows.targets.size();
  const bool fits = rows.predictions.size() == n && n > 0 &&
                    (rows.half_widths.empty() || rows.half_widths.size() == n);
  if (fits) return;
  throw Error(ErrorKind::kInvalidInput,
              "deciles need rows with a prediction, a target and perhaps an interval each: got " +
                  std::to_string(rows.predictions.size()) + ", " + std::to_string(n) + " and " +
                  std::to_string(rows.half_widths.size()));
}

Group measure(const Rows& rows, std::span<const std::size_t> members) {
  Group group;
  group.n = members.size();
  for (const std::size_t i : members) {
    const double error = double{rows.predictions[i]} - double{rows.targets[i]};
    group.mean_prediction += rows.predictions[i];
    group.mean_target += rows.targets[i];
    group.mae += std::abs(error);
    group.mse += error * error;
    if (rows.half_widths.empty()) continue;
    group.coverage += std::abs(error) <= rows.half_widths[i] ? 1.0 : 0.0;
    group.mean_width += 2.0 * rows.half_widths[i];
  }
  const auto n = static_cast<double>(members.size());
  for (double* sum : {&group.mean_prediction, &group.mean_target, &group.mae, &group.mse,
                      &group.coverage, &group.mean_width}) {
    *sum /= n;
  }
  return group;
}

std::vector<Group> divide(const Rows& rows, std::span<const float> key) {
  check(rows);
  std::vector<std::size_t> order(key.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return key[a] < key[b]; });
  std::vector<Group> groups;
  std::size_t begin = 0;
  for (std::size_t tenth = 1; tenth <= kNumGroups; ++tenth) {
    std::size_t end = tenth * order.size() / kNumGroups;
    while (end > 0 && end < order.size() && key[order[end]] == key[order[end - 1]]) ++end;
    if (end <= begin) continue;
    groups.push_back(measure(rows, std::span(order).subspan(begin, end - begin)));
    groups.back().low = key[order[begin]];
    groups.back().high = key[order[end - 1]];
    begin = end;
  }
  return groups;
}

}  // namespace

std::vector<Group> by_prediction_decile(std::span<const float> predictions,
                                        std::span<const float> targets,
                                        std::span<const double> half_widths) {
  return divide({predictions, targets, half_widths}, predictions);
}

std::vector<Group> by_target_decile(std::span<const float> predictions,
                                    std::span<const float> targets) {
  return divide({predictions, targets, {}}, targets);
}

}  // namespace mmra::evaluation
