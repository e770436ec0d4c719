// The builtin encoders on the real titles and labels, where they are at hand.
#include <csv.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "mmra/core/files.h"
#include "mmra/core/sanitizer.h"
#include "mmra/core/threads.h"
#include "mmra/encoders/encoder_set.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Titles {
  std::vector<std::string> titles;
  std::vector<float> labels;  ///< log2 popularity
};

/// Rows of one split of videos.csv (id, title, popularity, split).
Titles read_split(const std::filesystem::path& file, const std::string& split) {
  struct State {
    std::vector<std::string> row;
    std::vector<std::vector<std::string>> rows;
  } state;
  csv_parser parser;
  csv_init(&parser, 0);
  const std::string bytes = read_file(file);
  const auto on_field = [](void* field, std::size_t size, void* out) {
    static_cast<State*>(out)->row.emplace_back(static_cast<char*>(field), size);
  };
  const auto on_row = [](int, void* out) {
    auto* read = static_cast<State*>(out);
    read->rows.push_back(std::move(read->row));
    read->row.clear();
  };
  csv_parse(&parser, bytes.data(), bytes.size(), on_field, on_row, &state);
  csv_fini(&parser, on_field, on_row, &state);
  csv_free(&parser);
  Titles titles;
  for (const auto& row : state.rows) {
    if (row.size() != 4 || row[3] != split) continue;
    titles.titles.push_back(row[1]);
    titles.labels.push_back(std::log2(std::max(1.0F, std::stof(row[2]))));
  }
  return titles;
}

Matrix encode_all(const EncoderSet& set, const std::vector<std::string>& titles) {
  Matrix vectors(static_cast<Eigen::Index>(titles.size()), set.retrieval_dim());
  parallel_for(titles.size(), 64, available_processors(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::vector<float> vector = set.encode({}, titles[i]).retrieval_vector;
      std::copy(vector.begin(), vector.end(), vectors.row(static_cast<Eigen::Index>(i)).data());
    }
  });
  return vectors;
}

/// For each query the mean label of the `k` memory rows with the largest inner products.
std::vector<float> predict_by_neighbours(const Matrix& queries, const Matrix& memory,
                                         const std::vector<float>& labels, int k) {
  std::vector<float> predictions(queries.rows());
  constexpr Eigen::Index kBlock = 64;
  const auto num_blocks = static_cast<std::size_t>((queries.rows() + kBlock - 1) / kBlock);
  parallel_for(num_blocks, 1, available_processors(), [&](std::size_t block, std::size_t) {
    const Eigen::Index first = static_cast<Eigen::Index>(block) * kBlock;
    const Eigen::Index count = std::min(kBlock, queries.rows() - first);
    const Matrix similarities = queries.middleRows(first, count) * memory.transpose();
    std::vector<int> order(memory.rows());
    for (Eigen::Index i = 0; i < count; ++i) {
      std::iota(order.begin(), order.end(), 0);
      const auto closer = [&](int a, int b) { return similarities(i, a) > similarities(i, b); };
      std::nth_element(order.begin(), order.begin() + k, order.end(), closer);
      float sum = 0.0F;
      for (int j = 0; j < k; ++j) sum += labels[order[j]];
      predictions[first + i] = sum / static_cast<float>(k);
    }
  });
  return predictions;
}

/// Ranks from 1, ties averaged.
std::vector<double> ranks_of(const std::vector<float>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) {
      ranks[order[i]] = static_cast<double>(begin + end + 1) / 2.0;
    }
    begin = end;
  }
  return ranks;
}

double spearman(const std::vector<float>& a, const std::vector<float>& b) {
  const std::vector<double> ranks_a = ranks_of(a);
  const std::vector<double> ranks_b = ranks_of(b);
  const double mean = (static_cast<double>(a.size()) + 1.0) / 2.0;
  double covariance = 0.0;
  double variance_a = 0.0;
  double variance_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    covariance += (ranks_a[i] - mean) * (ranks_b[i] - mean);
    variance_a += std::pow(ranks_a[i] - mean, 2);
    variance_b += std::pow(ranks_b[i] - mean, 2);
  }
  return covariance / std::sqrt(variance_a * variance_b);
}

// The reference in numpy reaches 0.4476 (mean of the ten nearest train titles, no training at all).
TEST(RealTitles, NeighboursRankTheValidationSplit) {
#if MMRA_ADDRESS_SANITIZER
  GTEST_SKIP() << "fitting 15,790 titles takes minutes under a sanitizer";
#endif
  const std::filesystem::path file =
      std::filesystem::path(MMRA_SHARED_DATA_DIR) / "microlens-100k/videos.csv";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here";
  const Titles train = read_split(file, "train");
  const Titles valid = read_split(file, "valid");
  ASSERT_EQ(train.titles.size(), 15790U);
  ASSERT_EQ(valid.titles.size(), 1974U);
  const mmra::testing::TemporaryDirectory directory;
  fit_builtin(train.titles, directory.path());
  const EncoderSet set = open_encoder_set(directory.path());
  const std::vector<float> predictions = predict_by_neighbours(
      encode_all(set, valid.titles), encode_all(set, train.titles), train.labels, 10);
  const double src = spearman(predictions, valid.labels);
  RecordProperty("src", std::to_string(src));
  EXPECT_NEAR(src, 0.4476, 0.01);
}

}  // namespace
}  // namespace mmra::encoders
