// Milliseconds of one prediction for a title, with its instances and explanations, on a bank and a
// model that are open; and of that, what the encoders take.
#include "mmra/pipeline/predict.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "measured.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/pipeline/query.h"

namespace mmra::bench {
namespace {

struct Options {
  std::string bank;
  std::string model;
  int queries = 200;
  int threads = available_processors();
};

/// Every n-th title of the bank, with a word added that makes it new.
std::vector<pipeline::Query> new_titles(const bank::MemoryBank& bank, int count) {
  std::vector<std::string> titles;
  bank.for_each([&](const bank::Record& record) {
    if (!record.title.empty()) titles.push_back(record.title);
    return true;
  });
  std::vector<pipeline::Query> queries;
  const std::size_t step =
      std::max<std::size_t>(1, titles.size() / static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < titles.size(); i += step) {
    pipeline::Query query;
    query.title = titles[i] + " today";
    queries.push_back(std::move(query));
  }
  return queries;
}

/// Of many calls: on the clock, and of the processor, which a busy machine disturbs less.
struct Times {
  std::vector<double> clock;
  std::vector<double> processor;

  template <typename Call>
  void add(const Call& call) {
    const Stopwatch stopwatch;
    const std::clock_t start = std::clock();
    call();
    processor.push_back(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    clock.push_back(stopwatch.seconds());
  }
};

void print_milliseconds(const std::string& what, const Times& times) {
  std::vector<double> sorted = times.clock;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double share) {
    return 1000.0 *
           sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  std::printf("%s: median %.2f ms, p90 %.2f ms, p99 %.2f ms; processor time %.2f ms (%zu titles)\n",
              what.c_str(), at(0.5), at(0.9), at(0.99), 1000.0 * median(times.processor),
              sorted.size());
}

/// What a query takes where several are asked at once, as `mmra serve` does under load; in turns.
void print_together(pipeline::PredictionEngine& engine,
                    const std::vector<pipeline::Query>& queries) {
  constexpr std::size_t kMost = 32;
  std::map<std::size_t, Times> times;
  for (std::size_t first = 0; first + kMost <= queries.size(); first += kMost) {
    for (const std::size_t count : {1U, 4U, 16U, 32U}) {
      std::vector<std::vector<pipeline::EncodedQuery>> batches;
      for (std::size_t i = 0; i < kMost; i += count) {
        batches.push_back(engine.encode(std::span(queries).subspan(first + i, count), {}));
      }
      times[count].add([&] {
        for (auto& batch : batches) (void)engine.predict_all(std::move(batch), {});
      });
    }
  }
  for (const auto& [count, taken] : times) {
    std::printf(
        "beyond the encoders, %zu at once: median %.2f ms a query, processor time %.2f ms\n", count,
        1000.0 * median(taken.clock) / kMost, 1000.0 * median(taken.processor) / kMost);
  }
}

void run(const Options& options) {
  pipeline::PredictionEngine engine(options.bank, options.model, options.threads);
  const auto queries = new_titles(engine.bank(), options.queries);
  const encoders::EncoderSet encoders =
      pipeline::open_bank_encoders(options.bank, engine.bank().info().schema);
  const auto table = engine.bank().table();
  (void)engine.predict(queries.front(), {});  // loads the model
  Times whole;
  Times encoding;
  for (const pipeline::Query& query : queries) {
    whole.add([&] { (void)engine.predict(query, {}); });
    encoding.add([&] {
      (void)pipeline::encode_query(engine.bank(), *table, encoders, query, options.threads, {});
    });
  }
  std::printf("%d threads, %zu rows, %s, %s\n", options.threads, table->num_rows(),
              environment("OPENBLAS_CORETYPE").c_str(), environment("GOMP_SPINCOUNT").c_str());
  print_milliseconds("prediction", whole);
  print_milliseconds("of that the encoders", encoding);
  print_together(engine, queries);
  std::printf("beyond the encoders: median %.2f ms, processor time %.2f ms; peak memory %.0f MiB\n",
              1000.0 * (median(whole.clock) - median(encoding.clock)),
              1000.0 * (median(whole.processor) - median(encoding.processor)), peak_memory_mib());
}

int main_of(int argc, char** argv) {
  Options options;
  CLI::App app("Milliseconds of one prediction");
  app.add_option("--bank", options.bank)->required();
  app.add_option("--model", options.model)->required();
  app.add_option("--queries", options.queries)->check(CLI::Range(1, 100000));
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 1024));
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) { return mmra::bench::main_of(argc, argv); }
