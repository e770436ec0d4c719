#include "mmra/serving/bank_listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>

#include "mmra/serving/problem.h"
#include "test_files.h"

namespace mmra::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Listing : public ::testing::Test {
 protected:
  void SetUp() override {
    bank_ = bank::create_bank(directory_ / "bank", {});
    add("a", "École", 5.0, Timestamp{3000});
    add("b", "boat", std::nullopt, Timestamp{1000});
    add("c", "a BOAT", 5.0, std::nullopt);
    add("d", "tiger", 9.0, Timestamp{2000});
  }
  void add(const std::string& id, const std::string& title, std::optional<double> popularity,
           std::optional<Timestamp> posted_at) {
    bank::StoredRecord stored;
    stored.record.id = id;
    stored.record.title = title;
    stored.record.popularity = popularity;
    stored.record.posted_at = posted_at;
    bank_->put(std::span(&stored, 1));
  }
  std::vector<std::string> ids(const ListQuery& query) {
    return ids_of(listing().page(query, bank_->info().generation));
  }
  static std::vector<std::string> ids_of(const ListPage& page) {
    std::vector<std::string> ids;
    for (const ListedRecord& record : page.records) ids.push_back(record.id);
    return ids;
  }
  BankListing& listing() {
    if (!listing_) listing_.emplace(*bank_);
    return *listing_;
  }

  mmra::testing::TemporaryDirectory directory_;
  std::unique_ptr<bank::MemoryBank> bank_;
  std::optional<BankListing> listing_;
};

TEST_F(Listing, SortsWithWhatIsNotKnownLast) {
  using Sort = ListQuery::Sort;
  ListQuery query;
  EXPECT_THAT(ids(query), ElementsAre("a", "b", "c", "d"));
  query.descending = true;
  EXPECT_THAT(ids(query), ElementsAre("d", "c", "b", "a"));
  query.sort = Sort::kPopularity;
  EXPECT_THAT(ids(query), ElementsAre("d", "a", "c", "b"));
  query.descending = false;
  EXPECT_THAT(ids(query), ElementsAre("a", "c", "d", "b"));
  query.sort = Sort::kPostedAt;
  EXPECT_THAT(ids(query), ElementsAre("b", "d", "a", "c"));
}

TEST_F(Listing, FiltersByTitleAndTime) {
  ListQuery query;
  query.title_part = "boat";
  EXPECT_THAT(ids(query), ElementsAre("b", "c"));
  query.title_part = "ÉCOLE";
  EXPECT_THAT(ids(query), ElementsAre("a"));
  query.title_part = "";
  query.from = Timestamp{2000};
  EXPECT_THAT(ids(query), ElementsAre("a", "d"));
  query.to = Timestamp{3000};
  EXPECT_THAT(ids(query), ElementsAre("d"));
  query.title_part = "boat";
  EXPECT_THAT(ids(query), IsEmpty());
}

TEST_F(Listing, PagesFollowEachOther) {
  for (const auto sort :
       {ListQuery::Sort::kId, ListQuery::Sort::kPopularity, ListQuery::Sort::kPostedAt}) {
    ListQuery query;
    query.sort = sort;
    const std::vector<std::string> all = ids(query);
    query.limit = 1;
    std::vector<std::string> paged;
    do {
      const ListPage page = listing().page(query, bank_->info().generation);
      EXPECT_EQ(page.total, 4U);
      paged.push_back(page.records.at(0).id);
      query.after = page.next;
    } while (query.after);
    EXPECT_EQ(paged, all);
  }
  ListQuery query;
  query.after = "nobody";
  EXPECT_THROW((void)ids(query), Refusal);
}

TEST_F(Listing, SeesTheBankAsItIs) {
  EXPECT_EQ(ids({}).size(), 4U);
  add("e", "new", 1.0, std::nullopt);
  EXPECT_EQ(ids({}).size(), 5U);
  const std::string id = "a";
  bank_->remove(std::span(&id, 1));
  EXPECT_THAT(ids({}), ElementsAre("b", "c", "d", "e"));
}

}  // namespace
}  // namespace mmra::serving
