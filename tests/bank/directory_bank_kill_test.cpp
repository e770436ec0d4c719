#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "child_process.h"
#include "made_records.h"
#include "mmra/bank/memory_bank.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using testing::made_record;
using testing::RandomValues;
using testing::small_schema;
using testing::TemporaryDirectory;

constexpr int kBatch = 5;

std::string id_of(int number) { return "v" + std::to_string(number); }

StoredRecord record_of(int number) {
  StoredRecord stored = made_record(id_of(number));
  stored.record.title += std::string(static_cast<std::size_t>(number % 7) * 1000, 't');
  return stored;
}

/// Puts one batch after the other and says through `pipe` which are durable; every tenth time it
/// removes the batch before again (and says so with a negative number).
[[noreturn]] void write_for_ever(const std::filesystem::path& path, int first, int pipe) {
  const auto bank = open_bank(path, OpenMode::kReadWrite);
  const auto acknowledge = [&](int number) {
    if (::write(pipe, &number, sizeof number) != sizeof number) ::_exit(3);
  };
  for (int batch = first;; ++batch) {
    std::vector<StoredRecord> records;
    std::vector<std::string> ids;
    for (int i = 0; i < kBatch; ++i) {
      records.push_back(record_of(batch * kBatch + i));
      ids.push_back(records.back().record.id);
    }
    bank->put(records);
    acknowledge(batch + 1);
    if (batch % 10 == 9) {
      (void)bank->remove(ids);
      acknowledge(-(batch + 1));
    }
    (void)bank->table();  // the derived file is being written at some of the moments too
  }
}

// kill -9 at random moments: what was acknowledged is there, what was not is there as a whole batch
// or not at all, and the bank is sound.
TEST(KilledWriter, LosesNothingThatItAcknowledged) {
  const TemporaryDirectory directory;
  const auto path = directory / "bank";
  { const auto bank = create_bank(path, small_schema()); }
  RandomValues random(30);
  std::vector<bool> is_there;  // by batch
  for (int round = 0; round < testing::num_kills(20); ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const int first = static_cast<int>(is_there.size());
    const pid_t child = testing::start_child([&]() -> int {
      ::close(ends[0]);
      write_for_ever(path, first, ends[1]);
    });
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(80'000)));
    ::kill(child, SIGKILL);
    ASSERT_EQ(testing::wait_for_child(child), 128 + SIGKILL) << "the writer itself failed";
    int number = 0;
    while (::read(ends[0], &number, sizeof number) == sizeof number) {
      if (number > 0) {
        is_there.resize(static_cast<std::size_t>(number), true);
      } else {
        is_there.at(static_cast<std::size_t>(-number - 1)) = false;
      }
    }
    ::close(ends[0]);

    const auto bank = open_bank(path, OpenMode::kReadWrite);
    const auto num_there = [&](std::size_t batch) {
      int count = 0;
      for (int i = 0; i < kBatch; ++i) {
        const int record = static_cast<int>(batch) * kBatch + i;
        const auto found = bank->find(id_of(record));
        if (!found) continue;
        ++count;
        EXPECT_TRUE(testing::same(*found, record_of(record).record));
        EXPECT_TRUE(
            testing::same(bank->find_features(id_of(record)).value(), record_of(record).features));
      }
      return count;
    };
    for (std::size_t batch = 0; batch < is_there.size(); ++batch) {
      const bool may_be_half_removed = batch + 1 == is_there.size() && batch % 10 == 9;
      const int count = num_there(batch);
      if (may_be_half_removed && count == 0) is_there[batch] = false;
      ASSERT_EQ(count, is_there[batch] ? kBatch : 0) << "batch " << batch << ", round " << round;
    }
    const int unacknowledged = num_there(is_there.size());
    ASSERT_THAT(unacknowledged, ::testing::AnyOf(0, kBatch));
    if (unacknowledged == kBatch) is_there.push_back(true);
    for (const Problem& problem : bank->verify()) ADD_FAILURE() << problem.id << problem.what;
    ASSERT_EQ(bank->table()->num_rows(), static_cast<std::size_t>(bank->info().num_records));
  }
  EXPECT_GT(is_there.size(), 0U) << "the writer never came to write";
}

/// Counts record 0 once more a step, puts and removes another record, and compacts all the while;
/// says through `pipe` how many steps are durable.
[[noreturn]] void count_and_compact(const std::filesystem::path& path, int first, int pipe) {
  const auto bank = open_bank(path, OpenMode::kReadWrite);
  for (int step = first;; ++step) {
    const RecordObservation count{
        id_of(0), {Timestamp{(std::int64_t{1} << 41) + step}, static_cast<double>(step)}};
    bank->observe({&count, 1});
    const StoredRecord stored = record_of(100 + step);
    bank->put({&stored, 1});
    (void)bank->remove(std::vector<std::string>{stored.record.id});
    if (::write(pipe, &step, sizeof step) != sizeof step) ::_exit(3);
    if (step % 2 == 0) bank->compact();
  }
}

TEST(KilledWriter, KeepsEveryCountWhereverACompactionIsKilled) {
  const TemporaryDirectory directory;
  const auto path = directory / "bank";
  {
    BankSchema schema = small_schema();
    schema.popularity_horizon = "";
    const auto bank = create_bank(path, schema);
    for (int i = 0; i < 4; ++i) {
      const StoredRecord stored = record_of(i);
      bank->put({&stored, 1});
    }
  }
  RandomValues random(32);
  std::size_t num_counts = 0;
  for (int round = 0; round < testing::num_kills(20); ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = testing::start_child([&]() -> int {
      ::close(ends[0]);
      count_and_compact(path, static_cast<int>(num_counts), ends[1]);
    });
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(120'000)));
    ::kill(child, SIGKILL);
    ASSERT_EQ(testing::wait_for_child(child), 128 + SIGKILL) << "the writer itself failed";
    std::size_t acknowledged = num_counts;
    int step = 0;
    while (::read(ends[0], &step, sizeof step) == sizeof step) {
      acknowledged = static_cast<std::size_t>(step) + 1;
    }
    ::close(ends[0]);
    const auto bank = open_bank(path, OpenMode::kReadWrite);
    EXPECT_FALSE(std::filesystem::exists(path / "records.compacting"));
    const auto history = bank->find_history(id_of(0)).value();
    ASSERT_GE(history.timed.size(), acknowledged) << "round " << round;
    ASSERT_LE(history.timed.size(), acknowledged + 1) << "round " << round;
    num_counts = history.timed.size();
    for (int i = 1; i < 4; ++i) {
      EXPECT_TRUE(testing::same(bank->find(id_of(i)).value(), record_of(i).record));
    }
    for (const Problem& problem : bank->verify()) ADD_FAILURE() << problem.id << problem.what;
  }
  EXPECT_GT(num_counts, 0U) << "the writer never came to write";
}

// As above while the bank itself is being made.
TEST(KilledWriter, LeavesAWholeBankOrNone) {
  RandomValues random(31);
  for (int round = 0; round < testing::num_kills(20); ++round) {
    const TemporaryDirectory directory;
    const pid_t child = testing::start_child([&] {
      const auto bank = create_bank(directory / "bank", small_schema());
      for (;;) ::pause();
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(20'000)));
    ::kill(child, SIGKILL);
    ASSERT_EQ(testing::wait_for_child(child), 128 + SIGKILL);
    const bool is_whole = bank_exists(directory / "bank");
    const auto bank = is_whole ? open_bank(directory / "bank", OpenMode::kReadWrite)
                               : create_bank(directory / "bank", small_schema());
    const StoredRecord stored = made_record("a");
    bank->put({&stored, 1});
    EXPECT_TRUE(bank->verify().empty());
  }
}

}  // namespace
}  // namespace mmra::bank
