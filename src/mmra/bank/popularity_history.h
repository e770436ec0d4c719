#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "mmra/core/timestamp.h"

namespace mmra::bank {

/// A popularity that was counted at a known moment.
struct Observation {
  Timestamp observed_at;
  double popularity = 0.0;
  friend bool operator==(const Observation&, const Observation&) = default;
};

/// All that is known of a record's popularity.
struct PopularityHistory {
  std::optional<double> untimed;   ///< as a manifest gives it, of no moment of its own
  std::vector<Observation> timed;  ///< ascending, no two of one moment
  friend bool operator==(const PopularityHistory&, const PopularityHistory&) = default;

  /// Adds it, or replaces the one of the same moment. False where that changed nothing.
  bool add(const Observation& observation);
};

/// The same without owning it.
struct HistoryView {
  std::optional<double> untimed;
  std::span<const Observation> timed;
};

/// What a record counts for, and from when on anybody could know.
struct Label {
  std::optional<double> popularity;   ///< empty: no label
  std::optional<Timestamp> known_at;  ///< empty: no moment is known
};

/// The label of a record (docs/time.md).
///
/// Without a horizon: the latest count, known since it was counted; else the untimed one.
///
/// With a horizon, of a record posted at a known time: the last count that was made at or before
/// posted_at + horizon, and not before half of the horizon was over (an early count says little
/// about what it will be); else the untimed one, which is taken as counted at that moment. Known at
/// posted_at + horizon, since only then it is certain which count is the last. Of a record without
/// a time there is no such moment: its label is the one without a horizon.
[[nodiscard]] Label label_of(const HistoryView& history, std::optional<Timestamp> posted_at,
                             std::optional<Duration> horizon);

/// The label without a horizon as it was known strictly before `moment`: the last count made before
/// it, else the untimed one.
[[nodiscard]] std::optional<double> latest_before(const HistoryView& history, Timestamp moment);

/// The horizon that a bank's or a model's text names ("7d"); empty where it names none, or words
/// that are no length of time.
[[nodiscard]] std::optional<Duration> horizon_of(std::string_view text);

/// What a user gave as --horizon. Throws Error{kInvalidInput} where it is no length of time.
[[nodiscard]] Duration require_horizon(std::string_view text);

}  // namespace mmra::bank
