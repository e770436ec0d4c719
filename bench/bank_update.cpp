// What a change of one record costs in a large bank (bench/README.md): the commit, and the table
// that retrieval maps afterwards, made from all records and from the table before.
//   bench_bank_update DIRECTORY ROWS DIM [TOKENS]: makes a bank there; TOKENS text tokens of DIM a
//   record
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "clustered_table.h"
#include "measured.h"
#include "mmra/bank/bank_files.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"

namespace mmra::bench {
namespace {

constexpr std::size_t kRowsOfACommit = 20'000;

bank::BankSchema schema_of(int dim) {
  bank::BankSchema schema;
  schema.encoders_name = "none";
  schema.encoders_fingerprint = "none";
  schema.num_frames = 1;
  schema.visual_dim = dim;
  schema.text_dim = dim;
  schema.retrieval_dim = dim;
  return schema;
}

bank::StoredRecord record_of(const ClusteredTable& table, std::size_t row, int num_tokens) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  bank::StoredRecord stored;
  stored.record.id = "video-" + std::to_string(100'000'000 + row);
  stored.record.title = "a title of the usual length, number " + std::to_string(row);
  stored.record.popularity = static_cast<double>(row % 1000);
  stored.record.posted_at = table.posted_at(row);
  const auto vector = table.retrieval_vectors().subspan(row * dim, dim);
  stored.features.retrieval_vector.assign(vector.begin(), vector.end());
  stored.features.text_tokens.num_tokens = num_tokens;
  stored.features.text_tokens.dim = table.retrieval_dim();
  stored.features.text_tokens.values.resize(static_cast<std::size_t>(num_tokens) * dim);
  return stored;
}

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
