// Approximate indexes (bench/README.md): how long one takes to make, what it weighs, what it finds
// and how fast, without a filter and with filters by time.
//   write FILE QUERIES ROWS DIM: the vectors and the queries, for peers, and the true neighbours of
//   these
//   search SPEC ROWS DIM [RECALL] [SEGMENT_ROWS]: makes the index and measures it
//   Instead of ROWS a bank's directory: its vectors, of which some are queries; DIM is their own
//   then again SPEC ROWS DIM BUILDS RECALL: makes it several times and says how far the choice
//   differs
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "clustered_table.h"
#include "measured.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/index/index_builder.h"
#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::bench {
namespace {

constexpr std::size_t kNumQueries = 2000;
constexpr int kTop = 10;

retrieval::RetrievalResult exact(const QueriedTable& table,
                                 const std::vector<retrieval::QueryIdentity>& queries) {
  return retrieval::search_exact(table, table.queries(), queries, kTop,
                                 retrieval::RetrievalPolicy::deployed(), available_processors());
}

double recall_of(const retrieval::RetrievalResult& found,
                 const retrieval::RetrievalResult& wanted) {
  std::size_t num_found = 0;
  const std::size_t num_queries = wanted.rows.size() / kTop;
  for (std::size_t q = 0; q < num_queries; ++q) {
    const auto begin = found.rows.begin() + static_cast<std::ptrdiff_t>(q * kTop);
    for (int j = 0; j < kTop; ++j) {
      num_found +=
          std::count(begin, begin + kTop, wanted.rows[q * kTop + static_cast<std::size_t>(j)]);
    }
  }
  return static_cast<double>(num_found) / static_cast<double>(wanted.rows.size());
}

void measure(const retrieval::SegmentedIndex& index, const QueriedTable& table, double share,
             const char* what) {
  std::vector<retrieval::QueryIdentity> queries(table.num_queries());
  for (auto& query : queries) {
    if (share < 1.0) query.as_of = Timestamp{static_cast<std::int64_t>(share * QueriedTable::kEnd)};
  }
  const auto wanted = exact(table, queries);
  std::vector<double> together;
  std::vector<double> alone;
  std::vector<double> of_processor;
  retrieval::RetrievalResult found;
  constexpr int kRuns = 5;
  for (int run = 0; run < kRuns; ++run) {
    const Stopwatch watch;
    found = index.search(table, table.queries(), queries, kTop,
                         retrieval::RetrievalPolicy::deployed(), available_processors());
    together.push_back(watch.seconds());
    const Stopwatch one;
    const double before = processor_seconds();
    static_cast<void>(index.search(table, table.queries(), queries, kTop,
                                   retrieval::RetrievalPolicy::deployed(), 1));
    alone.push_back(one.seconds());
    of_processor.push_back(processor_seconds() - before);
  }
  const auto num_queries = static_cast<double>(table.num_queries());
  std::printf(
      "%s: recall@10 %.4f, %.0f queries/s on %d threads, %.0f on one, %.0f a second of its "
      "processor "
      "time\n",
      what, recall_of(found, wanted), num_queries / median(together), available_processors(),
      num_queries / median(alone),
      num_queries / *std::min_element(of_processor.begin(), of_processor.end()));
  std::fflush(stdout);
}

void search(const std::string& spec, const std::shared_ptr<const QueriedTable>& table,
            float wanted_recall, std::size_t rows_per_segment) {
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
      spec.c_str(), table->num_rows(), table->dim(), building.seconds(), report.num_segments,
      static_cast<double>(report.bytes) / static_cast<double>(table->num_rows()),
      table->dim() * sizeof(float));
  const Stopwatch opening;
  const auto index = retrieval::SegmentedIndex::open(place, table, options.num_threads);
  std::printf("opened in %.2f s; width:places", opening.seconds());
  for (const auto& placed : index->segments()) {
    for (const auto& of_rank : placed.segment->head().efforts) {
      for (const auto& effort : of_rank) std::printf(" %d:%d", effort.width, effort.places);
      std::printf(";");
    }
  }
  std::printf(" peak memory %.0f MiB\n", peak_memory_mib());
  measure(*index, *table, 1.0, "no filter");
  measure(*index, *table, 0.5, "time admits 50 %");
  measure(*index, *table, 0.1, "time admits 10 %");
  measure(*index, *table, 0.01, "time admits 1 %");
  std::filesystem::remove_all(place);
}

/// How far efforts that are chosen, and what they find, differ from one index to the next.
void build_again(const std::string& spec, std::size_t num_rows, std::size_t dim,
                 std::size_t num_builds, float wanted_recall) {
  const auto table = std::make_shared<const ClusteredTable>(num_rows, dim, kNumQueries);
  const std::vector<retrieval::QueryIdentity> queries(kNumQueries);
  const auto wanted = exact(*table, queries);
  retrieval::IndexOptions options;
  options.num_threads = available_processors();
  options.wanted_recall = wanted_recall;
  SilentProgress silent;
  const auto place = std::filesystem::temp_directory_path() / ("mmra-bench-again-" + spec);
  for (std::size_t build = 0; build < num_builds; ++build) {
    std::filesystem::remove_all(place);
    std::filesystem::create_directories(place);
    const auto report = retrieval::build_index(place, *table, spec, options, silent);
    const auto index = retrieval::SegmentedIndex::open(place, table, options.num_threads);
    const auto found = index->search(*table, table->queries(), queries, kTop,
                                     retrieval::RetrievalPolicy::deployed(), options.num_threads);
    const auto effort = index->segments().at(0).segment->head().efforts.front().front();
    std::printf("%s: width %d, places %d, recall@10 of its sample %.4f, of others %.4f\n",
                spec.c_str(), effort.width, effort.places, static_cast<double>(report.least_recall),
                recall_of(found, wanted));
    std::fflush(stdout);
  }
  std::filesystem::remove_all(place);
}

int run(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "write" && argc == 6) {
    const auto table = table_to_search(argv[4], std::strtoull(argv[5], nullptr, 10), kNumQueries);
    write_floats(table->retrieval_vectors(), argv[2]);
    write_floats(table->queries(), argv[3]);
    std::printf("%zu\n", table->dim());
    return 0;
  }
  if (mode == "search" && argc >= 5) {
    std::printf("%s, %s\n", environment("OPENBLAS_CORETYPE").c_str(),
                environment("OPENBLAS_L2_SIZE").c_str());
    search(argv[2], table_to_search(argv[3], std::strtoull(argv[4], nullptr, 10), kNumQueries),
           argc > 5 ? std::strtof(argv[5], nullptr) : retrieval::IndexOptions{}.wanted_recall,
           argc > 6 ? std::strtoull(argv[6], nullptr, 10)
                    : retrieval::IndexOptions{}.rows_per_segment);
    return 0;
  }
  if (mode == "again" && argc == 7) {
    build_again(argv[2], std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[4], nullptr, 10),
                std::strtoull(argv[5], nullptr, 10), std::strtof(argv[6], nullptr));
    return 0;
  }
  std::fprintf(stderr,
               "usage: bench_index_search write FILE QUERIES ROWS|BANK DIM\n"
               "       bench_index_search search SPEC ROWS|BANK DIM [RECALL] [SEGMENT_ROWS]\n"
               "       bench_index_search again SPEC ROWS DIM BUILDS RECALL\n");
  return 2;
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) { return mmra::bench::run_main(mmra::bench::run, argc, argv); }
