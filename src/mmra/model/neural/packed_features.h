#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/model/neural/draws.h"
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

/// What decides how tokens are gathered in training; without draws nothing is left out.
struct TokenDropout {
  double rate = 0.0;
  Draws draws = nullptr;
};

/// One modality of a batch: the features of its queries' tokens and of those of the distinct
/// instances, and how they become the tokens of each query and of its aggregate; nothing is padded.
struct PackedFeatures {
  at::Tensor features;           ///< of the queries, [num_query_tokens × dim]
  at::Tensor instance_features;  ///< [instance tokens × dim]; undefined without instances
  std::int64_t num_query_tokens = 0;

  /// int64 [N]: which query token each row is; num_query_tokens (the absent token) for a query
  /// without the modality. Undefined where the rows are the query tokens as they are.
  at::Tensor query_slots;
  at::Tensor query_begin;  ///< int64 [B + 1]

  /// Equation 4, from instance tokens to aggregated tokens [M × …]: the weights of each position
  /// are renormalised over the instances that have it. Where a query has no instance with the
  /// modality its only row takes from a column behind the instance tokens: the first of them stands
  /// for the absent token, the second for there being no instance at all. Without such a query
  /// there are no columns behind the tokens.
  WeightedRows aggregate{0};
  bool has_stand_ins = false;
  at::Tensor aggregate_begin;  ///< int64 [B + 1]; undefined without instances
};

/// The features of the instances themselves, aggregated by equation 4 before any layer.
struct AggregatedFeatures {
  at::Tensor
      values;  ///< [M × dim], zeros in the only row of a query whose instances lack the modality
  at::Tensor begin;    ///< int64 [B + 1]
  at::Tensor missing;  ///< [M × 1], 1 in those rows, else 0; undefined where there are none
};
/// `dtype` is float or double. Straight from the stored float16; nothing is unpacked.
[[nodiscard]] AggregatedFeatures aggregate_features(const Batch& batch,
                                                    const DistinctRows& instances,
                                                    std::span<const double> weights,
                                                    Modality modality, at::ScalarType dtype);

/// Rows of several items as [B × n × d], n of the longest, and where there is a row (bool [B × n]).
struct Padded {
  at::Tensor values;  ///< zeros at padding
  at::Tensor mask;
  bool is_full = false;  ///< the mask is true everywhere
};
/// `begin` int64 [B + 1] as in Tokens. Differentiable in `rows` [N × d].
[[nodiscard]] Padded pad(const at::Tensor& rows, const at::Tensor& begin);

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
