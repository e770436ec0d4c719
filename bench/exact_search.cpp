// Seconds to retrieve the top 20 of MicroLens-100k's size (19,738 vectors of 1,088 dimensions, all
// against all), beside those of oneDNN's matrix product alone, which no exact search can beat.
#include "mmra/retrieval/exact_search.h"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "measured.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"

namespace mmra::bench {
namespace {

constexpr std::size_t kRows = 19738;
constexpr std::size_t kDim = 1088;
constexpr std::size_t kClusters = 300;
constexpr int kTop = 20;

/// Unit vectors around 300 centres: neighbours as near as those of real titles.
class ClusteredTable final : public bank::BankTable {
 public:
  ClusteredTable() : vectors_(kRows * kDim) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> centres(kClusters * kDim);
    for (float& value : centres) value = normal(random);
    for (std::size_t row = 0; row < kRows; ++row) {
      const float* centre = centres.data() + (random() % kClusters) * kDim;
      float* to = vectors_.data() + row * kDim;
      double squares = 0.0;
      for (std::size_t c = 0; c < kDim; ++c) {
        to[c] = centre[c] + 0.7F * normal(random);
        squares += static_cast<double>(to[c]) * to[c];
      }
      for (std::size_t c = 0; c < kDim; ++c) to[c] /= static_cast<float>(std::sqrt(squares));
    }
  }
  [[nodiscard]] std::uint64_t generation() const override { return 1; }
  [[nodiscard]] std::size_t num_rows() const override { return kRows; }
  [[nodiscard]] int retrieval_dim() const override { return static_cast<int>(kDim); }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override { return vectors_; }
  [[nodiscard]] std::string_view id(std::size_t /*row*/) const override { return "id"; }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view /*id*/) const override {
    return std::nullopt;
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t /*row*/) const override { return 1.0; }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t /*row*/) const override {
    return std::nullopt;
  }
  [[nodiscard]] bank::Split split(std::size_t /*row*/) const override {
    return bank::Split::kTrain;
  }

 private:
  std::vector<float> vectors_;
};

/// The same products in the same order of magnitude of blocks, and nothing else.
double product_seconds(std::span<const float> vectors, int threads) {
  constexpr std::size_t kBlock = 2048;
  std::vector<float> scores(kBlock * kBlock);
  omp_set_num_threads(threads);
  const Stopwatch watch;
  for (std::size_t q = 0; q < kRows; q += kBlock) {
    for (std::size_t t = 0; t < kRows; t += kBlock) {
      const auto m = static_cast<dnnl_dim_t>(std::min(kBlock, kRows - q));
      const auto n = static_cast<dnnl_dim_t>(std::min(kBlock, kRows - t));
      const auto d = static_cast<dnnl_dim_t>(kDim);
      if (dnnl_sgemm('N', 'T', m, n, d, 1.0F, vectors.data() + q * kDim, d,
                     vectors.data() + t * kDim, d, 0.0F, scores.data(), n) != dnnl_success) {
        throw Error(ErrorKind::kInternal, "oneDNN's product failed");
      }
    }
  }
  return watch.seconds();
}

double search_seconds(const ClusteredTable& table, int threads) {
  std::vector<retrieval::QueryIdentity> queries(kRows);
  for (std::size_t row = 0; row < kRows; ++row) queries[row].own_row = row;
  const Stopwatch watch;
  const retrieval::RetrievalResult result =
      retrieval::search_exact(table, table.retrieval_vectors(), queries, kTop,
                              retrieval::RetrievalPolicy::deployed(), threads);
  const double seconds = watch.seconds();
  if (result.rows.at(0) < 0) throw Error(ErrorKind::kInternal, "nothing was found");
  return seconds;
}

void run(int runs, int threads) {
  const ClusteredTable table;
  const dnnl_version_t* version = dnnl_version();
  std::printf("top %d of %zu x %zu, all against all; threads %d, oneDNN %d.%d.%d\n", kTop, kRows,
              kDim, threads, version->major, version->minor, version->patch);
  std::vector<double> search;
  std::vector<double> product;
  std::vector<double> ratio;
  product_seconds(table.retrieval_vectors(), threads);  // oneDNN compiles its kernels
  for (int i = 0; i < runs; ++i) {
    search.push_back(search_seconds(table, threads));
    product.push_back(product_seconds(table.retrieval_vectors(), threads));
    ratio.push_back(search.back() / product.back());
  }
  print_times("exact search", search);
  print_times("product alone", product);
  std::printf("product alone: %.0f GFLOP/s; search / product, pair by pair: median %.3f\n",
              2e-9 * static_cast<double>(kRows) * kRows * kDim / median(product), median(ratio));
  std::printf("peak memory %.0f MiB\n", peak_memory_mib());
}

}  // namespace
}  // namespace mmra::bench

/// bench_exact_search [RUNS] [THREADS]
int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::max(1, std::atoi(argv[1])) : 5;
  const int threads = argc > 2 ? std::max(1, std::atoi(argv[2])) : mmra::available_processors();
  try {
    mmra::bench::run(runs, threads);
  } catch (const mmra::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
