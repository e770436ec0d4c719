#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>

#include "mmra/model/neural/packed_features.h"
#include "mmra/model/neural/parameter_set.h"

namespace mmra::model::neural {

/// The stored features of some rows in one modality, padded to the longest of them; a row without
/// the modality has one token of zeros.
struct QueryTokens {
  Padded tokens;       ///< values [B × n × dim], zeros at padding; mask bool [B × n]
  at::Tensor present;  ///< bool [B]: the row has the modality
};

[[nodiscard]] QueryTokens query_tokens(const bank::FeatureTable& table,
                                       std::span<const std::int32_t> rows, Modality modality,
                                       at::ScalarType dtype);

/// "absent.NAME" [dim]: learned raw features that stand for a modality where a row lacks it.
[[nodiscard]] at::Tensor absent_token(ParameterSet& parameters, const std::string& name,
                                      std::int64_t dim);
/// The same tokens with `absent` [dim] where a row has none.
[[nodiscard]] Padded with_absent(const QueryTokens& query, const at::Tensor& absent);

/// Mean over the tokens of each row, [B × dim].
[[nodiscard]] at::Tensor mean_of_tokens(const Padded& tokens);
/// The last token of each row, [B × dim].
[[nodiscard]] at::Tensor last_of_tokens(const Padded& tokens);
/// (first token + mean of tokens) / 2, as AnglE's `cls_avg` pooling, which made the authors' text
/// features, has it: [B × dim].
[[nodiscard]] at::Tensor first_and_mean_of_tokens(const Padded& tokens);

}  // namespace mmra::model::neural
