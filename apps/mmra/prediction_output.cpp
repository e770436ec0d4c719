#include "prediction_output.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "command.h"
#include "console.h"

namespace mmra::app {

std::string describe_captions(const std::vector<std::string>& captions) {
  std::string text = "What the frames show:\n";
  std::string previous;
  for (const std::string& caption : captions) {
    if (caption != previous) text += "  " + one_line(caption, 96) + "\n";
    previous = caption;
  }
  return text;
}

namespace {

/// By what factor a part or an instance changes the prediction: "×1.25".
std::string factor(double effect_log2) { return "×" + fixed(std::exp2(effect_log2), 2); }

/// Each frame with what it does to the number, and what it shows where that changes.
std::string frames_text(const pipeline::Prediction& prediction) {
  const std::vector<std::string>& captions = prediction.captions;
  if (prediction.frame_effects_log2.empty()) {
    return captions.empty() ? "" : "\n" + describe_captions(captions);
  }
  Table table({"frame", "it makes", "it shows"});
  for (std::size_t i = 0; i < prediction.frame_effects_log2.size(); ++i) {
    const bool is_new = i < captions.size() && (i == 0 || captions[i] != captions[i - 1]);
    table.add_row({std::to_string(i + 1), factor(prediction.frame_effects_log2[i]),
                   is_new ? one_line(captions[i], 96) : ""});
  }
  return "\nWhat each frame does to the number:\n" + table.to_text();
}

std::string parts_text(const pipeline::Prediction& prediction) {
  if (prediction.parts.empty()) return {};
  Table table({"what", prediction.unit + " without it", "it makes", "share"});
  for (const pipeline::PartEffect& part : prediction.parts) {
    table.add_row({part.part == "retrieval" ? "the past videos below" : "the " + part.part,
                   readable_count(part.popularity_without), factor(part.effect_log2),
                   fixed(100.0 * part.share, 0) + " %"});
  }
  return "\nWhat each part does to the number:\n" + table.to_text();
}

}  // namespace

std::string to_text(const pipeline::Prediction& prediction) {
  std::string text = readable_count(prediction.popularity) + " " +
                     describe_unit(prediction.unit, prediction.horizon) + " predicted; with " +
                     fixed(100.0 * prediction.interval_level, 0) + " % confidence between " +
                     readable_count(prediction.interval_low) + " and " +
                     readable_count(prediction.interval_high) + ".\n";
  text += "More than " + fixed(prediction.percentile, 0) +
          " % of the bank's records have. (log2: " + fixed(prediction.log2_popularity, 2) + ")\n";
  text += frames_text(prediction);
  text += parts_text(prediction);
  if (prediction.instances.empty()) {
    return text + "\nThe bank has no record that it may be compared with.\n";
  }
  text += prediction.instances_used
              ? "\nThe most similar past videos, and how much each counted:\n"
              : "\nThe most similar past videos, to compare with (this model does not look at "
                "them):\n";
  Table table({"weight", "it makes", "similarity", prediction.unit, "id", "title"});
  for (const auto& instance : prediction.instances) {
    table.add_row({prediction.instances_used ? fixed(instance.weight, 3) : "-",
                   instance.effect_log2 ? factor(*instance.effect_log2) : "-",
                   fixed(instance.similarity, 3), readable_count(instance.popularity),
                   one_line(instance.id, 24), one_line(instance.title, 64)});
  }
  return text + table.to_text();
}

std::string to_text(const pipeline::Comparison& comparison) {
  const auto& predictions = comparison.predictions;
  std::vector<std::size_t> order(predictions.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return predictions[a].log2_popularity > predictions[b].log2_popularity;
  });
  const auto& best = predictions[comparison.best];
  Table table({describe_unit(best.unit, best.horizon), "of the best", "the best is ahead",
               fixed(100.0 * comparison.level, 0) + " % interval", "title"});
  for (const std::size_t i : order) {
    const auto pair = std::find_if(
        comparison.pairs.begin(), comparison.pairs.end(), [&](const pipeline::TitlePair& p) {
          return p.a == std::min(i, comparison.best) && p.b == std::max(i, comparison.best);
        });
    std::string ahead = "-";
    if (pair != comparison.pairs.end() && pair->confidence) {
      ahead = fixed(std::floor(100.0 * *pair->confidence), 0) + " %" +
              (pair->certain ? ", clear" : ", unclear");
    }
    table.add_row(
        {readable_count(predictions[i].popularity),
         fixed(100.0 * std::exp2(predictions[i].log2_popularity - best.log2_popularity), 0) + " %",
         ahead,
         readable_count(predictions[i].interval_low) + " – " +
             readable_count(predictions[i].interval_high),
         one_line(comparison.titles[i].empty() ? "(no title)" : comparison.titles[i], 72)});
  }
  return one_line(comparison.verdict, 1000) + "\n\n" + table.to_text();
}

}  // namespace mmra::app
