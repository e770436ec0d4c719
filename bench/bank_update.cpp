// What a change of one record costs in a large bank (bench/README.md): the commit, and the table
// that retrieval maps afterwards, made from all records and from the table before.
//   bench_bank_update DIRECTORY ROWS DIM [TOKENS]: makes a bank there; TOKENS text tokens of DIM a
//   record
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "clustered_records.h"
#include "measured.h"
#include "mmra/bank/bank_files.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"

namespace mmra::bench {
namespace {

constexpr std::size_t kRowsOfACommit = 20'000;

void fill(bank::MemoryBank& bank, const ClusteredTable& table, int num_tokens) {
  for (std::size_t first = 0; first < table.num_rows(); first += kRowsOfACommit) {
    std::vector<bank::StoredRecord> records;
    const std::size_t end = std::min(table.num_rows(), first + kRowsOfACommit);
    for (std::size_t row = first; row < end; ++row) {
      records.push_back(record_of(table, row, num_tokens));
    }
    bank.put(records);
  }
}

void measure(bank::MemoryBank& bank, const ClusteredTable& table, int num_tokens) {
  const auto seconds_of_table = [&] {
    const Stopwatch watch;
    static_cast<void>(bank.table());
    return watch.seconds();
  };
  const Stopwatch from_records;
  bank.rebuild_derived_files();
  std::printf("table of all records: %.2f s\n", from_records.seconds());
  constexpr int kRuns = 5;
  std::vector<double> commits;
  std::vector<double> tables;
  for (int run = 0; run < kRuns; ++run) {
    const bank::StoredRecord changed =
        record_of(table, static_cast<std::size_t>(run) * table.num_rows() / kRuns, num_tokens);
    const Stopwatch watch;
    bank.put(std::span(&changed, 1));
    commits.push_back(watch.seconds());
    tables.push_back(seconds_of_table());
  }
  print_times("commit of one record", commits);
  print_times("table afterwards", tables);
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: bench_bank_update DIRECTORY ROWS DIM [TOKENS]\n");
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  const std::size_t num_rows = std::strtoull(argv[2], nullptr, 10);
  const int dim = std::atoi(argv[3]);
  const int num_tokens = argc > 4 ? std::atoi(argv[4]) : 0;
  const ClusteredTable table(num_rows, static_cast<std::size_t>(dim));
  const auto bank = bank::create_bank(directory, schema_of(dim));
  const Stopwatch filling;
  fill(*bank, table, num_tokens);
  std::printf("%zu x %d, %d tokens a record: filled in %.0f s\n", num_rows, dim, num_tokens,
              filling.seconds());
  measure(*bank, table, num_tokens);
  return 0;
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) { return mmra::bench::run_main(mmra::bench::run, argc, argv); }
