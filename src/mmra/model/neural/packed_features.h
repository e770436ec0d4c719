#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/model/neural/weighted_rows.h"
#include "mmra/model/predictor.h"

namespace mmra::model::neural {

enum class Modality { kVisual, kText };

[[nodiscard]] bank::TokenView tokens_of(const bank::FeatureTable& table, std::size_t row,
                                        Modality modality);

/// The instances of a batch, each distinct row once.
struct DistinctRows {
  std::vector<std::int32_t> rows;   ///< distinct, in order of appearance
  std::vector<std::int32_t> slots;  ///< [B × k]: index into `rows`, -1: none
};
[[nodiscard]] DistinctRows distinct_rows(std::span<const std::int32_t> instance_rows);

/// What decides how tokens are gathered in training: null generator: nothing is left out.
struct TokenDropout {
  double rate = 0.0;
  at::Generator* generator = nullptr;
};

/// One modality of a batch: the features of its queries' tokens and of those of the distinct
/// instances, without padding, and how they become padded tokens.
struct PackedFeatures {
  at::Tensor features;  ///< [num_query_tokens + instance tokens × dim], queries first
  std::int64_t num_query_tokens = 0;

  /// int64 [B × n]: the query token at each position; num_query_tokens (the absent token) at
  /// padding and at the first position of a query without the modality.
  at::Tensor query_slots;
  at::Tensor query_mask;  ///< bool [B × n]

  /// Equation 4, from instance tokens to padded aggregated tokens [B·m]: the weights of each
  /// position are renormalised over the instances that have it. Rows without any entry are padding
  /// or have a fallback.
  WeightedRows aggregate{0};
  at::Tensor aggregate_mask;  ///< bool [B × m]
  /// [B × m × 2]: 1 at the first position where no instance has the modality (column 0) or there is
  /// no instance at all (column 1); undefined where that never happens.
  at::Tensor fallback;
};

/// `weights` are instance_weights() [B × k]; without retrieval they and the instances are empty.
[[nodiscard]] PackedFeatures pack_features(const Batch& batch, const DistinctRows& instances,
                                           std::span<const double> weights, Modality modality,
                                           at::ScalarType dtype, const TokenDropout& token_dropout);

/// Σ w y / Σ w over the instances that exist and have a label, standardised: [B]; and where there
/// is none (bool [B]).
struct AggregatedLabels {
  at::Tensor values;
  at::Tensor missing;
  bool any_missing = false;
};
[[nodiscard]] AggregatedLabels aggregate_labels(const Batch& batch, std::span<const double> weights,
                                                double label_mean, double label_std,
                                                at::ScalarType dtype);

}  // namespace mmra::model::neural
