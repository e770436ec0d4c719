#pragma once

#include <ATen/ATen.h>

namespace mmra::model::neural {

/// The tokens of one modality for a batch, one item after the other.
struct RaggedTokens {
  at::Tensor values;  ///< [N × d]
  at::Tensor begin;  ///< int64 [B + 1]: item b has the rows begin[b] … begin[b + 1]; at least one
};

/// The same padded to the longest item; where items are short and of nearly one length (frames).
struct Tokens {
  at::Tensor values;  ///< [B × n × d], zeros at padding
  at::Tensor mask;    ///< bool [B × n], true where there is a token; at least one per item
};

}  // namespace mmra::model::neural
