// Exact search beside what no exact search can beat (bench/README.md):
//   all: the top 10 of a bank, or of MicroLens-100k's size (19,738 vectors of 1,024 dimensions),
//   all
//        against all, beside oneDNN's float32 product of the same matrices alone;
//   one: single queries in a large table, beside reading its bytes once, and a plain scan of its
//   floats.
#include "mmra/retrieval/exact_search.h"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "clustered_table.h"
#include "measured.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"

namespace mmra::bench {
namespace {

constexpr std::size_t kDim = 1024;  // of made vectors
constexpr int kTop = 10;

/// The same products in the same order of magnitude of blocks, and nothing else.
double product_seconds(const QueriedTable& table, int threads) {
  const std::span<const float> vectors = table.retrieval_vectors();
  const std::size_t dim = table.dim();
  const std::size_t num_rows = table.num_rows();
  constexpr std::size_t kBlock = 2048;
  std::vector<float> scores(kBlock * kBlock);
  omp_set_num_threads(threads);
  const Stopwatch watch;
  for (std::size_t q = 0; q < num_rows; q += kBlock) {
    for (std::size_t t = 0; t < num_rows; t += kBlock) {
      const auto m = static_cast<dnnl_dim_t>(std::min(kBlock, num_rows - q));
      const auto n = static_cast<dnnl_dim_t>(std::min(kBlock, num_rows - t));
      const auto d = static_cast<dnnl_dim_t>(dim);
      if (dnnl_sgemm('N', 'T', m, n, d, 1.0F, vectors.data() + q * dim, d, vectors.data() + t * dim,
                     d, 0.0F, scores.data(), n) != dnnl_success) {
        throw Error(ErrorKind::kInternal, "oneDNN's product failed");
      }
    }
  }
  return watch.seconds();
}

double search_seconds(const QueriedTable& table, int threads) {
  std::vector<retrieval::QueryIdentity> queries(table.num_rows());
  for (std::size_t row = 0; row < queries.size(); ++row) queries[row].own_row = row;
  const Stopwatch watch;
  const retrieval::RetrievalResult result =
      retrieval::search_exact(table, table.retrieval_vectors(), queries, kTop,
                              retrieval::RetrievalPolicy::deployed(), threads);
  const double seconds = watch.seconds();
  if (result.rows.at(0) < 0) throw Error(ErrorKind::kInternal, "nothing was found");
  return seconds;
}

void print_head(const QueriedTable& table, int threads) {
  const dnnl_version_t* version = dnnl_version();
  std::printf("top %d of %zu x %zu; threads %d, oneDNN %d.%d.%d\n", kTop, table.num_rows(),
              table.dim(), threads, version->major, version->minor, version->patch);
}

void all_against_all(const QueriedTable& table, int runs, int threads) {
  std::vector<double> search;
  std::vector<double> product;
  std::vector<double> ratio;
  product_seconds(table, threads);  // oneDNN compiles its kernels
  for (int i = 0; i < runs; ++i) {
    search.push_back(search_seconds(table, threads));
    product.push_back(product_seconds(table, threads));
    ratio.push_back(search.back() / product.back());
  }
  print_times("exact search", search);
  print_times("product alone", product);
  const auto rows = static_cast<double>(table.num_rows());
  std::printf("product alone: %.0f GFLOP/s; search / product, pair by pair: median %.3f\n",
              2e-9 * rows * rows * static_cast<double>(table.dim()) / median(product),
              median(ratio));
}

/// Seconds to read so many bytes once, all threads together.
double reading_seconds(std::span<const float> vectors, std::size_t num_bytes, int threads) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(vectors.data());
  const std::size_t count = num_bytes / sizeof(std::uint64_t);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads) + 1);
  const std::size_t share = (count + sums.size() - 2) / (sums.size() - 1);
  const Stopwatch watch;
  parallel_for(count, share, threads, [&](std::size_t begin, std::size_t end) {
    std::uint64_t lanes[16] = {};
    for (std::size_t i = begin; i + 16 <= end; i += 16) {
      for (std::size_t lane = 0; lane < 16; ++lane) lanes[lane] ^= words[i + lane];
    }
    for (const std::uint64_t lane : lanes) sums[begin / share] ^= lane;
  });
  const double seconds = watch.seconds();
  if (sums.front() == 1) std::printf(" ");  // so that it is not left out
  return seconds;
}

void single_queries(const QueriedTable& table, int runs, int threads) {
  const std::span<const float> vectors = table.retrieval_vectors();
  const std::size_t dim = table.dim();
  const Stopwatch coding;
  const retrieval::ByteVectors bytes(vectors, dim, threads);
  std::printf("made bytes of it in %.2f s\n", coding.seconds());
  std::vector<double> through_bytes;
  std::vector<double> floats;
  std::vector<double> reading;
  std::vector<double> ratio;
  for (int i = 0; i < runs; ++i) {
    const std::size_t row = static_cast<std::size_t>(i) * 7919 % table.num_rows();
    const auto query = vectors.subspan(row * dim, dim);
    retrieval::QueryIdentity identity;
    identity.own_row = row;
    const auto search = [&](const retrieval::ByteVectors* first_pass) {
      return retrieval::search_exact(table, query, std::span(&identity, 1), kTop,
                                     retrieval::RetrievalPolicy::deployed(), threads, {},
                                     first_pass);
    };
    const Stopwatch with_bytes;
    const retrieval::RetrievalResult found = search(&bytes);
    through_bytes.push_back(with_bytes.seconds());
    const Stopwatch with_floats;
    const retrieval::RetrievalResult expected = search(nullptr);
    floats.push_back(with_floats.seconds());
    if (found.rows != expected.rows || found.similarities != expected.similarities) {
      throw Error(ErrorKind::kInternal, "the two searches found different rows");
    }
    reading.push_back(reading_seconds(vectors, table.num_rows() * dim, threads));
    ratio.push_back(through_bytes.back() / reading.back());
  }
  print_times("a query through bytes", through_bytes);
  print_times("a query, floats alone", floats);
  print_times("reading so many bytes", reading);
  std::printf("reading: %.1f GB/s; query / reading, pair by pair: median %.3f\n",
              1e-9 * static_cast<double>(table.num_rows() * dim) / median(reading), median(ratio));
}

}  // namespace
}  // namespace mmra::bench

/// bench_exact_search all|one [RUNS] [THREADS] [ROWS|BANK]
/// bench_exact_search write FILE [ROWS|BANK]: the table, float32, for the peers' script; its
/// dimension is printed
int main(int argc, char** argv) {
  return mmra::bench::run_main(
      [](int count, char** arguments) {
        const std::string what = count > 1 ? arguments[1] : "all";
        const auto argument = [&](int place, const char* otherwise) {
          return std::string(count > place ? arguments[place] : otherwise);
        };
        if (what == "write" && count > 2) {
          const auto table =
              mmra::bench::table_to_search(argument(3, "19738"), mmra::bench::kDim, 0);
          mmra::bench::write_floats(table->retrieval_vectors(), arguments[2]);
          std::printf("%zu\n", table->dim());
          return 0;
        }
        const bool all = what == "all";
        if (!all && what != "one") {
          std::fprintf(stderr, "usage: bench_exact_search all|one [RUNS] [THREADS] [ROWS|BANK]\n");
          return 2;
        }
        const int runs = std::max(1, std::stoi(argument(2, all ? "5" : "20")));
        const int threads =
            count > 3 ? std::max(1, std::stoi(arguments[3])) : mmra::available_processors();
        const auto table = mmra::bench::table_to_search(argument(4, all ? "19738" : "1000000"),
                                                        mmra::bench::kDim, 0);
        mmra::bench::print_head(*table, threads);
        if (all) {
          mmra::bench::all_against_all(*table, runs, threads);
        } else {
          mmra::bench::single_queries(*table, runs, threads);
        }
        std::printf("peak memory %.0f MiB\n", mmra::bench::peak_memory_mib());
        return 0;
      },
      argc, argv);
}
