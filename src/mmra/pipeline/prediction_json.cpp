#include "mmra/pipeline/prediction_json.h"

#include <utility>

namespace mmra::pipeline {

nlohmann::ordered_json to_json(const Prediction& prediction) {
  auto instances = nlohmann::ordered_json::array();
  for (const auto& instance : prediction.instances) {
    instances.push_back({{"id", instance.id},
                         {"title", instance.title},
                         {"similarity", instance.similarity},
                         {"weight", instance.weight},
                         {"popularity", instance.popularity}});
    if (instance.effect_log2) instances.back()["effect_log2"] = *instance.effect_log2;
    if (!instance.captions.empty()) instances.back()["captions"] = instance.captions;
  }
  nlohmann::ordered_json document = {{"popularity", prediction.popularity},
                                     {"log2", prediction.log2_popularity},
                                     {"interval",
                                      {{"level", prediction.interval_level},
                                       {"low", prediction.interval_low},
                                       {"high", prediction.interval_high}}},
                                     {"percentile", prediction.percentile},
                                     {"unit", prediction.unit}};
  if (!prediction.horizon.empty()) document["horizon"] = prediction.horizon;
  document["instances"] = std::move(instances);
  document["parts"] = nlohmann::ordered_json::array();
  for (const PartEffect& part : prediction.parts) {
    document["parts"].push_back({{"part", part.part},
                                 {"effect_log2", part.effect_log2},
                                 {"popularity_without", part.popularity_without},
                                 {"share", part.share}});
  }
  if (!prediction.instances_used) document["instances_used"] = false;
  if (!prediction.captions.empty()) document["captions"] = prediction.captions;
  if (!prediction.frame_effects_log2.empty()) {
    document["frame_effects_log2"] = prediction.frame_effects_log2;
  }
  if (prediction.warning) document["warning"] = *prediction.warning;
  return document;
}

nlohmann::ordered_json to_json(const Comparison& comparison) {
  nlohmann::ordered_json document = {{"unit", comparison.predictions.front().unit},
                                     {"level", comparison.level},
                                     {"best", comparison.best},
                                     {"results", nlohmann::ordered_json::array()},
                                     {"pairs", nlohmann::ordered_json::array()},
                                     {"verdict", comparison.verdict}};
  for (std::size_t i = 0; i < comparison.titles.size(); ++i) {
    nlohmann::ordered_json result = {{"title", comparison.titles[i]}};
    result.update(to_json(comparison.predictions[i]));
    document["results"].push_back(std::move(result));
  }
  for (const TitlePair& pair : comparison.pairs) {
    document["pairs"].push_back({{"a", pair.a},
                                 {"b", pair.b},
                                 {"difference_log2", pair.difference_log2},
                                 {"ratio", pair.ratio},
                                 {"confidence", nullptr},
                                 {"certain", pair.certain}});
    if (pair.confidence) document["pairs"].back()["confidence"] = *pair.confidence;
  }
  return document;
}

nlohmann::ordered_json to_search_json(const Instance& instance) {
  nlohmann::ordered_json document = {{"id", instance.id},
                                     {"title", instance.title},
                                     {"similarity", instance.similarity},
                                     {"popularity", instance.popularity}};
  if (!instance.captions.empty()) document["captions"] = instance.captions;
  return document;
}

}  // namespace mmra::pipeline
