#include "mmra/bank/feature_table.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

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

std::vector<float> mean_of(const TokenView& tokens) {
  if (tokens.num_tokens == 0) return {};
  const auto dim = static_cast<std::size_t>(tokens.dim);
  std::vector<float> mean(dim);
  std::vector<float> token(dim);
  for (std::size_t begin = 0; begin < tokens.values.size(); begin += dim) {
    halves_to_floats(tokens.values.subspan(begin, dim), token);
    for (std::size_t i = 0; i < dim; ++i) mean[i] += token[i];
  }
  for (float& value : mean) value /= static_cast<float>(tokens.num_tokens);
  return mean;
}

RowDetails make_details(const Record& record, const TokenView& visual,
                        std::vector<float> retrieval_vector) {
  return {record.title, mean_of(visual), std::move(retrieval_vector), record.context,
          record.posted_at};
}

void FeatureTable::append_details(RowDetails details) {
  if (details_.size() + 1 != num_rows()) {
    throw Error(ErrorKind::kInternal, "details of row " + std::to_string(details_.size()) +
                                          " in a table of " + std::to_string(num_rows()) + " rows");
  }
  details_.push_back(std::move(details));
}

const RowDetails& FeatureTable::details(std::size_t row) const {
  if (!has_details()) {
    throw Error(ErrorKind::kInternal, "the features were read without the rows' details");
  }
  return details_[row];
}

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
