// Approximate indexes (bench/README.md): how long one takes to make, what it weighs, what it finds
// and how fast, without a filter and with filters by time.
//   write FILE QUERIES ROWS DIM: the vectors and the queries, for peers, and the true neighbours of
//   these search SPEC ROWS DIM [RECALL] [SEGMENT_ROWS]: makes the index and measures it
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "measured.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/index/index_builder.h"
#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::bench {
namespace {

constexpr std::size_t kRowsOfACluster = 66;
constexpr std::size_t kNumQueries = 2000;
constexpr int kTop = 10;

/// Unit vectors as those of exact_search.cpp, of any dimension; a row was posted at its number's
/// place in a fixed shuffle, so that clusters lie all over time.
class ClusteredTable final : public bank::BankTable {
 public:
  ClusteredTable(std::size_t num_rows, std::size_t dim)
      : num_rows_(num_rows), dim_(dim), vectors_(num_rows * dim) {
    parallel_for(num_rows, 4096, available_processors(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) make_row(row, vectors_.data() + row * dim_);
    });
    for (std::size_t i = 0; i < kNumQueries; ++i) {
      queries_.resize((i + 1) * dim);
      // Rows beyond the table, of the same clusters.
      make_row(num_rows + i * 7919, queries_.data() + i * dim);
    }
  }
  [[nodiscard]] std::span<const float> queries() const { return queries_; }

  [[nodiscard]] std::uint64_t generation() const override { return 1; }
  [[nodiscard]] std::size_t num_rows() const override { return num_rows_; }
  [[nodiscard]] int retrieval_dim() const override { return static_cast<int>(dim_); }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override { return vectors_; }
  [[nodiscard]] std::string_view id(std::size_t /*row*/) const override { return "id"; }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view /*id*/) const override {
    return std::nullopt;
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t /*row*/) const override { return 1.0; }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t row) const override {
    // An odd factor and a prime: each moment once.
    constexpr std::uint64_t kPrime = 2'147'483'647;
    return Timestamp{static_cast<std::int64_t>(row * 1'103'515'245 % kPrime)};
  }
  [[nodiscard]] bank::Split split(std::size_t /*row*/) const override {
    return bank::Split::kTrain;
  }

 private:
  void make_row(std::size_t row, float* to) const {
    const std::size_t num_clusters = std::max<std::size_t>(1, num_rows_ / kRowsOfACluster);
    std::minstd_rand centre(static_cast<unsigned>(2 * (row % num_clusters) + 1));
    std::minstd_rand noise(static_cast<unsigned>(2 * row + 2));
    const auto normal = [](std::minstd_rand& random) {
      float sum = -2.0F;
      for (int i = 0; i < 4; ++i) sum += static_cast<float>(random()) * 0x1.0p-31F;
      return sum;
    };
    double squares = 0.0;
    for (std::size_t c = 0; c < dim_; ++c) {
      to[c] = normal(centre) + 0.7F * normal(noise);
      squares += static_cast<double>(to[c]) * to[c];
    }
    for (std::size_t c = 0; c < dim_; ++c) to[c] /= static_cast<float>(std::sqrt(squares));
  }

  std::size_t num_rows_;
  std::size_t dim_;
  std::vector<float> vectors_;
  std::vector<float> queries_;
};

retrieval::RetrievalResult exact(const ClusteredTable& table,
                                 const std::vector<retrieval::QueryIdentity>& queries) {
  return retrieval::search_exact(table, table.queries(), queries, kTop,
                                 retrieval::RetrievalPolicy::deployed(), available_processors());
}

double recall_of(const retrieval::RetrievalResult& found,
                 const retrieval::RetrievalResult& wanted) {
  std::size_t num_found = 0;
  for (std::size_t q = 0; q < kNumQueries; ++q) {
    const auto begin = found.rows.begin() + static_cast<std::ptrdiff_t>(q * kTop);
    for (int j = 0; j < kTop; ++j) {
      num_found +=
          std::count(begin, begin + kTop, wanted.rows[q * kTop + static_cast<std::size_t>(j)]);
    }
  }
  return static_cast<double>(num_found) / static_cast<double>(kNumQueries * kTop);
}

void measure(const retrieval::SegmentedIndex& index, const ClusteredTable& table, double share,
             const char* what) {
  std::vector<retrieval::QueryIdentity> queries(kNumQueries);
  for (auto& query : queries) {
    if (share < 1.0) query.as_of = Timestamp{static_cast<std::int64_t>(share * 2'147'483'647.0)};
  }
  const auto wanted = exact(table, queries);
  std::vector<double> together;
  std::vector<double> alone;
  retrieval::RetrievalResult found;
  constexpr int kRuns = 5;
  for (int run = 0; run < kRuns; ++run) {
    const Stopwatch watch;
    found = index.search(table, table.queries(), queries, kTop,
                         retrieval::RetrievalPolicy::deployed(), available_processors());
    together.push_back(watch.seconds());
    const Stopwatch one;
    static_cast<void>(index.search(table, table.queries(), queries, kTop,
                                   retrieval::RetrievalPolicy::deployed(), 1));
    alone.push_back(one.seconds());
  }
  std::printf("%s: recall@10 %.4f, %.0f queries/s on %d threads, %.0f on one\n", what,
              recall_of(found, wanted), kNumQueries / median(together), available_processors(),
              kNumQueries / median(alone));
  std::fflush(stdout);
}

void search(const std::string& spec, std::size_t num_rows, std::size_t dim, float wanted_recall,
            std::size_t rows_per_segment) {
  const auto table = std::make_shared<const ClusteredTable>(num_rows, dim);
  const auto place = std::filesystem::temp_directory_path() / ("mmra-bench-index-" + spec);
  std::filesystem::create_directories(place);
  retrieval::IndexOptions options;
  options.num_threads = available_processors();
  options.wanted_recall = wanted_recall;
  options.rows_per_segment = rows_per_segment;
  SilentProgress silent;
  const Stopwatch building;
  const auto report = retrieval::build_index(place, *table, spec, options, silent);
  std::printf(
      "%s over %zu x %zu: made in %.1f s, %zu segments, %.1f bytes a vector (a vector is %zu)\n",
      spec.c_str(), num_rows, dim, building.seconds(), report.num_segments,
      static_cast<double>(report.bytes) / static_cast<double>(num_rows), dim * sizeof(float));
  const Stopwatch opening;
  const auto index = retrieval::SegmentedIndex::open(place, table, options.num_threads);
  std::printf("opened in %.2f s; width", opening.seconds());
  for (const auto& placed : index->segments()) std::printf(" %d", placed.segment->head().width);
  std::printf("; peak memory %.0f MiB\n", peak_memory_mib());
  measure(*index, *table, 1.0, "no filter");
  measure(*index, *table, 0.5, "time admits 50 %");
  measure(*index, *table, 0.1, "time admits 10 %");
  measure(*index, *table, 0.01, "time admits 1 %");
  std::filesystem::remove_all(place);
}

void write_floats(std::span<const float> values, const char* file) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size_bytes()));
  if (!out.flush()) throw Error(ErrorKind::kIo, std::string("cannot write ") + file);
}

int run(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "write" && argc == 6) {
    const ClusteredTable table(std::strtoull(argv[4], nullptr, 10),
                               std::strtoull(argv[5], nullptr, 10));
    write_floats(table.retrieval_vectors(), argv[2]);
    write_floats(table.queries(), argv[3]);
    return 0;
  }
  if (mode == "search" && argc >= 5) {
    std::printf("%s, %s\n", environment("OPENBLAS_CORETYPE").c_str(),
                environment("OPENBLAS_L2_SIZE").c_str());
    search(argv[2], std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[4], nullptr, 10),
           argc > 5 ? std::strtof(argv[5], nullptr) : retrieval::IndexOptions{}.wanted_recall,
           argc > 6 ? std::strtoull(argv[6], nullptr, 10)
                    : retrieval::IndexOptions{}.rows_per_segment);
    return 0;
  }
  std::fprintf(stderr,
               "usage: bench_index_search write FILE QUERIES ROWS DIM\n"
               "       bench_index_search search SPEC ROWS DIM [RECALL] [SEGMENT_ROWS]\n");
  return 2;
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) { return mmra::bench::run(argc, argv); }
