// An ingest of several ranks, which are threads here; tests/cli/ranks_test.py has them under
// mpirun.
#include "mmra/pipeline/ingest_ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "distributed/thread_ranks.h"
#include "made_bank.h"
#include "made_features.h"
#include "mmra/bank/failures.h"
#include "mmra/core/error.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using distributed::Communicator;
using mmra::testing::run_on_threads;
using mmra::testing::TemporaryDirectory;
using ::testing::SizeIs;

/// What the ranks other than 0 have sent.
struct Sent {
  std::atomic<int> num_ready = 0;
  std::atomic<int> num_finished = 0;
};

/// Rank 0's: the first row waits until the others are ready, however busy the machine is.
class FirstRanksProgress final : public ProgressSink {
 public:
  FirstRanksProgress(int size, const Sent& sent, std::function<void(std::int64_t)> after_advance)
      : size_(size), sent_(sent), after_advance_(std::move(after_advance)) {}
  void begin(std::string_view step, std::optional<std::int64_t> /*total*/) override {
    while (step == "ingesting" && sent_.num_ready < size_ - 1) std::this_thread::yield();
  }
  void advance(std::int64_t done) override {
    done_ += done;
    if (after_advance_) after_advance_(done_);
  }
  void end() override {}
  void note(std::string_view /*line*/) override {}

 private:
  int size_;
  const Sent& sent_;
  std::function<void(std::int64_t)> after_advance_;
  std::int64_t done_ = 0;
};

/// Counts what passes.
class CountingCommunicator final : public Communicator {
 public:
  CountingCommunicator(Communicator& ranks, Sent& sent) : ranks_(ranks), sent_(sent) {}
  [[nodiscard]] int rank() const override { return ranks_.rank(); }
  [[nodiscard]] int size() const override { return ranks_.size(); }
  void all_reduce_sum(std::span<double> values) override { ranks_.all_reduce_sum(values); }
  void broadcast(std::string& bytes, int root) override { ranks_.broadcast(bytes, root); }
  void send(int to, std::string_view bytes) override {
    ranks_.send(to, bytes);
    if (kind_of(bytes) == IngestMessage::kReady) ++sent_.num_ready;
    if (kind_of(bytes) == IngestMessage::kFinished) {
      sent_.num_finished += static_cast<int>(decode_finished(bytes).size());
    }
  }
  [[nodiscard]] std::optional<distributed::Message> try_receive() override {
    return ranks_.try_receive();
  }
  void barrier() override { ranks_.barrier(); }
  [[noreturn]] void abort(int status) noexcept override {
    ranks_.abort(status);
    std::_Exit(status);  // GCC does not see that the call above never returns
  }

 private:
  Communicator& ranks_;
  Sent& sent_;
};

class IngestOfRanks : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return directory_ / name;
  }
  [[nodiscard]] IngestOptions options(const std::string& bank) const {
    IngestOptions options;
    options.bank_directory = path(bank);
    options.num_frames = 3;
    return options;
  }
  IngestReport ingest_alone(const std::string& bank) const {
    SilentProgress silent;
    return ingest(path("m.csv"), options(bank), silent);
  }
  /// The report of rank 0; `adjust` may change each rank's options.
  IngestReport ingest_on(int size, const std::string& bank,
                         const std::function<void(int rank, IngestOptions&)>& adjust = {},
                         const std::function<void(std::int64_t)>& after_advance = {}) {
    IngestReport report;
    sent_.num_ready = 0;
    sent_.num_finished = 0;
    run_on_threads(size, [&](Communicator& threads) {
      CountingCommunicator ranks(threads, sent_);
      IngestOptions own = options(bank);
      own.ranks = &ranks;
      if (adjust) adjust(ranks.rank(), own);
      FirstRanksProgress progress(size, sent_, after_advance);
      const IngestReport made = ingest(path("m.csv"), own, progress);
      if (ranks.is_first()) report = made;
    });
    return report;
  }
  [[nodiscard]] std::map<std::string, std::uint64_t> digests(const std::string& bank) const {
    std::map<std::string, std::uint64_t> digests;
    const auto opened = bank::open_bank(path(bank), bank::OpenMode::kReadOnly);
    EXPECT_THAT(opened->verify(), SizeIs(0));
    opened->for_each_digest(
        [&](std::string_view id, std::uint64_t digest) { digests.emplace(id, digest); });
    return digests;
  }
  void write_titles(int count) const {
    std::string text = "id,title,popularity\n";
    for (int i = 0; i < count; ++i) {
      text += std::to_string(i) + ",my boat number " + std::to_string(i) + "," +
              std::to_string(i % 97) + "\n";
    }
    write_file_atomically(path("m.csv"), text);
  }
  /// 3000 titles, and rank `asked` alone is asked to stop after 300: all do.
  void expect_all_stop(int num_ranks, int asked) {
    write_titles(3000);
    std::stop_source stop;
    const auto stopping = [&](std::int64_t done) {
      if (done < 300) return;
      stop.request_stop();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // until all have heard of it
    };
    const auto adjust = [&](int rank, IngestOptions& own) {
      if (rank == asked) own.stop = stop.get_token();
    };
    EXPECT_THROW((void)ingest_on(num_ranks, "ranks", adjust, stopping), Interrupted);
  }
  /// What ends all ranks by Interrupted, then what a run of `size` ranks makes of the rest.
  void expect_resumes(int size) {
    const auto kept = digests("ranks");
    EXPECT_LT(kept.size(), 3000U) << "it was stopped";
    const IngestReport report = ingest_on(size, "ranks");
    EXPECT_EQ(report.num_unchanged, static_cast<std::int64_t>(kept.size()));
    EXPECT_EQ(report.num_added, 3000 - report.num_unchanged);
    (void)ingest_alone("alone");
    EXPECT_EQ(digests("ranks"), digests("alone"));
  }

  TemporaryDirectory directory_;
  Sent sent_;
};

TEST_F(IngestOfRanks, MakesTheBankOfOneProcess) {
  std::string manifest = "id,title,popularity,video,creator,posted_at\n";
  for (int i = 0; i < 24; ++i) {
    const std::string name = std::to_string(i);
    if (i % 6 != 5) write_clip(path(name + ".mp4"), 10 * i);  // every sixth is not there
    manifest += name + ",a boat of day " + name + "," + name + "," + name + ".mp4,anna,2024-01-0" +
                std::to_string(1 + i % 9) + "T00:00:00Z\n";
  }
  write_file_atomically(path("m.csv"), manifest + "t,only a title,3,,,\nn,,3,,,\n");
  const IngestReport alone = ingest_alone("alone");
  for (const int size : {2, 4}) {
    const std::string bank = "of-" + std::to_string(size);
    const IngestReport report = ingest_on(size, bank);
    EXPECT_EQ(report.num_added, 21);
    EXPECT_EQ(report.num_added, alone.num_added);
    EXPECT_EQ(report.num_failed, alone.num_failed);
    EXPECT_TRUE(report.fitted_encoders);
    EXPECT_GT(sent_.num_finished, 0);
    EXPECT_EQ(digests(bank), digests("alone"));
    EXPECT_THAT(bank::read_failures(bank::failures_file(path(bank))), SizeIs(5));
  }
}

TEST_F(IngestOfRanks, WhatTheBankHasIsNotDoneAgain) {
  write_titles(500);
  EXPECT_EQ(ingest_on(3, "ranks").num_added, 500);
  const IngestReport again = ingest_on(2, "ranks");
  EXPECT_EQ(again.num_unchanged, 500);
  EXPECT_EQ(sent_.num_finished, 0);
  write_titles(900);
  const IngestReport more = ingest_on(2, "ranks");
  EXPECT_EQ(more.num_unchanged, 500);
  EXPECT_EQ(more.num_added, 400);
}

TEST_F(IngestOfRanks, FeaturesMadeElsewhereBelongToTheirRows) {
  write_titles(3000);
  write_npy(path("v.npy"), rising_rows(3000, 6), "(3000, 3, 2)");
  const auto with_file = [&](int /*rank*/, IngestOptions& own) {
    own.visual_features = path("v.npy");
  };
  EXPECT_EQ(ingest_on(3, "ranks", with_file).num_added, 3000);
  EXPECT_GT(sent_.num_finished, 0);
  IngestOptions alone = options("alone");
  with_file(0, alone);
  SilentProgress silent;
  (void)ingest(path("m.csv"), alone, silent);
  EXPECT_EQ(digests("ranks"), digests("alone"));
}

TEST_F(IngestOfRanks, AllStopWhereTheFirstIsAskedTo) {
  expect_all_stop(/*num_ranks=*/3, /*asked=*/0);
  expect_resumes(2);
}

TEST_F(IngestOfRanks, AllStopWhereAnotherIsAskedTo) {
  expect_all_stop(/*num_ranks=*/2, /*asked=*/1);
  expect_resumes(3);
}

}  // namespace
}  // namespace mmra::pipeline::testing
