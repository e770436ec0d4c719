#include "mmra/hub/catalogue.h"

namespace mmra::hub {
namespace {

/// UAE-Large-V1 and the BGE models: the sentence that their authors put before a query.
constexpr const char* kSearchPrompt =
    "Represent this sentence for searching relevant passages: {text}";

CataloguePart captioner() {
  return {Role::kCaptioner,
          "Salesforce/blip-image-captioning-base",
          990,
          "BSD-3-Clause",
          "English",
          {}};
}

CataloguePart visual() {
  return {Role::kVisual, "google/vit-base-patch16-224-in21k", 346, "Apache-2.0", "any", {}};
}

CataloguePart minilm(Role role) {
  return {role,      "sentence-transformers/all-MiniLM-L6-v2",           92, "Apache-2.0",
          "English", {Pooling::kMean, /*normalize=*/true, "{text}", 256}};
}

CatalogueSet paper() {
  return {"paper",
          "the paper's encoders",
          {captioner(),
           visual(),
           {Role::kText,
            "SeanLee97/angle-bert-base-uncased-nli-en-v1",
            438,
            "MIT",
            "English",
            {Pooling::kClsAvg, /*normalize=*/true, "{text}", 512}},
           {Role::kRetrieval,
            "WhereIsAI/UAE-Large-V1",
            1341,
            "MIT",
            "English",
            {Pooling::kCls, /*normalize=*/true, kSearchPrompt, 512}}}};
}

CatalogueSet paper_small() {
  return {"paper-small",
          "the paper's eyes, small text models",
          {captioner(),
           visual(),
           minilm(Role::kText),
           {Role::kRetrieval,
            "BAAI/bge-small-en-v1.5",
            134,
            "MIT",
            "English",
            {Pooling::kCls, /*normalize=*/true, kSearchPrompt, 512}}}};
}

CatalogueSet text_small() {
  return {"text-small",
          "titles alone, one small model for both text parts",
          {minilm(Role::kText), minilm(Role::kRetrieval)}};
}

CatalogueSet multilingual() {
  return {"multilingual",
          "titles in more than a hundred languages; captions stay English",
          {captioner(),
           visual(),
           {Role::kText,
            "google-bert/bert-base-multilingual-cased",
            717,
            "Apache-2.0",
            "104 languages",
            {Pooling::kMean, /*normalize=*/true, "{text}", 512}},
           {Role::kRetrieval,
            "sentence-transformers/use-cmlm-multilingual",
            1905,
            "Apache-2.0",
            "109 languages",
            {Pooling::kMean, /*normalize=*/true, "{text}", 256}}}};
}

}  // namespace

std::span<const CatalogueSet> catalogue() {
  static const std::vector<CatalogueSet> kSets = {paper(), paper_small(), text_small(),
                                                  multilingual()};
  return kSets;
}

const CatalogueSet* find_set(std::string_view name) {
  for (const CatalogueSet& set : catalogue()) {
    if (set.name == name) return &set;
  }
  return nullptr;
}

const CataloguePart* find_catalogue_part(std::string_view repository, std::optional<Role> role) {
  for (const CatalogueSet& set : catalogue()) {
    for (const CataloguePart& part : set.parts) {
      if (part.repository == repository && (!role || part.role == *role)) return &part;
    }
  }
  return nullptr;
}

}  // namespace mmra::hub
