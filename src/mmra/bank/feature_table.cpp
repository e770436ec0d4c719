#include "mmra/bank/feature_table.h"

#include <limits>
#include <string>

#include "mmra/bank/record.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

void check_dim(const char* modality, const TokenView& tokens, int dim) {
  const auto expected = static_cast<std::size_t>(tokens.num_tokens) * static_cast<std::size_t>(dim);
  if (tokens.num_tokens < 0 || (tokens.num_tokens > 0 && tokens.dim != dim) ||
      tokens.values.size() != expected) {
    throw Error(ErrorKind::kInvalidInput,
                std::string(modality) + " tokens of " + std::to_string(tokens.num_tokens) + " x " +
                    std::to_string(tokens.dim) + " (" + std::to_string(tokens.values.size()) +
                    " values), expected a dimension of " + std::to_string(dim));
  }
}

}  // namespace

void FeatureTable::append(TokenView visual, TokenView text, std::optional<double> popularity) {
  check_dim("visual", visual, visual_dim_);
  check_dim("text", text, text_dim_);
  visual_.insert(visual_.end(), visual.values.begin(), visual.values.end());
  text_.insert(text_.end(), text.values.begin(), text.values.end());
  visual_begin_.push_back(visual_.size());
  text_begin_.push_back(text_.size());
  log2_popularity_.push_back(popularity ? static_cast<float>(bank::log2_popularity(*popularity))
                                        : std::numeric_limits<float>::quiet_NaN());
}

void FeatureTable::reserve(std::size_t rows, std::size_t visual_values, std::size_t text_values) {
  visual_.reserve(visual_values);
  text_.reserve(text_values);
  visual_begin_.reserve(rows + 1);
  text_begin_.reserve(rows + 1);
  log2_popularity_.reserve(rows);
}

}  // namespace mmra::bank
