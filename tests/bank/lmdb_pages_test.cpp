#include "mmra/bank/lmdb_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lmdb.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "mmra/bank/lmdb_environment.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryDirectory;

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kTransactionIdOffset = 144;  // in a meta page
constexpr PageCheck kChecks[] = {PageCheck::kForReading, PageCheck::kForChanging};

std::span<const std::byte> view(const std::string& bytes) {
  return std::as_bytes(std::span(bytes));
}

template <typename T>
T number_at(const std::string& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename T>
void set(std::string& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

std::uint64_t newest_commit(const std::string& file) {
  return std::max(number_at<std::uint64_t>(file, kTransactionIdOffset),
                  number_at<std::uint64_t>(file, kPageBytes + kTransactionIdOffset));
}

/// Where the newest commit's meta page begins.
std::size_t newest_meta(const std::string& file) { return newest_commit(file) % 2 * kPageBytes; }

std::string fault_of(const std::string& file, PageCheck check = PageCheck::kForChanging) {
  if (const auto fault = find_meta_fault(view(file))) return *fault;
  return find_page_fault(view(file), newest_commit(file), check).value_or("none");
}

std::string key_of(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(6 - digits.size(), '0') + digits + std::string(number % 40, 'k');
}

void fill(const Environment& environment, int num_keys, std::size_t value_bytes) {
  Transaction transaction(environment, Transaction::Kind::kWrite);
  for (int i = 0; i < num_keys; ++i) {
    transaction.put(Database::kRecords, key_of(static_cast<std::uint64_t>(i)),
                    Bytes(value_bytes, 'v'));
  }
  transaction.commit();
}

/// A data file with branch, leaf and overflow pages, and free ones.
std::string made_file() {
  const TemporaryDirectory directory;
  {
    const Environment environment(directory.path(), /*create=*/true);
    fill(environment, 300, 100);
    fill(environment, 3, 10'000);
  }
  return read_file(directory / "data.mdb");
}

TEST(LmdbPages, FindsNothingInTheGoldenBank) {
  const std::string file =
      read_file(std::string(MMRA_GOLDEN_DIR) + "/bank/v1/bank/records/data.mdb");
  for (const PageCheck check : kChecks) EXPECT_EQ(fault_of(file, check), "none");
}

// The judge of what LMDB may write is LMDB: values of all sizes are put, replaced and removed.
TEST(LmdbPages, FindsNothingInWhatLmdbWrites) {
  const TemporaryDirectory directory;
  const Environment environment(directory.path(), /*create=*/true);
  std::mt19937_64 random(7);
  for (int round = 0; round < 60; ++round) {
    Transaction transaction(environment, Transaction::Kind::kWrite);
    const bool shrinking = round % 20 >= 14;
    for (int i = 0; i < 60; ++i) {
      const auto database = static_cast<Database>(1 + random() % 3);
      const std::string key = key_of(random() % 500);
      if (shrinking || random() % 3 == 0) {
        transaction.remove(database, key);
      } else {
        transaction.put(database, key, Bytes(std::size_t{1} << (random() % 15), 'v'));
      }
    }
    transaction.commit();
    const std::string file = read_file(directory / "data.mdb");
    for (const PageCheck check : kChecks) ASSERT_EQ(fault_of(file, check), "none") << round;
  }
}

TEST(LmdbPages, NamesAMetaPageThatIsNone) {
  const std::string good = made_file();
  EXPECT_EQ(fault_of(good), "none");
  const std::pair<std::size_t, const char*> places[] = {
      {0, "page 0 is no meta page"},
      {10, "page 0 is no meta page"},
      {16, "is not a meta page of LMDB's"},
      {20, "is not a meta page of LMDB's"},
      {40, "page 0 gives a page size of"},
      {142, "page 0 gives a last page beyond"},
      {kPageBytes + 16, "page 1 is not a meta page"}};
  for (const auto& [offset, expected] : places) {
    std::string bad = good;
    bad[offset] = static_cast<char>(bad[offset] ^ 0x21);
    EXPECT_THAT(find_meta_fault(view(bad)).value_or("none"), HasSubstr(expected)) << offset;
  }
  std::string bad = good;
  set(bad, newest_meta(bad) + kTransactionIdOffset, newest_commit(bad) + 1);
  EXPECT_THAT(fault_of(bad), HasSubstr("its meta pages hold the commits"));
  EXPECT_THAT(find_meta_fault({}).value_or("none"), HasSubstr("ends too early"));
}

TEST(LmdbPages, NamesWhatIsWrongWithATree) {
  const std::string good = made_file();
  const std::size_t meta = newest_meta(good);
  const std::size_t main_tree = meta + 88;
  const auto root = number_at<std::uint64_t>(good, main_tree + 40) * kPageBytes;
  const auto expect_fault = [&](std::size_t offset, std::uint16_t value, const char* expected) {
    std::string bad = good;
    set(bad, offset, value);
    for (const PageCheck check : kChecks) {
      EXPECT_THAT(fault_of(bad, check), HasSubstr(expected)) << offset;
    }
  };
  expect_fault(main_tree + 4, 4, "the tree of names has unknown flags");
  expect_fault(main_tree + 6, 0, "a root and a depth that do not belong together");
  expect_fault(main_tree + 6, 2, "is no branch page");
  expect_fault(main_tree + 32, 9, "the tree of names has 4 entries, expected 9");
  expect_fault(main_tree + 40, 60000, "does not exist");
  expect_fault(main_tree + 40, 1, "page 1 does not exist");
  expect_fault(root, 3, "is no leaf page");
  expect_fault(root + 10, 0x22, "is no leaf page");
  expect_fault(root + 12, 5000, "has no sound list of nodes");
  expect_fault(root + 12, 16, "has too few nodes");
  expect_fault(root + 16, 4094, "has a node outside of itself");
  const std::size_t node = root + number_at<std::uint16_t>(good, root + 16);
  expect_fault(node, 47, "names something that is no tree of a bank");
  expect_fault(node + 4, 4, "names something that is no tree of a bank");
  expect_fault(node + 6, 600, "has a key outside of itself");
  expect_fault(node + 8, 0x7a7a, "names something that is no tree of a bank");
  const std::size_t second = root + number_at<std::uint16_t>(good, root + 18);
  expect_fault(second + 8, 0x6161, "has keys that are out of order");
}

TEST(LmdbPages, NamesOverflowAndFreePagesOnlyWhereTheyWillBeChanged) {
  const std::string good = made_file();
  std::size_t overflow = 0;
  for (std::size_t page = 2 * kPageBytes; page < good.size(); page += kPageBytes) {
    if (number_at<std::uint16_t>(good, page + 10) == 4) overflow = page;
  }
  ASSERT_NE(overflow, 0U);
  std::string bad = good;
  set<std::uint32_t>(bad, overflow + 12, 1'000'000);
  EXPECT_EQ(fault_of(bad, PageCheck::kForReading), "none");
  EXPECT_THAT(fault_of(bad), HasSubstr("page " + std::to_string(overflow / kPageBytes)));

  const std::size_t free_root = number_at<std::uint64_t>(good, newest_meta(good) + 80) * kPageBytes;
  const std::size_t node = free_root + number_at<std::uint16_t>(good, free_root + 16);
  bad = good;
  set<std::uint64_t>(bad, node + 16, 1'000'000);
  EXPECT_EQ(fault_of(bad, PageCheck::kForReading), "none");
  EXPECT_THAT(fault_of(bad), HasSubstr("has a list of free pages that is too short"));
}

TEST(LmdbPages, NeverReadOutsideTheFile) {
  const std::string good = made_file();
  std::mt19937_64 random(11);
  int num_faults = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string bad = good.substr(0, i % 4 == 0 ? random() % good.size() : good.size());
    for (std::size_t j = 0; !bad.empty() && j < 1 + random() % 3; ++j) {
      // Mostly where pages begin: headers and pointers.
      const std::size_t page = random() % (good.size() / kPageBytes) * kPageBytes;
      const std::size_t offset = page + random() % (j == 0 ? 200 : kPageBytes);
      bad[offset % bad.size()] = static_cast<char>(random());
    }
    // A copy of its own size, so that a sanitizer sees a read behind its end.
    const std::vector<char> exact(bad.begin(), bad.end());
    const auto bytes = std::as_bytes(std::span(exact));
    bool fault = find_meta_fault(bytes).has_value();
    for (const std::uint64_t commit : {newest_commit(good), newest_commit(good) - 1}) {
      fault = find_page_fault(bytes, commit, kChecks[i % 2]).has_value() || fault;
    }
    num_faults += fault ? 1 : 0;
  }
  EXPECT_GT(num_faults, 1000);
}

}  // namespace
}  // namespace mmra::bank
