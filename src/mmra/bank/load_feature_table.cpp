#include "mmra/bank/load_feature_table.h"

#include <optional>
#include <utility>

#include "mmra/bank/label_table.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

constexpr int kAttempts = 5;

TokenView view_of(const HalfTokenMatrix& tokens) {
  return {tokens.num_tokens, tokens.dim, tokens.values};
}

/// Empty where the bank was written between its table and its features.
std::optional<LoadedFeatures> try_load(const MemoryBank& bank, const FeatureColumns& columns,
                                       std::optional<Duration> horizon) {
  auto table = bank.table();
  if (horizon) table = with_horizon(std::move(table), *horizon);
  const BankInfo info = bank.info();
  FeatureTable features(info.schema.visual_dim, info.schema.text_dim);
  const TokenView no_visual{0, info.schema.visual_dim, {}};
  const TokenView no_text{0, info.schema.text_dim, {}};
  if (columns.tokens) {
    features.reserve(table->num_rows(),
                     static_cast<std::size_t>(info.num_visual_tokens * info.schema.visual_dim),
                     static_cast<std::size_t>(info.num_text_tokens * info.schema.text_dim));
  }
  bool same = true;
  bank.for_each_with_features([&](const Record& record, const Features& stored) {
    const std::size_t row = features.num_rows();
    same = row < table->num_rows() && table->id(row) == record.id;
    if (!same) return false;
    const TokenView visual = view_of(stored.visual_tokens);
    features.append(columns.tokens ? visual : no_visual,
                    columns.tokens ? view_of(stored.text_tokens) : no_text, table->popularity(row));
    if (columns.details) {
      features.append_details(make_details(record, visual, stored.retrieval_vector));
    }
    return true;
  });
  // Commits only count up: the same number before and after means the same records in between.
  same = same && features.num_rows() == table->num_rows() &&
         bank.info().generation == table->generation();
  if (!same) return std::nullopt;
  return LoadedFeatures{table, std::move(features)};
}

}  // namespace

LoadedFeatures load_feature_table(const MemoryBank& bank, const FeatureColumns& columns,
                                  std::optional<Duration> horizon) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (auto loaded = try_load(bank, columns, horizon)) return std::move(*loaded);
  }
  throw Error(ErrorKind::kIo,
              "the memory bank is being written while it is read; wait until that is done");
}

}  // namespace mmra::bank
