#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

namespace mmra::encoders {

/// Rows of float32 or bfloat16 in somebody else's memory: [rows × cols], row-major, `stride`
/// elements from the start of one row to that of the next.
template <typename T>
struct BasicRows {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  [[nodiscard]] T* row(std::int64_t index) const { return data + index * stride; }
  [[nodiscard]] bool is_dense() const { return stride == cols; }
  /// Rows [first, first + count).
  [[nodiscard]] BasicRows slice(std::int64_t first, std::int64_t count) const {
    return {row(first), count, cols, stride};
  }
  /// Columns [first, first + count).
  [[nodiscard]] BasicRows columns(std::int64_t first, std::int64_t count) const {
    return {data + first, rows, count, stride};
  }
  operator BasicRows<const T>() const  // NOLINT: a view that may write serves as one that may not
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }
};
using Rows = BasicRows<float>;
using ConstRows = BasicRows<const float>;
/// Of the bits of bfloat16.
using BFloat16Rows = BasicRows<std::uint16_t>;
using ConstBFloat16Rows = BasicRows<const std::uint16_t>;

/// A dense matrix [rows × cols] whose memory is kept when it shrinks. Values are unspecified after
/// resize().
template <typename T>
class BasicMatrix {
 public:
  BasicMatrix() = default;
  BasicMatrix(std::int64_t rows, std::int64_t cols) { resize(rows, cols); }

  BasicRows<T> resize(std::int64_t rows, std::int64_t cols) {
    rows_ = rows;
    cols_ = cols;
    const auto size = static_cast<std::size_t>(rows * cols);
    if (values_.size() < size) values_.resize(size);
    return view();
  }
  [[nodiscard]] BasicRows<T> view() { return {values_.data(), rows_, cols_, cols_}; }
  [[nodiscard]] BasicRows<const T> view() const { return {values_.data(), rows_, cols_, cols_}; }

 private:
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::vector<T> values_;
};
using Matrix = BasicMatrix<float>;
using BFloat16Matrix = BasicMatrix<std::uint16_t>;

}  // namespace mmra::encoders
