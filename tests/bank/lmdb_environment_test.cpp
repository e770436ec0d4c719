#include "mmra/bank/lmdb_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::TemporaryDirectory;
using Kind = Transaction::Kind;

std::string to_text(const std::optional<ByteView>& value) {
  if (!value) return "none";
  return {reinterpret_cast<const char*>(value->data()), value->size()};
}

std::string value_of(const Environment& environment, std::string_view key) {
  const Transaction transaction(environment, Kind::kRead);
  return to_text(transaction.get(Database::kRecords, key));
}

void put(const Environment& environment, std::string_view key, const Bytes& value) {
  Transaction transaction(environment, Kind::kWrite);
  transaction.put(Database::kRecords, key, value);
  transaction.commit();
}

class LmdbEnvironment : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
};

TEST_F(LmdbEnvironment, KeepsWhatWasCommitted) {
  {
    const Environment environment(directory_.path(), /*create=*/true);
    put(environment, "a", "1");
    put(environment, "a", "2");
    put(environment, "big", Bytes(1 << 20, 'x'));
  }
  const Environment environment(directory_.path(), /*create=*/false);
  EXPECT_TRUE(environment.writable());
  EXPECT_EQ(value_of(environment, "a"), "2");
  EXPECT_EQ(value_of(environment, "big").size(), std::size_t{1} << 20);
  EXPECT_EQ(value_of(environment, "b"), "none");
  EXPECT_EQ(value_of(environment, ""), "none") << "LMDB itself calls an empty key an error";
  EXPECT_EQ(value_of(environment, std::string(4000, 'k')), "none");
}

TEST_F(LmdbEnvironment, ATransactionThatIsNotCommittedChangesNothing) {
  const Environment environment(directory_.path(), /*create=*/true);
  put(environment, "a", "1");
  {
    Transaction transaction(environment, Kind::kWrite);
    transaction.put(Database::kRecords, "a", "2");
    transaction.put(Database::kRecords, "b", "2");
    EXPECT_TRUE(transaction.remove(Database::kRecords, "a"));
    EXPECT_EQ(transaction.count(Database::kRecords), 1);
  }
  EXPECT_EQ(value_of(environment, "a"), "1");
  EXPECT_EQ(value_of(environment, "b"), "none");
}

TEST_F(LmdbEnvironment, AReadTransactionSeesOneMoment) {
  const Environment environment(directory_.path(), /*create=*/true);
  put(environment, "a", "old");
  const Transaction before(environment, Kind::kRead);
  put(environment, "a", "new");
  put(environment, "b", "new");
  EXPECT_EQ(to_text(before.get(Database::kRecords, "a")), "old");
  EXPECT_EQ(before.get(Database::kRecords, "b"), std::nullopt);
  EXPECT_EQ(before.count(Database::kRecords), 1);
  EXPECT_EQ(value_of(environment, "a"), "new");
}

TEST_F(LmdbEnvironment, VisitsKeysInTheOrderOfTheirBytesUntilToldToStop) {
  const Environment environment(directory_.path(), /*create=*/true);
  for (const char* key : {"b", "aa", "a", "\xE6", "B", "10", "9"}) put(environment, key, key);
  std::vector<std::string> keys;
  const Transaction transaction(environment, Kind::kRead);
  transaction.for_each(Database::kRecords, [&](std::string_view key, ByteView value) {
    EXPECT_EQ(to_text(value), key);
    keys.emplace_back(key);
    return keys.size() < 6;
  });
  EXPECT_THAT(keys, ElementsAre("10", "9", "B", "a", "aa", "b"));
  transaction.for_each(Database::kFeatures, [](std::string_view, ByteView) {
    ADD_FAILURE() << "the databases are apart";
    return true;
  });
}

TEST_F(LmdbEnvironment, RemoveSaysWhetherItWasThere) {
  const Environment environment(directory_.path(), /*create=*/true);
  put(environment, "a", "1");
  Transaction transaction(environment, Kind::kWrite);
  EXPECT_TRUE(transaction.remove(Database::kRecords, "a"));
  EXPECT_FALSE(transaction.remove(Database::kRecords, "a"));
  EXPECT_FALSE(transaction.remove(Database::kRecords, ""));
  EXPECT_FALSE(transaction.remove(Database::kRecords, std::string(600, 'k')));
}

TEST_F(LmdbEnvironment, IsSharedInOneProcessUnderAllNamesOfItsDirectory) {
  { const Environment environment(directory_.path() / ".", /*create=*/true); }
  const auto other_name = directory_ / "link";
  std::filesystem::create_directory_symlink(directory_.path(), other_name);
  SharedEnvironment first(directory_.path());
  const Environment* const environment = &first.get();
  {
    const SharedEnvironment second(other_name);
    EXPECT_EQ(&second.get(), environment);
    const SharedEnvironment third(std::move(first));
    EXPECT_EQ(&third.get(), environment);
  }
  const SharedEnvironment again(directory_.path());
  EXPECT_TRUE(again.get().writable()) << "closed with its last user, opened again";
}

TEST_F(LmdbEnvironment, SaysThatADirectoryIsNotThere) {
  expect_error(ErrorKind::kNotFound, (directory_ / "none").string(),
               [&] { SharedEnvironment environment(directory_ / "none"); });
  expect_error(ErrorKind::kNotFound, (directory_ / "none").string(),
               [&] { Environment environment(directory_ / "none", /*create=*/true); });
}

TEST_F(LmdbEnvironment, RefusesWhatIsNoEnvironmentEveryTime) {
  for (const std::string& bytes :
       {std::string(), std::string("short"), std::string(100000, 'x'), std::string(8192, '\0')}) {
    write_file_atomically(directory_ / "data.mdb", bytes);
    for (int i = 0; i < 2; ++i) {
      expect_error(ErrorKind::kCorruptData, directory_.path().string(),
                   [&] { SharedEnvironment environment(directory_.path()); });
    }
  }
}

}  // namespace
}  // namespace mmra::bank
