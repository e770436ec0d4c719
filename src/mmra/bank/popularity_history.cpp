#include "mmra/bank/popularity_history.h"

#include <algorithm>
#include <string>

#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

bool is_earlier(const Observation& observation, Timestamp moment) {
  return observation.observed_at < moment;
}

}  // namespace

bool PopularityHistory::add(const Observation& observation) {
  const auto at = std::lower_bound(timed.begin(), timed.end(), observation.observed_at, is_earlier);
  if (at != timed.end() && at->observed_at == observation.observed_at) {
    if (at->popularity == observation.popularity) return false;
    at->popularity = observation.popularity;
    return true;
  }
  timed.insert(at, observation);
  return true;
}

Label label_of(const HistoryView& history, std::optional<Timestamp> posted_at,
               std::optional<Duration> horizon) {
  if (!horizon || !posted_at) {
    if (!history.timed.empty()) {
      return {history.timed.back().popularity, history.timed.back().observed_at};
    }
    return {history.untimed, std::nullopt};
  }
  const Timestamp due = *posted_at + *horizon;
  const Timestamp early{posted_at->ms + horizon->ms / 2};
  const auto after = std::lower_bound(history.timed.begin(), history.timed.end(),
                                      Timestamp{due.ms + 1}, is_earlier);
  if (after != history.timed.begin() && (after - 1)->observed_at >= early) {
    return {(after - 1)->popularity, due};
  }
  if (history.untimed) return {history.untimed, due};
  return {};
}

std::optional<double> latest_before(const HistoryView& history, Timestamp moment) {
  const auto after =
      std::lower_bound(history.timed.begin(), history.timed.end(), moment, is_earlier);
  if (after != history.timed.begin()) return (after - 1)->popularity;
  return history.untimed;
}

std::optional<Duration> horizon_of(std::string_view text) { return parse_duration(text); }

Duration require_horizon(std::string_view text) {
  if (const auto horizon = parse_duration(text)) return *horizon;
  throw Error(ErrorKind::kInvalidInput,
              "--horizon " + in_quotes(text) +
                  " is no length of time; write a number and s, min, h, d or w, such as 7d");
}

}  // namespace mmra::bank
