#include "prediction_output.h"

#include <cmath>

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
  if (!prediction.captions.empty()) text += "\n" + describe_captions(prediction.captions);
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

}  // namespace mmra::app
