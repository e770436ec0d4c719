#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mmra/bank/record.h"
#include "mmra/core/float16.h"
#include "mmra/core/timestamp.h"

namespace mmra::bank {

/// Tokens of one modality of one row, as stored: float16, row-major [num_tokens × dim].
struct TokenView {
  int num_tokens = 0;
  int dim = 0;
  std::span<const Float16Bits> values;
};

/// What a reader of features asks for; what nobody asks for costs nothing.
struct FeatureColumns {
  bool tokens = true;
  bool details = false;
};

/// What a row says beside its tokens, for models that look at more than those.
struct RowDetails {
  std::string title;                    ///< UTF-8; empty: none
  std::vector<float> visual_mean;       ///< mean of its visual tokens [d_v]; empty: no video
  std::vector<float> retrieval_vector;  ///< [d_r], unit length, or zeros
  Context context;
  std::optional<Timestamp> posted_at;
};

/// The mean token [tokens.dim]; empty where there are none.
[[nodiscard]] std::vector<float> mean_of(const TokenView& tokens);

/// `visual` are the row's visual tokens.
[[nodiscard]] RowDetails make_details(const Record& record, const TokenView& visual,
                                      std::vector<float> retrieval_vector);

/// The features of many rows in memory, for batches: one arena a modality, no copy a row. Rows are
/// numbered as they were appended. Immutable once filled, then thread-safe.
class FeatureTable {
 public:
  FeatureTable(int visual_dim, int text_dim) : visual_dim_(visual_dim), text_dim_(text_dim) {}

  [[nodiscard]] std::size_t num_rows() const { return log2_popularity_.size(); }
  [[nodiscard]] int visual_dim() const { return visual_dim_; }
  [[nodiscard]] int text_dim() const { return text_dim_; }
  [[nodiscard]] TokenView visual_tokens(std::size_t row) const {
    return view(visual_, visual_begin_, visual_dim_, row);
  }
  [[nodiscard]] TokenView text_tokens(std::size_t row) const {
    return view(text_, text_begin_, text_dim_, row);
  }
  /// log2 of the popularity; NaN where it is not known.
  [[nodiscard]] float log2_popularity(std::size_t row) const { return log2_popularity_[row]; }

  void append(TokenView visual, TokenView text, std::optional<double> popularity);
  /// Of the row that was appended last; either all rows have details or none.
  void append_details(RowDetails details);
  [[nodiscard]] bool has_details() const { return num_rows() > 0 && details_.size() == num_rows(); }
  /// Throws Error{kInternal} where the table was filled without details.
  [[nodiscard]] const RowDetails& details(std::size_t row) const;
  void reserve(std::size_t rows, std::size_t visual_values, std::size_t text_values);

 private:
  [[nodiscard]] static TokenView view(const std::vector<Float16Bits>& arena,
                                      const std::vector<std::size_t>& begin, int dim,
                                      std::size_t row) {
    const std::size_t first = begin[row];
    const std::size_t count = begin[row + 1] - first;
    return {dim == 0 ? 0 : static_cast<int>(count / static_cast<std::size_t>(dim)), dim,
            std::span(arena).subspan(first, count)};
  }

  int visual_dim_;
  int text_dim_;
  std::vector<Float16Bits> visual_;
  std::vector<Float16Bits> text_;
  std::vector<std::size_t> visual_begin_{0};
  std::vector<std::size_t> text_begin_{0};
  std::vector<float> log2_popularity_;
  std::vector<RowDetails> details_;
};

}  // namespace mmra::bank
