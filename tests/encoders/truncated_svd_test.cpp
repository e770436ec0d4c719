#include "mmra/encoders/builtin/truncated_svd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace mmra::encoders {
namespace {

/// A random sparse matrix whose rows repeat a few patterns with noise, so that its spectrum falls.
SparseMatrix random_matrix(int num_rows, int num_columns) {
  std::mt19937 random(17);
  SparseMatrix matrix;
  matrix.num_columns = num_columns;
  for (int row = 0; row < num_rows; ++row) {
    for (int column = 0; column < num_columns; ++column) {
      const bool pattern = (row % 5) * 7 % 11 == column % 11;
      if (!pattern && random() % 10 != 0) continue;
      matrix.columns.push_back(column);
      matrix.values.push_back(pattern ? 1.0F : 0.1F * static_cast<float>(random() % 10));
    }
    matrix.row_begins.push_back(matrix.columns.size());
  }
  return matrix;
}

std::vector<float> to_floats(const std::vector<Float16Bits>& halves) {
  std::vector<float> floats(halves.size());
  halves_to_floats(halves, floats);
  return floats;
}

/// ‖A v‖ for column `column` of the row-major basis.
double length_after(const SparseMatrix& matrix, const std::vector<float>& basis, int rank,
                    int column) {
  double energy = 0.0;
  for (std::size_t row = 0; row < matrix.num_rows(); ++row) {
    double sum = 0.0;
    for (std::size_t i = matrix.row_begins[row]; i < matrix.row_begins[row + 1]; ++i) {
      sum += matrix.values[i] * basis[matrix.columns[i] * rank + column];
    }
    energy += sum * sum;
  }
  return std::sqrt(energy);
}

TEST(TruncatedSvd, ColumnsAreOrthonormalAndFallInStrength) {
  constexpr int kRank = 12;
  const SparseMatrix matrix = random_matrix(300, 200);
  const std::vector<float> basis = to_floats(right_singular_vectors(matrix, kRank, 4, 2));
  double last = 1e9;
  for (int a = 0; a < kRank; ++a) {
    for (int b = 0; b <= a; ++b) {
      double dot = 0.0;
      for (int row = 0; row < 200; ++row) dot += basis[row * kRank + a] * basis[row * kRank + b];
      EXPECT_NEAR(dot, a == b ? 1.0 : 0.0, 2e-3) << a << " " << b;
    }
    const double length = length_after(matrix, basis, kRank, a);
    EXPECT_LE(length, last + 1e-2);
    last = length;
  }
}

TEST(TruncatedSvd, FindsTheSingularVectorsOfADiagonalMatrix) {
  SparseMatrix matrix;
  matrix.num_columns = 4;
  const float diagonal[] = {2.0F, 5.0F, 0.0F, -3.0F};
  for (int i = 0; i < 4; ++i) {
    matrix.columns.push_back(i);
    matrix.values.push_back(diagonal[i]);
    matrix.row_begins.push_back(matrix.columns.size());
  }
  const std::vector<float> basis = to_floats(right_singular_vectors(matrix, 4, 2, 1));
  const std::vector<float> expected{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
  for (std::size_t i = 0; i < basis.size(); ++i) EXPECT_NEAR(basis[i], expected[i], 1e-6) << i;
}

TEST(TruncatedSvd, BeyondTheRankThereIsNothing) {
  const SparseMatrix matrix = random_matrix(3, 40);
  const std::vector<float> basis = to_floats(right_singular_vectors(matrix, 8, 1, 1));
  for (int column = 0; column < 8; ++column) {
    double energy = 0.0;
    for (int row = 0; row < 40; ++row) energy += std::pow(basis[row * 8 + column], 2);
    EXPECT_NEAR(energy, column < 3 ? 1.0 : 0.0, 2e-3) << column;
  }
}

TEST(TruncatedSvd, NothingInNothingOut) {
  EXPECT_TRUE(right_singular_vectors({}, 5, 1, 1).empty());
  SparseMatrix zeros;
  zeros.num_columns = 2;
  zeros.row_begins = {0, 0, 0};
  EXPECT_EQ(right_singular_vectors(zeros, 2, 1, 1), std::vector<Float16Bits>(4, 0));
}

TEST(TruncatedSvd, DoesNotDependOnTheNumberOfThreads) {
  const SparseMatrix matrix = random_matrix(2500, 2100);
  const auto one = right_singular_vectors(matrix, 6, 1, 1);
  EXPECT_EQ(right_singular_vectors(matrix, 6, 1, 3), one);
}

}  // namespace
}  // namespace mmra::encoders
