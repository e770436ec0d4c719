#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "child_process.h"
#include "expect_error.h"
#include "made_records.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::expect_same;
using testing::ids_of;
using ::testing::IsEmpty;
using testing::made_record;
using testing::put;
using testing::RandomValues;
using testing::small_schema;
using testing::TemporaryDirectory;

class DirectoryBank : public ::testing::Test {
 protected:
  DirectoryBank() : bank_(create_bank(path(), small_schema())) {}
  [[nodiscard]] std::filesystem::path path() const { return directory_ / "bank"; }
  void reopen(OpenMode mode) {
    bank_.reset();
    bank_ = open_bank(path(), mode);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<MemoryBank> bank_;
};

TEST_F(DirectoryBank, ReadersSeeASnapshotWhileTheWriterWrites) {
  for (const char* id : {"a", "b", "c"}) put(*bank_, made_record(id));
  const auto reader = open_bank(path(), OpenMode::kReadOnly);
  std::vector<std::string> seen;
  reader->for_each_with_features([&](const Record& record, const Features&) {
    if (seen.empty()) {
      const std::string gone[] = {"b", "c"};
      EXPECT_EQ(bank_->remove(gone), 2);
      put(*bank_, made_record("d"));
    }
    seen.push_back(record.id);
    return true;
  });
  EXPECT_THAT(seen, ElementsAre("a", "b", "c"));
  EXPECT_THAT(ids_of(*reader), ElementsAre("a", "d")) << "the next call sees the next snapshot";
}

// Every batch writes one title to all of ten records: a reader must never see two of them.
TEST_F(DirectoryBank, ReadersInOtherThreadsNeverSeeHalfABatch) {
  const auto batch_of = [](int round) {
    std::vector<StoredRecord> batch;
    for (int i = 0; i < 10; ++i) {
      batch.push_back(made_record("v" + std::to_string(i)));
      batch.back().record.title = "round " + std::to_string(round);
    }
    return batch;
  };
  bank_->put(batch_of(0));
  const auto reader = open_bank(path(), OpenMode::kReadOnly);
  std::atomic<bool> done = false;
  std::atomic<int> num_mixed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        std::string title;
        reader->for_each([&](const Record& record) {
          if (!title.empty() && record.title != title) ++num_mixed;
          title = record.title;
          return true;
        });
        if (reader->table()->num_rows() != 10) ++num_mixed;
      }
    });
  }
  for (int round = 1; round <= 30; ++round) bank_->put(batch_of(round));
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_mixed, 0);
}

TEST_F(DirectoryBank, ASecondMakerIsToldWhoWrites) {
  const std::string part = "is being written by process " + std::to_string(::getpid());
  expect_error(ErrorKind::kIo, part, [&] { (void)create_bank(path(), small_schema()); });
}

TEST_F(DirectoryBank, ThatWasKilledWhileItWasMadeIsMadeAgain) {
  std::filesystem::create_directories(directory_ / "new" / "records.unfinished");
  write_file_atomically(directory_ / "new" / "records.unfinished" / "data.mdb", "half");
  EXPECT_FALSE(bank_exists(directory_ / "new"));
  const auto bank = create_bank(directory_ / "new", small_schema());
  put(*bank, made_record("a"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "new" / "records.unfinished"));
  EXPECT_THAT(bank->verify(), IsEmpty());
}

TEST_F(DirectoryBank, InOneProcessDeletedAndMadeAgainIsANewOne) {
  put(*bank_, made_record("a"));
  // The old one is still open; its files live on without a name.
  std::filesystem::remove_all(path());
  const auto fresh = create_bank(path(), small_schema());
  EXPECT_EQ(fresh->info().num_records, 0);
  EXPECT_TRUE(bank_->find("a").has_value());
}

/// Runs `action` as a user without rights where this one has all of them (root).
int as_nobody(const std::function<int()>& action) {
  return testing::run_in_child([&] {
    constexpr uid_t kNobody = 65534;
    if (::geteuid() == 0 && (::setegid(kNobody) != 0 || ::seteuid(kNobody) != 0)) return 98;
    return action();
  });
}

TEST_F(DirectoryBank, OnAReadOnlyDirectoryIsReadAndNotWritten) {
  for (const char* id : {"a", "b"}) put(*bank_, made_record(id));
  bank_.reset();
  ::chmod(directory_.path().c_str(), 0755);
  namespace fs = std::filesystem;
  const auto read_only = fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read;
  const auto enter = fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
  std::vector<fs::path> all{path()};
  for (const auto& entry : fs::recursive_directory_iterator(path())) all.push_back(entry.path());
  for (const auto& entry : all) {
    fs::permissions(entry, fs::is_directory(entry) ? read_only | enter : read_only);
  }
  EXPECT_EQ(as_nobody([&] {
              const auto bank = open_bank(path(), OpenMode::kReadOnly);
              if (!bank->find("a") || bank->info().num_records != 2) return 1;
              if (bank->table()->num_rows() != 2) return 2;
              if (!bank->verify().empty()) return 3;
              return fs::exists(path() / "derived") ? 4 : 0;
            }),
            0);
  EXPECT_EQ(as_nobody([&] {
              try {
                (void)open_bank(path(), OpenMode::kReadWrite);
              } catch (const Error& error) {
                const bool said = std::string(error.what()).find("permission") != std::string::npos;
                return error.kind() == ErrorKind::kIo && said ? 0 : 1;
              }
              return 2;
            }),
            0);
  for (const auto& entry : all) fs::permissions(entry, fs::perms::owner_all);
  reopen(OpenMode::kReadWrite);
  EXPECT_THAT(bank_->verify(), IsEmpty());
}

}  // namespace
}  // namespace mmra::bank
