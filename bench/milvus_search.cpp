// A bank in a directory, or a made table, beside its copy on a Milvus server: whether both give the
// same top 10 for the vectors of its own records, with and without filters, and how long one query
// and a batch of them take on each. With an approximate index on the server: how much it finds.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "clustered_records.h"
#include "clustered_table.h"
#include "measured.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/milvus_bank.h"
#include "mmra/bank/milvus/stored_row.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/bank_search.h"
#include "mmra/retrieval/exact_search.h"

namespace mmra::bench {
namespace {

using Json = nlohmann::json;

constexpr int kTop = 10;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kBatches = 50;
constexpr int kAskers = 8;
constexpr std::size_t kTimed = 500;
constexpr std::size_t kMadeDim = 128;
/// bank/milvus/request_limits.h and own_index.cpp have the same.
constexpr std::size_t kFloatsPerRequest = std::size_t{1} << 18;
constexpr int kWidth = 128;

struct Case {
  const char* name;
  bool has_time;
  retrieval::RetrievalPolicy policy;
};

/// With an id for each row, in the order of rows.
class NumberedTable final : public ClusteredTable {
 public:
  explicit NumberedTable(std::size_t num_rows) : ClusteredTable(num_rows, kMadeDim) {
    for (std::size_t row = 0; row < num_rows; ++row) {
      std::string digits = std::to_string(row);
      ids_.push_back("r" + std::string(9 - digits.size(), '0') + digits);
    }
  }
  [[nodiscard]] std::string_view id(std::size_t row) const override { return ids_[row]; }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view id) const override {
    std::size_t row = 0;
    const auto digits = id.substr(std::min<std::size_t>(1, id.size()));
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), row);
    return parsed.ec == std::errc() && row < num_rows() ? std::optional(row) : std::nullopt;
  }

 private:
  std::vector<std::string> ids_;
};

void print_latency(const char* what, std::vector<double> seconds, std::size_t queries_each) {
  std::sort(seconds.begin(), seconds.end());
  double sum = 0.0;
  for (const double each : seconds) sum += each;
  std::printf("  %-9s %8.1f queries/s, median %.2f ms, p99 %.2f ms\n", what,
              static_cast<double>(seconds.size() * queries_each) / sum, 1e3 * median(seconds),
              1e3 * seconds[seconds.size() * 99 / 100]);
  std::fflush(stdout);
}

/// One query to both.
struct Answers {
  retrieval::RetrievalResult expected;
  retrieval::RetrievalResult found;
  double local_seconds = 0.0;
  double remote_seconds = 0.0;
};

Answers ask(const bank::BankTable& table, const bank::MemoryBank& server, const Case& each,
            std::size_t row) {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  const auto vector = table.retrieval_vectors().subspan(row * dim, dim);
  const retrieval::QueryIdentity identity{row, each.has_time ? table.posted_at(row) : std::nullopt};
  Answers answers;
  const Stopwatch local_watch;
  answers.expected =
      retrieval::search_exact(table, vector, std::span(&identity, 1), kTop, each.policy, 1);
  answers.local_seconds = local_watch.seconds();
  const retrieval::BankQuery query{vector, std::string(table.id(row)), identity.as_of, {}};
  const Stopwatch remote_watch;
  answers.found = retrieval::search_bank(server, query, kTop, each.policy, 1).result;
  answers.remote_seconds = remote_watch.seconds();
  return answers;
}

/// How many answers are the same.
class Tally {
 public:
  void add(const Answers& answers) {
    const auto& expected = answers.expected;
    const auto& found = answers.found;
    const auto num_expected = static_cast<std::size_t>(std::count_if(
        expected.rows.begin(), expected.rows.end(), [](std::int32_t row) { return row >= 0; }));
    std::size_t num_found = 0;
    for (std::size_t j = 0; j < num_expected; ++j) {
      const bool is_among =
          found.rows[j] >= 0 && found.similarities[j] >= expected.similarities[num_expected - 1];
      num_found += is_among ? 1 : 0;
    }
    const std::scoped_lock lock(mutex_);
    ++num_queries_;
    // Both similarities are computed from the vectors in the same way: those of ties are equal.
    num_same_ += expected.similarities == found.similarities ? 1 : 0;
    num_places_ += num_expected;
    num_found_ += num_found;
  }
  void print(const char* name) const {
    std::printf("%s: %zu of %zu queries have the same top %d; recall@%d %.5f\n", name, num_same_,
                num_queries_, kTop, kTop,
                static_cast<double>(num_found_) / static_cast<double>(num_places_));
  }

 private:
  std::mutex mutex_;
  std::size_t num_queries_ = 0;
  std::size_t num_same_ = 0;
  std::size_t num_found_ = 0;
  std::size_t num_places_ = 0;
};

/// Every `step`. record is asked for by several threads, and some of them again, one at a time.
void compare(const bank::BankTable& table, const bank::MemoryBank& server, const Case& each,
             std::size_t step) {
  Tally tally;
  parallel_for((table.num_rows() + step - 1) / step, 1, kAskers,
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t i = begin; i < end; ++i) {
                   tally.add(ask(table, server, each, i * step));
                 }
               });
  tally.print(each.name);
  std::vector<double> local;
  std::vector<double> remote;
  const std::size_t apart = std::max<std::size_t>(1, table.num_rows() / kTimed);
  for (std::size_t row = 0; row < table.num_rows(); row += apart) {
    const Answers answers = ask(table, server, each, row);
    local.push_back(answers.local_seconds);
    remote.push_back(answers.remote_seconds);
  }
  print_latency("directory", std::move(local), 1);
  print_latency("server", std::move(remote), 1);
}

/// The server's own search of many vectors in one request, beside exact search of as many.
void compare_batches(const bank::BankTable& table, const bank::MilvusAddress& address) {
  bank::MilvusClient client(address, bank::milvus_options_from_environment());
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  std::vector<double> local;
  std::vector<double> remote;
  const auto policy = retrieval::RetrievalPolicy::deployed();
  for (std::size_t n = 0; n < kBatches; ++n) {
    const std::size_t first = (table.num_rows() - kBatch) * n / kBatches;
    const auto vectors = table.retrieval_vectors().subspan(first * dim, kBatch * dim);
    std::vector<retrieval::QueryIdentity> identities(kBatch);
    for (std::size_t i = 0; i < kBatch; ++i) identities[i].own_row = first + i;
    const Stopwatch local_watch;
    static_cast<void>(retrieval::search_exact(table, vectors, identities, kTop, policy, 1));
    local.push_back(local_watch.seconds());
    const Stopwatch remote_watch;
    static_cast<void>(client.search(address.collection, "vector", vectors, dim, "popularity >= 0",
                                    kTop + 1, {{"ef", kWidth}}, {1}));
    remote.push_back(remote_watch.seconds());
  }
  std::printf("batches of %zu queries, all labelled, times of a batch\n", kBatch);
  print_latency("directory", std::move(local), kBatch);
  print_latency("server", std::move(remote), kBatch);
}

/// Rows alone, whose values are not there: a search reads nothing else. (Whoever opens it to write
/// erases them, as what a killed writer left.)
void fill(const NumberedTable& table, const bank::MilvusAddress& address,
          const std::string& index) {
  const auto server = bank::create_bank(address.text(), schema_of(static_cast<int>(kMadeDim)));
  bank::MilvusClient client(address, bank::milvus_options_from_environment());
  const Stopwatch watch;
  const std::size_t per_request = kFloatsPerRequest / kMadeDim;
  for (std::size_t begin = 0; begin < table.num_rows(); begin += per_request) {
    const std::size_t end = std::min(begin + per_request, table.num_rows());
    Json rows = Json::array();
    for (std::size_t row = begin; row < end; ++row) {
      bank::Record record;
      record.id = table.id(row);
      record.popularity = table.popularity(row);
      record.posted_at = table.posted_at(row);
      record.split = table.split(row);
      bank::StoredRow stored = bank::summarise(record, nullptr, std::nullopt);
      stored.values = {{'R', row, 1}, {'F', row, 1}};
      rows.push_back(
          bank::to_json(stored, table.retrieval_vectors().subspan(row * kMadeDim, kMadeDim)));
    }
    client.upsert(address.collection, rows);
  }
  client.flush({address.collection});
  std::printf("%zu rows written in %.1f s\n", table.num_rows(), watch.seconds());
  std::fflush(stdout);
  const Stopwatch indexing;
  server->set_own_index(index, {});
  std::printf("%s made in %.1f s\n", index.c_str(), indexing.seconds());
  std::fflush(stdout);
}

void run(const std::string& origin, const std::string& server_address, std::size_t step,
         const std::string& index) {
  const bank::MilvusAddress address = bank::parse_milvus_address(server_address);
  std::shared_ptr<const bank::BankTable> table;
  std::unique_ptr<bank::MemoryBank> directory;
  constexpr std::string_view kMade = "made:";
  if (origin.starts_with(kMade)) {
    const std::string number = origin.substr(kMade.size());
    const auto made = std::make_shared<NumberedTable>(std::strtoull(number.c_str(), nullptr, 10));
    if (!bank::bank_exists(server_address)) fill(*made, address, index);
    table = made;
  } else {
    directory = bank::open_bank(origin, bank::OpenMode::kReadOnly);
    table = directory->table();
  }
  const auto server = bank::open_bank(server_address, bank::OpenMode::kReadOnly);
  std::printf(
      "%zu records of %d dimensions, one thread, every %zu. record; the server's index: %s\n",
      table->num_rows(), table->retrieval_dim(), step, server->own_index().c_str());
  const Case cases[] = {
      {"all labelled", false, retrieval::RetrievalPolicy::deployed()},
      {"earlier ones", true, retrieval::RetrievalPolicy::deployed().with_labels_as_of()},
      {"train split, earlier ones", true, retrieval::RetrievalPolicy::honest_training()}};
  for (const Case& each : cases) compare(*table, *server, each, step);
  compare_batches(*table, address);
}

}  // namespace
}  // namespace mmra::bench

/// bench_milvus_search DIR milvus://HOST:PORT/COLLECTION [EVERY]
/// bench_milvus_search made:ROWS milvus://HOST:PORT/COLLECTION [EVERY] [INDEX]: clustered_table.h,
/// written there where it is not yet, with this index (Flat)
int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(
        stderr,
        "usage: bench_milvus_search DIR|made:ROWS milvus://HOST:PORT/COLLECTION [EVERY] [INDEX]\n");
    return 2;
  }
  return mmra::bench::run_main(
      [](int count, char** arguments) {
        const int step = count > 3 ? std::max(1, std::atoi(arguments[3])) : 1;
        mmra::bench::run(arguments[1], arguments[2], static_cast<std::size_t>(step),
                         count > 4 ? arguments[4] : "Flat");
        return 0;
      },
      argc, argv);
}
