#include "mmra/pipeline/bank_index.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "mmra/bank/milvus/address.h"
#include "mmra/core/error.h"
#include "mmra/retrieval/exact_search.h"
#include "mmra/retrieval/index/index_files.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMeasuredRows = 65'536;

/// The first rows of a table.
class FirstRows final : public bank::BankTable {
 public:
  FirstRows(const bank::BankTable& table, std::size_t num_rows)
      : table_(table), num_rows_(num_rows) {}
  [[nodiscard]] std::uint64_t generation() const override { return table_.generation(); }
  [[nodiscard]] std::size_t num_rows() const override { return num_rows_; }
  [[nodiscard]] int retrieval_dim() const override { return table_.retrieval_dim(); }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override {
    return table_.retrieval_vectors().first(num_rows_ * static_cast<std::size_t>(retrieval_dim()));
  }
  [[nodiscard]] std::string_view id(std::size_t row) const override { return table_.id(row); }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view id) const override {
    return table_.row_of(id);
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t row) const override {
    return table_.popularity(row);
  }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t row) const override {
    return table_.posted_at(row);
  }
  [[nodiscard]] bank::Split split(std::size_t row) const override { return table_.split(row); }

 private:
  const bank::BankTable& table_;
  std::size_t num_rows_;
};

double seconds_of_exact_search(const bank::BankTable& table) {
  const std::size_t num_measured = std::min(table.num_rows(), kMeasuredRows);
  if (num_measured == 0) return 0.0;
  const FirstRows measured(table, num_measured);
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  const retrieval::QueryIdentity nobody;
  double least = 0.0;
  constexpr int kRounds = 5;
  for (int round = 0; round < kRounds; ++round) {
    const std::size_t row = static_cast<std::size_t>(round) * (num_measured - 1) / kRounds;
    const auto started = std::chrono::steady_clock::now();
    static_cast<void>(retrieval::search_exact(
        measured, table.retrieval_vectors().subspan(row * dim, dim), std::span(&nobody, 1), 10,
        retrieval::RetrievalPolicy::deployed(), 1));
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    least = round == 0 ? seconds : std::min(least, seconds);
  }
  return least * static_cast<double>(table.num_rows()) / static_cast<double>(num_measured);
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
  if (bank::is_milvus_address(bank_directory)) return nullptr;
  if (!retrieval::read_index_spec(bank_directory)) return nullptr;
  return open_bank_index(bank_directory, bank.table(), num_threads);
}

void update_derived_files(const bank::MemoryBank& bank, const fs::path& bank_directory,
                          int num_threads, const std::stop_token& stop, ProgressSink& progress) {
  const auto table = bank.table();  // saves its file
  if (bank::is_milvus_address(bank_directory)) return;
  retrieval::IndexOptions options;
  options.num_threads = num_threads;
  options.stop = stop;
  retrieval::update_index(bank_directory, table, /*all=*/false, options, progress);
}

retrieval::IndexReport reindex_bank(bank::MemoryBank& bank, const fs::path& bank_directory,
                                    const std::optional<std::string>& spec,
                                    const retrieval::IndexOptions& options,
                                    ProgressSink& progress) {
  if (bank::is_milvus_address(bank_directory)) {
    if (!spec) return {};
    throw Error(ErrorKind::kUnsupported,
                "the bank " + bank_directory.string() +
                    " has the index of its server; --index is for banks in a directory");
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
    if (error.kind() != ErrorKind::kCorruptData && error.kind() != ErrorKind::kUnsupported) throw;
    problems.push_back({"", error.what()});
  }
  return problems;
}

SearchCost measure_search(const bank::MemoryBank& bank, const fs::path& bank_directory,
                          int num_threads) {
  SearchCost cost;
  if (bank::is_milvus_address(bank_directory)) {
    cost.index = "the server's";
    return cost;
  }
  const auto table = bank.table();
  cost.num_in_tail = table->num_rows();
  cost.exact_seconds = seconds_of_exact_search(*table);
  const auto index = open_bank_index(bank_directory, table, num_threads);
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
