// A bank in a directory beside its copy on a Milvus server: whether both give the same top 10 for
// the vectors of its own records, with and without filters, and how long one query takes on each.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "measured.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"
#include "mmra/retrieval/bank_search.h"
#include "mmra/retrieval/exact_search.h"

namespace mmra::bench {
namespace {

constexpr int kTop = 10;

struct Case {
  const char* name;
  bool has_time;
  retrieval::RetrievalPolicy policy;
};

void print_latency(const char* what, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  double sum = 0.0;
  for (const double each : seconds) sum += each;
  std::printf("  %-9s %8.1f queries/s, median %.2f ms, p99 %.2f ms\n", what,
              static_cast<double>(seconds.size()) / sum, 1e3 * median(seconds),
              1e3 * seconds[seconds.size() * 99 / 100]);
}

void compare(const bank::BankTable& table, const bank::MemoryBank& server, const Case& each,
             std::size_t step) {
  std::vector<double> local;
  std::vector<double> remote;
  std::size_t num_same = 0;
  std::size_t num_same_places = 0;
  std::size_t num_places = 0;
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  for (std::size_t row = 0; row < table.num_rows(); row += step) {
    const auto vector = table.retrieval_vectors().subspan(row * dim, dim);
    const retrieval::QueryIdentity identity{row,
                                            each.has_time ? table.posted_at(row) : std::nullopt};
    const Stopwatch local_watch;
    const auto expected =
        retrieval::search_exact(table, vector, std::span(&identity, 1), kTop, each.policy, 1);
    local.push_back(local_watch.seconds());
    const retrieval::BankQuery query{vector, std::string(table.id(row)), identity.as_of, {}};
    const Stopwatch remote_watch;
    const auto found = retrieval::search_bank(server, query, kTop, each.policy, 1);
    remote.push_back(remote_watch.seconds());
    std::size_t same = 0;
    for (std::size_t j = 0; j < kTop; ++j) {
      const std::int32_t a = expected.rows[j];
      const std::int32_t b = found.result.rows[j];
      const bool both = a >= 0 && b >= 0;
      same += both ? table.id(static_cast<std::size_t>(a)) ==
                         found.table->id(static_cast<std::size_t>(b))
                   : a == b;
    }
    num_same_places += same;
    num_places += kTop;
    num_same += same == kTop ? 1 : 0;
  }
  std::printf("%s: %zu of %zu queries have the same top %d (%zu of %zu places)\n", each.name,
              num_same, remote.size(), kTop, num_same_places, num_places);
  print_latency("directory", std::move(local));
  print_latency("server", std::move(remote));
}

void run(const std::string& directory, const std::string& address, std::size_t step) {
  const auto bank = bank::open_bank(directory, bank::OpenMode::kReadOnly);
  const auto server = bank::open_bank(address, bank::OpenMode::kReadOnly);
  const auto table = bank->table();
  std::printf("%zu records of %d dimensions, one query at a time, one thread, every %zu. record\n",
              table->num_rows(), table->retrieval_dim(), step);
  const Case cases[] = {
      {"all labelled", false, retrieval::RetrievalPolicy::deployed()},
      {"earlier ones", true, retrieval::RetrievalPolicy::deployed().with_labels_as_of()},
      {"train split, earlier ones", true, retrieval::RetrievalPolicy::honest_training()}};
  for (const Case& each : cases) compare(*table, *server, each, step);
}

}  // namespace
}  // namespace mmra::bench

/// bench_milvus_search DIR milvus://HOST:PORT/COLLECTION [EVERY]
int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_milvus_search DIR milvus://HOST:PORT/COLLECTION [EVERY]\n");
    return 2;
  }
  try {
    const int step = argc > 3 ? std::max(1, std::atoi(argv[3])) : 1;
    mmra::bench::run(argv[1], argv[2], static_cast<std::size_t>(step));
  } catch (const mmra::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
