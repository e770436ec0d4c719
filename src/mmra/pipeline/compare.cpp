#include "mmra/pipeline/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::pipeline {
namespace {

// A title longer than this is not quoted whole in a sentence.
constexpr std::size_t kQuotedBytes = 60;

std::string quoted(const std::string& title) {
  if (title.empty()) return "no title";
  if (title.size() <= kQuotedBytes) return "“" + title + "”";
  std::size_t end = kQuotedBytes;
  while (end > 0 && (static_cast<unsigned char>(title[end]) & 0xC0U) == 0x80U) --end;
  return "“" + title.substr(0, end) + "…”";
}

std::string percent(double share) {
  // Never "100 %" of what is not certain.
  return std::to_string(static_cast<int>(std::floor(100.0 * share))) + " %";
}

std::string times(double ratio) {
  char text[32];
  const int size = std::snprintf(text, sizeof(text), ratio < 10.0 ? "%.2f" : "%.0f", ratio);
  return {text, static_cast<std::size_t>(size)};
}

std::size_t second_best(const Comparison& comparison) {
  std::size_t second = comparison.best == 0 ? 1 : 0;
  for (std::size_t i = 0; i < comparison.titles.size(); ++i) {
    if (i != comparison.best && comparison.predictions[i].log2_popularity >
                                    comparison.predictions[second].log2_popularity) {
      second = i;
    }
  }
  return second;
}

const TitlePair& pair_of(const Comparison& comparison, std::size_t i, std::size_t j) {
  return *std::find_if(comparison.pairs.begin(), comparison.pairs.end(), [&](const TitlePair& p) {
    return p.a == std::min(i, j) && p.b == std::max(i, j);
  });
}

std::string verdict_of(const Comparison& comparison) {
  const std::size_t second = second_best(comparison);
  const TitlePair& pair = pair_of(comparison, comparison.best, second);
  const std::string best = quoted(comparison.titles[comparison.best]);
  if (pair.difference_log2 == 0.0) {
    return "No difference: " + best + " and " + quoted(comparison.titles[second]) +
           " are predicted the same.";
  }
  const std::string lead = best + " does best, " +
                           times(std::exp2(std::abs(pair.difference_log2))) + " times " +
                           quoted(comparison.titles[second]);
  if (!pair.confidence) {
    return lead +
           "; whether that is more than chance is not known, this model was made before its errors "
           "were kept (train it again).";
  }
  const std::string pairs =
      "of two clips predicted this far apart, the one predicted higher did "
      "better " +
      percent(*pair.confidence) + " of the time";
  return pair.certain ? lead + ", and that is a clear difference: " + pairs + "."
                      : lead + ", but that is within the uncertainty: " + pairs + ", and " +
                            percent(comparison.level) + " would be clear.";
}

}  // namespace

void check_titles(const Query& query, const std::vector<std::string>& titles) {
  const auto refuse = [](const std::string& what) { throw Error(ErrorKind::kInvalidInput, what); };
  if (titles.size() < 2) {
    refuse("comparing needs at least two titles, got " + std::to_string(titles.size()));
  }
  if (titles.size() > kMaxTitles) {
    refuse("at most " + std::to_string(kMaxTitles) + " titles can be compared at once, got " +
           std::to_string(titles.size()));
  }
  std::set<std::string> seen;
  for (const std::string& title : titles) {
    if (title.empty() && !query.id && !query.has_clip()) {
      refuse("a title is empty and there is no clip; give the clip, or leave that title out");
    }
    if (!seen.insert(title).second) {
      refuse("the title \"" + title + "\" is given twice; give each once");
    }
  }
}

Comparison compare_predictions(std::vector<std::string> titles, std::vector<Prediction> predictions,
                               const training::Calibration& calibration) {
  Comparison comparison;
  comparison.titles = std::move(titles);
  comparison.predictions = std::move(predictions);
  comparison.level = calibration.level;
  const std::vector<Prediction>& all = comparison.predictions;
  for (std::size_t a = 0; a < all.size(); ++a) {
    if (all[a].log2_popularity > all[comparison.best].log2_popularity) comparison.best = a;
    for (std::size_t b = a + 1; b < all.size(); ++b) {
      TitlePair pair{a, b, all[a].log2_popularity - all[b].log2_popularity, 1.0, {}, false};
      pair.ratio = std::exp2(pair.difference_log2);
      // One clip, so one scale: the same whichever of the two is the higher.
      pair.confidence = calibration.sign_confidence(
          std::abs(pair.difference_log2), (all[a].error_scale + all[b].error_scale) / 2.0);
      pair.certain = pair.confidence && *pair.confidence >= calibration.level;
      comparison.pairs.push_back(pair);
    }
  }
  comparison.verdict = verdict_of(comparison);
  return comparison;
}

Comparison compare_titles(PredictionEngine& engine, const Query& query,
                          const std::vector<std::string>& titles, const std::stop_token& stop) {
  check_titles(query, titles);
  return compare_predictions(titles, engine.predict_titles(query, titles, stop),
                             engine.calibration());
}

}  // namespace mmra::pipeline
