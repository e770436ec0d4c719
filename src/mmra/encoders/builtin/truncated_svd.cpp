#include "mmra/encoders/builtin/truncated_svd.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <utility>

#include "mmra/core/threads.h"

namespace mmra::encoders {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

constexpr int kOversampling = 16;
/// Sums are taken over blocks of this many rows, in their order, whatever thread did which.
constexpr Eigen::Index kBlockRows = 1024;
/// Of the first singular value; below it a direction is noise.
constexpr double kSmallestSingularValue = 1e-3;
/// Of the first eigenvalue of a Gram matrix in double; below it there is nothing but rounding.
constexpr double kRounding = 1e-13;

SparseMatrix transpose(const SparseMatrix& matrix) {
  SparseMatrix result;
  result.num_columns = matrix.num_rows();
  result.row_begins.assign(matrix.num_columns + 1, 0);
  for (const std::int32_t column : matrix.columns) ++result.row_begins[column + 1];
  for (std::size_t i = 0; i < matrix.num_columns; ++i) {
    result.row_begins[i + 1] += result.row_begins[i];
  }
  result.columns.resize(matrix.columns.size());
  result.values.resize(matrix.values.size());
  std::vector<std::size_t> next(result.row_begins.begin(), result.row_begins.end() - 1);
  for (std::size_t row = 0; row < matrix.num_rows(); ++row) {
    for (std::size_t i = matrix.row_begins[row]; i < matrix.row_begins[row + 1]; ++i) {
      const std::size_t at = next[matrix.columns[i]]++;
      result.columns[at] = static_cast<std::int32_t>(row);
      result.values[at] = matrix.values[i];
    }
  }
  return result;
}

/// Calls body(first row, number of rows) for blocks of rows.
template <typename Body>
void for_row_blocks(Eigen::Index num_rows, int num_threads, const Body& body) {
  const auto num_blocks = static_cast<std::size_t>((num_rows + kBlockRows - 1) / kBlockRows);
  parallel_for(num_blocks, 1, num_threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t block = begin; block < end; ++block) {
      const Eigen::Index first = static_cast<Eigen::Index>(block) * kBlockRows;
      body(first, std::min(kBlockRows, num_rows - first));
    }
  });
}

/// sparse · dense.
Matrix multiply(const SparseMatrix& sparse, const Matrix& dense, int num_threads) {
  Matrix product = Matrix::Zero(static_cast<Eigen::Index>(sparse.num_rows()), dense.cols());
  for_row_blocks(product.rows(), num_threads, [&](Eigen::Index first, Eigen::Index count) {
    for (Eigen::Index row = first; row < first + count; ++row) {
      for (std::size_t i = sparse.row_begins[row]; i < sparse.row_begins[row + 1]; ++i) {
        product.row(row) += static_cast<double>(sparse.values[i]) * dense.row(sparse.columns[i]);
      }
    }
  });
  return product;
}

/// denseᵀ · dense.
Matrix gram(const Matrix& dense, int num_threads) {
  const auto num_blocks = static_cast<std::size_t>((dense.rows() + kBlockRows - 1) / kBlockRows);
  // A few blocks at a time, so that their Gram matrices stay small beside `dense`.
  constexpr std::size_t kTogether = 16;
  Matrix total = Matrix::Zero(dense.cols(), dense.cols());
  std::vector<Matrix> parts(std::min(kTogether, num_blocks));
  for (std::size_t done = 0; done < num_blocks; done += kTogether) {
    const std::size_t count = std::min(kTogether, num_blocks - done);
    parallel_for(count, 1, num_threads, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const Eigen::Index first = static_cast<Eigen::Index>(done + i) * kBlockRows;
        const auto block = dense.middleRows(first, std::min(kBlockRows, dense.rows() - first));
        parts[i] = Matrix::Zero(dense.cols(), dense.cols());
        parts[i].selfadjointView<Eigen::Lower>().rankUpdate(block.transpose());
      }
    });
    for (std::size_t i = 0; i < count; ++i) total += parts[i];
  }
  total.triangularView<Eigen::StrictlyUpper>() = total.transpose();
  return total;
}

/// Eigenvalues in falling order with their vectors as columns.
std::pair<Vector, Matrix> eigen_of(const Matrix& symmetric) {
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(symmetric);
  return {solver.eigenvalues().reverse(), solver.eigenvectors().rowwise().reverse()};
}

/// 1/√eigenvalue, or 0 where it is below `smallest` of the first.
Vector inverse_roots(const Vector& eigenvalues, double smallest) {
  const double limit = eigenvalues.size() > 0 ? eigenvalues[0] * smallest : 0.0;
  return eigenvalues.unaryExpr([limit](double value) {
    return value > limit && value > 0.0 ? 1.0 / std::sqrt(value) : 0.0;
  });
}

/// Orthonormal columns with the span of `dense`, block by block in place; what has no length
/// becomes zero. Good where the columns are not nearly dependent, as after a step of the iteration.
void orthonormalize(Matrix& dense, int num_threads) {
  const auto [values, vectors] = eigen_of(gram(dense, num_threads));
  const Matrix transform = vectors * inverse_roots(values, kRounding).asDiagonal();
  for_row_blocks(dense.rows(), num_threads, [&](Eigen::Index first, Eigen::Index count) {
    dense.middleRows(first, count) = (dense.middleRows(first, count) * transform).eval();
  });
}

/// A fixed pattern of ±1 (splitmix64 of the position).
Matrix start_pattern(Eigen::Index rows, Eigen::Index columns) {
  Matrix pattern(rows, columns);
  for (Eigen::Index i = 0; i < pattern.size(); ++i) {
    auto bits = (static_cast<std::uint64_t>(i) + 1) * 0x9E3779B97F4A7C15ULL;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ULL;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBULL;
    pattern.data()[i] = ((bits ^ (bits >> 31)) & 1) != 0 ? 1.0 : -1.0;
  }
  return pattern;
}

/// Flips each column so that its entry of largest magnitude (the first such) is positive.
Vector signs_of(const Matrix& columns) {
  Vector signs = Vector::Ones(columns.cols());
  Vector largest = Vector::Zero(columns.cols());
  for (Eigen::Index row = 0; row < columns.rows(); ++row) {
    for (Eigen::Index column = 0; column < columns.cols(); ++column) {
      const double value = columns(row, column);
      if (std::abs(value) <= largest[column]) continue;
      largest[column] = std::abs(value);
      signs[column] = value < 0.0 ? -1.0 : 1.0;
    }
  }
  return signs;
}

}  // namespace

std::vector<Float16Bits> right_singular_vectors(const SparseMatrix& matrix, int rank,
                                                int num_iterations, int num_threads) {
  const auto num_columns = static_cast<Eigen::Index>(matrix.num_columns);
  std::vector<Float16Bits> result(matrix.num_columns * rank, 0);
  if (matrix.values.empty()) return result;
  const SparseMatrix transposed = transpose(matrix);

  Matrix range = start_pattern(static_cast<Eigen::Index>(matrix.num_rows()), rank + kOversampling);
  for (int i = 0; i < num_iterations; ++i) {
    range = multiply(matrix, multiply(transposed, range, num_threads), num_threads);
    orthonormalize(range, num_threads);
  }
  if (num_iterations == 0) orthonormalize(range, num_threads);

  // rows of Bᵀ = Aᵀ Q; B Bᵀ = U S² Uᵀ, so the right singular vectors are Bᵀ U S⁻¹.
  Matrix reduced = multiply(transposed, range, num_threads);
  range.resize(0, 0);
  const auto [values, vectors] = eigen_of(gram(reduced, num_threads));
  const double smallest = kSmallestSingularValue * kSmallestSingularValue;
  const Matrix transform = (vectors * inverse_roots(values, smallest).asDiagonal()).leftCols(rank);
  for_row_blocks(num_columns, num_threads, [&](Eigen::Index first, Eigen::Index count) {
    reduced.block(first, 0, count, rank) = (reduced.middleRows(first, count) * transform).eval();
  });
  const Vector signs = signs_of(reduced.leftCols(rank));
  for (Eigen::Index row = 0; row < num_columns; ++row) {
    for (int column = 0; column < rank; ++column) {
      const double value = reduced(row, column) * signs[column];
      result[row * rank + column] = float_to_half(static_cast<float>(value));
    }
  }
  return result;
}

}  // namespace mmra::encoders
