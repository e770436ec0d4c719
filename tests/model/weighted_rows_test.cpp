#include "mmra/model/neural/weighted_rows.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <random>

namespace mmra::model::neural {
namespace {

struct Case {
  WeightedRows rows;
  at::Tensor dense;  ///< [rows × columns]
};

/// Rows of 0 to 4 entries; a column may come twice in a row, and some never come.
Case made_case(int num_rows, int num_columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Case made{WeightedRows(num_columns), at::zeros({num_rows, num_columns}, at::kDouble)};
  for (int row = 0; row < num_rows; ++row) {
    for (auto entry = random() % 5; entry > 0; --entry) {
      const int column = static_cast<int>(random() % static_cast<unsigned>(num_columns));
      const double weight = normal(random);
      made.rows.add(column, weight);
      made.dense[row][column] += weight;
    }
    made.rows.end_row();
  }
  return made;
}

at::Tensor made_matrix(at::IntArrayRef shape, at::ScalarType type) {
  at::Generator random = at::detail::createCPUGenerator(4);
  return at::empty(shape, at::kDouble).normal_(0.0, 1.0, random).to(type);
}

TEST(WeightedRows, TimesAMatrixIsTheDenseProduct) {
  for (const auto& [num_rows, num_columns] : {std::pair{1, 1}, {7, 3}, {3, 50}, {500, 40}}) {
    const Case made = made_case(num_rows, num_columns, 1);
    EXPECT_EQ(made.rows.num_rows(), num_rows);
    EXPECT_EQ(made.rows.num_columns(), num_columns);
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
      const at::Tensor x = made_matrix({num_columns, 9}, type);
      const at::Tensor y = made.rows.times(x);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_TRUE(at::allclose(y.to(at::kDouble), at::matmul(made.dense, x.to(at::kDouble)), 0.0,
                               type == at::kDouble ? 1e-13 : 1e-5));
    }
  }
}

TEST(WeightedRows, HasTheDenseProductsGradient) {
  const Case made = made_case(60, 20, 2);
  const at::Tensor upstream = made_matrix({60, 5}, at::kDouble);
  const at::Tensor x = made_matrix({20, 5}, at::kDouble).set_requires_grad(true);
  (made.rows.times(x) * upstream).sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), at::matmul(made.dense.t(), upstream), 0.0, 1e-13));
}

/// A gradient may arrive as an expanded or transposed view.
TEST(WeightedRows, TakesMatricesThatAreNotContiguous) {
  const Case made = made_case(6, 4, 3);
  const at::Tensor x = made_matrix({5, 4}, at::kDouble).t().set_requires_grad(true);
  const at::Tensor y = made.rows.times(x);
  EXPECT_TRUE(at::allclose(y.detach(), at::matmul(made.dense, x.detach()), 0.0, 1e-13));
  y.sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), at::matmul(made.dense.t(), at::ones({6, 5}, at::kDouble)), 0.0,
                           1e-13));
}

TEST(WeightedRows, OfNoEntryAreZero) {
  WeightedRows rows(3);
  rows.end_row();
  rows.end_row();
  const at::Tensor x = at::ones({3, 2}, at::kFloat).set_requires_grad(true);
  const at::Tensor y = rows.times(x);
  EXPECT_TRUE(y.detach().equal(at::zeros({2, 2})));
  y.sum().backward();
  EXPECT_TRUE(x.grad().equal(at::zeros({3, 2})));

  WeightedRows nothing(0);
  nothing.end_row();
  EXPECT_TRUE(nothing.times(at::empty({0, 2})).equal(at::zeros({1, 2})));
}

TEST(WeightedRows, AreTheSameForAnyNumberOfThreads) {
  const Case made = made_case(3000, 500, 5);
  const at::Tensor x = made_matrix({500, 64}, at::kFloat);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = made.rows.times(x);
  at::set_num_threads(4);
  const at::Tensor four = made.rows.times(x);
  at::set_num_threads(before);
  EXPECT_TRUE(one.equal(four));
}

TEST(WeightedRows, RefuseAMatrixOfOtherRows) {
  EXPECT_THROW((void)made_case(2, 3, 1).rows.times(at::zeros({4, 2})), c10::Error);
}

}  // namespace
}  // namespace mmra::model::neural
