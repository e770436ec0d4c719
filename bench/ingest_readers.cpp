// A bank that is filled while it is searched (bench/README.md): rows a second that are durable, and
// how long queries take of readers with and without the writer.
//   bench_ingest_readers DIRECTORY ROWS DIM [INDEX] [READERS] [MS_BETWEEN_QUERIES]
//   [ROWS_OF_A_COMMIT] [ROWS_PER_SECOND]
// makes a bank there of vectors that are there already, with one pooled token each. As in a server
// that writes, one thread looks at what was committed, another brings the index up to date.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clustered_records.h"
#include "measured.h"
#include "mmra/bank/bank_files.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/bank_index.h"
#include "mmra/pipeline/index_keeper.h"
#include "mmra/retrieval/exact_search.h"

namespace mmra::bench {
namespace {

using Index = std::shared_ptr<const retrieval::SegmentedIndex>;
using std::chrono::milliseconds;

constexpr std::size_t kNumQueries = 2000;
constexpr int kTop = 10;
constexpr int kReports = 10;

struct Settings {
  std::filesystem::path directory;
  std::size_t num_rows = 1'000'000;
  int dim = 128;
  std::string spec = "HNSW32";
  int num_readers = 8;
  milliseconds between_queries{20};
  std::size_t rows_of_a_commit = 2000;
  double rows_per_second = 0.0;  ///< that come; 0: as many as are taken
};

/// What readers search by now: always a table with its index, whole.
class Current {
 public:
  struct State {
    std::shared_ptr<const bank::BankTable> table;
    Index index;  ///< null: exact
  };
  [[nodiscard]] State get() const {
    const std::scoped_lock lock(mutex_);
    return state_;
  }
  void set(State state) {
    const std::scoped_lock lock(mutex_);
    state_ = std::move(state);
  }
  /// Segments were made: who follows is to take them over.
  void offer(Index index) {
    const std::scoped_lock lock(mutex_);
    offered_ = std::move(index);
  }
  [[nodiscard]] Index take_offered() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(offered_, nullptr);
  }

 private:
  mutable std::mutex mutex_;
  State state_;
  Index offered_;
};

/// Milliseconds of the queries of several readers.
class Latencies {
 public:
  void add(double ms) {
    const std::scoped_lock lock(mutex_);
    all_.push_back(ms);
  }
  /// Prints what there is since the last time, and forgets it.
  void report(const std::string& when) {
    std::vector<double> taken;
    {
      const std::scoped_lock lock(mutex_);
      taken.swap(all_);
    }
    if (taken.empty()) return;
    std::sort(taken.begin(), taken.end());
    std::printf("  readers %s: %zu queries, p50 %.2f ms, p99 %.2f ms, worst %.1f ms\n",
                when.c_str(), taken.size(), taken[taken.size() / 2], taken[taken.size() * 99 / 100],
                taken.back());
    std::fflush(stdout);
  }

 private:
  std::mutex mutex_;
  std::vector<double> all_;
};

void read(const Current& current, const ClusteredTable& table, const Settings& settings,
          std::size_t first_query, Latencies& latencies, const std::stop_token& stop) {
  const auto dim = static_cast<std::size_t>(settings.dim);
  const retrieval::QueryIdentity nobody;
  const auto policy = retrieval::RetrievalPolicy::deployed();
  for (std::size_t i = first_query; !stop.stop_requested(); i = (i + 1) % kNumQueries) {
    const auto query = table.queries().subspan(i * dim, dim);
    const Stopwatch watch;
    const Current::State state = current.get();
    if (state.index != nullptr) {
      static_cast<void>(
          state.index->search(*state.table, query, std::span(&nobody, 1), kTop, policy, 1));
    } else {
      static_cast<void>(
          retrieval::search_exact(*state.table, query, std::span(&nobody, 1), kTop, policy, 1));
    }
    latencies.add(1e3 * watch.seconds());
    std::this_thread::sleep_for(settings.between_queries);
  }
}

/// Looks at what was committed, again and again; whoever looks makes the table anew, and so this
/// takes no more than a quarter of a processor.
void follow(const bank::MemoryBank& bank, const Settings& settings, Current& current,
            const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Stopwatch watch;
    const Current::State before = current.get();
    Current::State now;
    now.table = bank.table();
    const Index offered = current.take_offered();
    if (offered != nullptr || now.table->commit_id() != before.table->commit_id()) {
      now.index =
          pipeline::open_bank_index(settings.directory, now.table, 1,
                                    offered != nullptr ? offered.get() : before.index.get());
      current.set(now);
    }
    std::this_thread::sleep_for(
        std::chrono::duration<double>(std::max(0.1, 3.0 * watch.seconds())));
  }
}

/// As a server does with each batch of queries.
void keep_up(pipeline::IndexKeeper& keeper, const Current& current, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    keeper.look_at(current.get().index);
    std::this_thread::sleep_for(milliseconds(100));
  }
}

void write(bank::MemoryBank& bank, const ClusteredTable& table, const Settings& settings,
           Latencies& latencies) {
  const Stopwatch all;
  const std::size_t step = settings.num_rows / kReports;
  for (std::size_t begin = 0; begin < settings.num_rows; begin += step) {
    const Stopwatch watch;
    for (std::size_t first = begin; first < begin + step; first += settings.rows_of_a_commit) {
      std::vector<bank::StoredRecord> records;
      const std::size_t end = std::min(begin + step, first + settings.rows_of_a_commit);
      for (std::size_t row = first; row < end; ++row) records.push_back(record_of(table, row, 1));
      bank.put(records);
      if (settings.rows_per_second > 0.0) {
        const double due = static_cast<double>(end) / settings.rows_per_second;
        std::this_thread::sleep_for(std::chrono::duration<double>(due - all.seconds()));
      }
    }
    std::printf("%zu rows: %.0f rows/s, %.0f from the first on\n", begin + step,
                static_cast<double>(step) / watch.seconds(),
                static_cast<double>(begin + step) / all.seconds());
    latencies.report("beside the writer");
  }
}

bool is_up_to_date(const bank::MemoryBank& bank, const Current::State& state) {
  if (state.table->num_rows() < static_cast<std::size_t>(bank.info().num_records)) return false;
  if (state.index == nullptr) return true;
  const auto options = retrieval::joining_beside_searches(
      static_cast<std::size_t>(state.table->retrieval_dim()), {});
  return !retrieval::is_worth_updating(*state.index) &&
         !retrieval::is_worth_joining(*state.index, options);
}

void measure(const Settings& settings) {
  const ClusteredTable table(settings.num_rows, static_cast<std::size_t>(settings.dim),
                             kNumQueries);
  const auto bank = bank::create_bank(settings.directory, schema_of(settings.dim));
  SilentProgress silent;
  pipeline::reindex_bank(*bank, settings.directory, settings.spec, {}, silent);
  Current current;
  const auto empty = bank->table();
  current.set({empty, pipeline::open_bank_index(settings.directory, empty, 1)});
  Latencies latencies;
  std::vector<std::jthread> readers;
  readers.reserve(static_cast<std::size_t>(settings.num_readers));
  for (int i = 0; i < settings.num_readers; ++i) {
    readers.emplace_back([&, i](const std::stop_token& stop) {
      read(current, table, settings, static_cast<std::size_t>(i) * 97, latencies, stop);
    });
  }
  {
    const std::jthread following(
        [&](const std::stop_token& stop) { follow(*bank, settings, current, stop); });
    pipeline::IndexKeeper::Options options;
    options.ready = [&](Index index) { current.offer(std::move(index)); };
    options.log = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
    pipeline::IndexKeeper keeper(*bank, settings.directory, std::move(options));
    const std::jthread keeping(
        [&](const std::stop_token& stop) { keep_up(keeper, current, stop); });
    write(*bank, table, settings, latencies);
    const Stopwatch watch;
    while (!is_up_to_date(*bank, current.get())) std::this_thread::sleep_for(milliseconds(100));
    const Index index = current.get().index;
    std::printf("index up to date after %.1f s: %zu segments, %zu rows without, %llu joins\n",
                watch.seconds(), index == nullptr ? 0 : index->segments().size(),
                index == nullptr ? 0 : index->tail().size(),
                static_cast<unsigned long long>(keeper.num_joins()));
    latencies.report("meanwhile");
  }
  std::this_thread::sleep_for(std::chrono::seconds(10));
  latencies.report("without a writer");
  std::printf("peak memory %.0f MiB, of which the rows to be written are %.0f\n", peak_memory_mib(),
              static_cast<double>(table.retrieval_vectors().size_bytes()) / 0x1p20);
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: bench_ingest_readers DIRECTORY ROWS DIM [INDEX] [READERS] "
                 "[MS_BETWEEN_QUERIES] [ROWS_OF_A_COMMIT] [ROWS_PER_SECOND]\n");
    return 2;
  }
  Settings settings;
  settings.directory = argv[1];
  settings.num_rows = std::strtoull(argv[2], nullptr, 10);
  settings.dim = std::atoi(argv[3]);
  if (argc > 4) settings.spec = argv[4];
  if (argc > 5) settings.num_readers = std::atoi(argv[5]);
  if (argc > 6) settings.between_queries = milliseconds(std::atoi(argv[6]));
  if (argc > 7) settings.rows_of_a_commit = std::strtoull(argv[7], nullptr, 10);
  if (argc > 8) settings.rows_per_second = std::atof(argv[8]);
  measure(settings);
  return 0;
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) { return mmra::bench::run_main(mmra::bench::run, argc, argv); }
