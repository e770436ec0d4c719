#include "mmra/pipeline/bank_index.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "mmra/bank/milvus/address.h"
#include "mmra/bank/vector_table.h"
#include "mmra/core/error.h"
#include "mmra/retrieval/exact_search.h"
#include "mmra/retrieval/index/index_files.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;

// So many rows and values are measured at most: what is beyond grows with the number of rows.
constexpr std::size_t kMeasuredRows = 65'536;
constexpr std::size_t kMeasuredValues = std::size_t{1} << 25;

/// Rows that are all admitted, with vectors of unit length in all directions.
std::shared_ptr<const bank::BankTable> made_table(std::size_t num_rows, std::size_t dim) {
  bank::Record record;
  record.popularity = 1.0;
  bank::TableColumns columns;
  for (std::size_t row = 0; row < num_rows; ++row) columns.append(record);
  std::minstd_rand random(1);
  const float component = 1.0F / std::sqrt(static_cast<float>(dim));
  std::vector<float> vector(dim);
  return bank::make_vector_table({1, 1}, columns, static_cast<int>(dim), [&](const auto& visit) {
    for (std::size_t row = 0; row < num_rows; ++row) {
      for (float& value : vector) value = random() % 2 == 0 ? component : -component;
      visit(std::as_bytes(std::span(vector)));
    }
  });
}

double seconds_of_exact_search(std::size_t num_rows, std::size_t dim) {
  if (num_rows == 0 || dim == 0) return 0.0;
  const std::size_t num_measured =
      std::clamp<std::size_t>(kMeasuredValues / dim, 1, std::min(num_rows, kMeasuredRows));
  const auto table = made_table(num_measured, dim);
  const retrieval::QueryIdentity nobody;
  double least = std::numeric_limits<double>::infinity();
  constexpr std::size_t kRounds = 5;
  for (std::size_t round = 0; round < kRounds; ++round) {
    const auto query =
        table->retrieval_vectors().subspan(round * num_measured / kRounds * dim, dim);
    const auto started = std::chrono::steady_clock::now();
    static_cast<void>(retrieval::search_exact(*table, query, std::span(&nobody, 1), 10,
                                              retrieval::RetrievalPolicy::deployed(), 1));
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
    least = std::min(least, taken.count());
  }
  return least * static_cast<double>(num_rows) / static_cast<double>(num_measured);
}

bool is_of_files(const Error& error) {
  return error.kind() == ErrorKind::kCorruptData || error.kind() == ErrorKind::kUnsupported;
}

}  // namespace

std::shared_ptr<const retrieval::SegmentedIndex> open_bank_index(
    const fs::path& bank_directory, std::shared_ptr<const bank::BankTable> table, int num_threads,
    const retrieval::SegmentedIndex* previous) {
  if (bank::is_milvus_address(bank_directory)) return nullptr;
  return retrieval::SegmentedIndex::open(bank_directory, std::move(table), num_threads, previous);
}

std::shared_ptr<const retrieval::SegmentedIndex> open_bank_index(const fs::path& bank_directory,
                                                                 const bank::MemoryBank& bank,
                                                                 int num_threads) {
  if (!has_index(bank_directory)) return nullptr;
  return open_bank_index(bank_directory, bank.table(), num_threads);
}

bool has_index(const fs::path& bank_directory) {
  return !bank::is_milvus_address(bank_directory) &&
         retrieval::read_index_spec(bank_directory).has_value();
}

retrieval::IndexReport update_derived_files(const bank::MemoryBank& bank,
                                            const fs::path& bank_directory,
                                            const retrieval::IndexOptions& options,
                                            ProgressSink& progress,
                                            const retrieval::SegmentedIndex* read_already) {
  const auto table = bank.table();  // saves its file
  if (bank::is_milvus_address(bank_directory)) return {};
  return retrieval::update_index(bank_directory, table, /*all=*/false, options, progress,
                                 read_already);
}

retrieval::IndexReport reindex_bank(bank::MemoryBank& bank, const fs::path& bank_directory,
                                    const std::optional<std::string>& spec,
                                    const retrieval::IndexOptions& options,
                                    ProgressSink& progress) {
  if (bank::is_milvus_address(bank_directory)) {
    if (!spec) return {};
    progress.begin("indexing on the server", std::nullopt);
    bank.set_own_index(*spec, options.stop);
    progress.end();
    return {};
  }
  const std::string wanted =
      spec ? *spec : retrieval::read_index_spec(bank_directory).value_or("Flat");
  return retrieval::build_index(bank_directory, *bank.table(), wanted, options, progress);
}

std::vector<bank::Problem> find_index_problems(const bank::MemoryBank& bank,
                                               const fs::path& bank_directory, int num_threads) {
  std::vector<bank::Problem> problems;
  try {
    const auto index = open_bank_index(bank_directory, bank.table(), num_threads);
    if (index == nullptr) return problems;
    for (const std::string& fault : index->faults()) problems.push_back({"", fault});
  } catch (const Error& error) {
    if (!is_of_files(error)) throw;
    problems.push_back({"", error.what()});
  }
  return problems;
}

std::vector<bank::Repair> repair_bank_index(const bank::MemoryBank& bank,
                                            const fs::path& bank_directory,
                                            const retrieval::IndexOptions& options,
                                            ProgressSink& progress) {
  std::vector<bank::Repair> repairs;
  if (bank::is_milvus_address(bank_directory)) return repairs;
  try {
    static_cast<void>(retrieval::read_index_spec(bank_directory));
  } catch (const Error& error) {
    if (!is_of_files(error)) throw;
    retrieval::build_index(bank_directory, *bank.table(), "Flat", options, progress);
    repairs.push_back({"", error.what(),
                       "the setting was removed and search is exact; `mmra bank reindex --index "
                       "HNSW32` makes an index"});
    return repairs;
  }
  for (const bank::Problem& problem :
       find_index_problems(bank, bank_directory, options.num_threads)) {
    repairs.push_back({problem.id, problem.what, "its records were indexed anew"});
  }
  if (repairs.empty()) return repairs;
  retrieval::update_index(bank_directory, bank.table(), /*all=*/true, options, progress);
  return repairs;
}

void backup_bank(const bank::MemoryBank& bank, const fs::path& bank_directory, const fs::path& to) {
  // A bank on a server says itself that it cannot be copied.
  if (bank::is_milvus_address(to) && !bank::is_milvus_address(bank_directory)) {
    throw Error(ErrorKind::kInvalidInput, "a backup is a directory, not " + to.string() +
                                              "; `mmra bank push` copies a bank to a server");
  }
  bank.backup(to);
  try {
    if (const auto spec = retrieval::read_index_spec(bank_directory)) {
      retrieval::write_index_spec(to, spec);
    }
  } catch (const Error& error) {
    if (!is_of_files(error)) throw;
  }
}

SearchCost measure_search(const bank::MemoryBank& bank, const fs::path& bank_directory,
                          int num_threads) {
  SearchCost cost;
  if (bank::is_milvus_address(bank_directory)) {
    cost.index = bank.own_index();
    return cost;
  }
  const bank::BankInfo info = bank.info();
  cost.num_in_tail = static_cast<std::size_t>(info.num_records);
  cost.exact_seconds = seconds_of_exact_search(cost.num_in_tail,
                                               static_cast<std::size_t>(info.schema.retrieval_dim));
  const auto index = open_bank_index(bank_directory, bank, num_threads);
  if (index == nullptr) return cost;
  cost.index = index->spec();
  cost.num_segments = index->segments().size();
  cost.num_in_tail = index->tail().size();
  for (const retrieval::PlacedSegment& placed : index->segments()) {
    cost.num_indexed += placed.num_alive;
    cost.num_dead += placed.segment->num_places() - placed.num_alive;
    cost.bytes += placed.segment->file_bytes();
    cost.least_recall = std::min(cost.least_recall, placed.segment->head().sample_recall);
  }
  return cost;
}

}  // namespace mmra::pipeline
