#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "child_process.h"
#include "made_records.h"
#include "mmra/bank/memory_bank.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using testing::day;
using testing::TemporaryDirectory;

/// Records posted on day 0, labelled 1.
class DirectoryBankWithCounts : public ::testing::Test {
 protected:
  void make(const std::string& horizon) {
    bank_ = testing::make_counted_bank(directory_ / "bank", horizon);
  }
  ObserveReport observe(std::vector<RecordObservation> observations) {
    return bank_->observe(observations);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<MemoryBank> bank_;
};

// A process that had the bank open before there were any counts sees them.
TEST_F(DirectoryBankWithCounts, ReadersOfOtherProcessesSeeTheFirstCounts) {
  make("");
  bank_.reset();
  int to_child[2];
  int to_parent[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(to_parent), 0);
  const pid_t child = testing::start_child([&] {
    const auto bank = open_bank(directory_ / "bank", OpenMode::kReadOnly);
    if (bank->find_history("a")->timed.size() != 0) return 1;
    char byte = 0;
    if (::write(to_parent[1], &byte, 1) != 1 || ::read(to_child[0], &byte, 1) != 1) return 2;
    if (bank->find_history("a")->timed.size() != 1) return 3;
    return bank->table()->popularity(0) == 30.0 ? 0 : 4;
  });
  ::close(to_parent[1]);  // the child's end: without it a child that fails is no endless wait
  char byte = 0;
  ASSERT_EQ(::read(to_parent[0], &byte, 1), 1) << "exit " << testing::wait_for_child(child);
  bank_ = open_bank(directory_ / "bank", OpenMode::kReadWrite);
  observe({{"a", {day(3), 30.0}}});
  ASSERT_EQ(::write(to_child[1], &byte, 1), 1);
  EXPECT_EQ(testing::wait_for_child(child), 0);
  for (const int end : {to_child[0], to_child[1], to_parent[0]}) ::close(end);
}

}  // namespace
}  // namespace mmra::bank
