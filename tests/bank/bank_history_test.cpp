#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "any_bank.h"
#include "expect_error.h"
#include "made_records.h"
#include "mmra/bank/label_table.h"
#include "mmra/bank/load_feature_table.h"
#include "mmra/bank/memory_bank.h"

namespace mmra::bank {
namespace {

using testing::day;
using ::testing::ElementsAre;
using testing::expect_error;
using testing::made_counted_record;
using testing::RandomValues;

/// Records posted on day 0, labelled 1.
class BankWithCounts : public testing::OnAnyEngine {
 protected:
  void TearDown() override {
    bank_.reset();
    testing::OnAnyEngine::TearDown();
  }
  void make(const std::string& horizon) {
    bank_ = testing::make_counted_bank(place("bank"), horizon);
  }
  void put(const StoredRecord& stored) { bank_->put({&stored, 1}); }
  ObserveReport observe(std::vector<RecordObservation> observations) {
    return bank_->observe(observations);
  }
  void reopen(OpenMode mode) {
    bank_.reset();
    bank_ = open_bank(place("bank"), mode);
  }
  [[nodiscard]] std::optional<double> popularity_of(const std::string& id) const {
    return bank_->find(id)->popularity;
  }

  void expect_sound() const {
    for (const Problem& problem : bank_->verify()) ADD_FAILURE() << problem.id << problem.what;
  }

  std::unique_ptr<MemoryBank> bank_;
};

MMRA_ON_EVERY_ENGINE(BankWithCounts);

TEST_P(BankWithCounts, KeepsEveryCountAndShowsTheLatest) {
  make("");
  EXPECT_EQ(bank_->info().schema.format_version, 1) << "raised only when it is needed";
  EXPECT_EQ(bank_->find_history("a"), (PopularityHistory{1.0, {}}));
  const ObserveReport report = observe({{"a", {day(3), 30.0}},
                                        {"b", {day(1), 7.0}},
                                        {"a", {day(1), 10.0}},
                                        {"x", {day(1), 1.0}},
                                        {"c", {day(-1), 3.0}}});
  EXPECT_EQ(report.num_added, 3);
  EXPECT_THAT(report.unknown, ElementsAre(3));
  EXPECT_THAT(report.early, ElementsAre(4));
  for (const OpenMode mode : {OpenMode::kReadWrite, OpenMode::kReadOnly}) {
    EXPECT_EQ(bank_->info().schema.format_version, 2);
    EXPECT_EQ(popularity_of("a"), 30.0);
    EXPECT_EQ(popularity_of("b"), 7.0);
    EXPECT_EQ(popularity_of("c"), 1.0);
    EXPECT_EQ(bank_->find_history("a"), (PopularityHistory{1.0, {{day(1), 10.0}, {day(3), 30.0}}}));
    EXPECT_EQ(bank_->find_history("x"), std::nullopt);
    const auto table = bank_->table();
    EXPECT_EQ(table->popularity(0), 30.0);
    EXPECT_EQ(table->label_known_at(0), day(3));
    EXPECT_EQ(table->label_known_at(2), std::nullopt);
    EXPECT_EQ(table->popularity_as_of(0, day(3)), 10.0);
    EXPECT_EQ(table->popularity_as_of(0, day(1)), 1.0);
    expect_sound();
    reopen(mode);
  }
}

TEST_P(BankWithCounts, ShowsThePopularityAtItsHorizon) {
  make("7d");
  observe({{"a", {day(3), 30.0}},
           {"a", {day(6), 60.0}},
           {"a", {day(30), 90.0}},
           {"b", {day(1), 10.0}}});
  EXPECT_EQ(popularity_of("a"), 60.0);
  EXPECT_EQ(popularity_of("b"), 1.0) << "the manifest's, taken as counted after 7 days";
  const auto table = bank_->table();
  EXPECT_EQ(table->label_known_at(0), day(7));
  EXPECT_EQ(table->label_known_at(1), day(7));
  EXPECT_EQ(table->popularity_as_of(0, day(7)), std::nullopt);
  EXPECT_EQ(table->popularity_as_of(0, Timestamp{day(7).ms + 1}), 60.0);
  expect_sound();

  const auto after_30d = with_horizon(table, *parse_duration("30d"));
  EXPECT_EQ(after_30d->popularity(0), 90.0);
  EXPECT_EQ(after_30d->label_known_at(0), day(30));
  const LoadedFeatures loaded = load_feature_table(*bank_, {}, parse_duration("30d"));
  EXPECT_EQ(loaded.features.log2_popularity(0), static_cast<float>(log2_popularity(90.0)))
      << "what trains is what is retrieved";
}

TEST_P(BankWithCounts, CountsWithTimesGoBeforeTheManifests) {
  make("");
  observe({{"a", {day(3), 30.0}}});
  StoredRecord again = made_counted_record("a");
  again.record.title = "another title";
  again.record.popularity = 2.0;
  put(again);
  EXPECT_EQ(bank_->find("a")->title, "another title");
  EXPECT_EQ(popularity_of("a"), 30.0);
  EXPECT_EQ(bank_->find_history("a"), (PopularityHistory{2.0, {{day(3), 30.0}}}));
  Record read = *bank_->find("a");
  read.title = "a third";
  bank_->put_record(read);
  EXPECT_EQ(bank_->find_history("a")->untimed, 2.0) << "what was read is no count of a manifest";
  expect_sound();
}

TEST_P(BankWithCounts, RemovalTakesTheCountsToo) {
  make("");
  observe({{"a", {day(3), 30.0}}});
  const std::string id = "a";
  bank_->remove({&id, 1});
  EXPECT_EQ(bank_->find_history("a"), std::nullopt);
  put(made_counted_record("a"));
  EXPECT_EQ(bank_->find_history("a"), (PopularityHistory{1.0, {}}));
  expect_sound();
}

TEST_P(BankWithCounts, RefusesWhatIsNoCount) {
  make("");
  for (const double count : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    expect_error(ErrorKind::kInvalidInput, "a count of the record \"b\"", [&] {
      observe({{"a", {day(1), 1.0}}, {"b", {day(1), count}}});
    });
  }
  EXPECT_EQ(bank_->info().schema.format_version, 1) << "all or nothing";
}

// Against a model: random puts, counts and removals.
TEST_P(BankWithCounts, AreWhatWasPutInWhateverTheOrder) {
  make("7d");
  RandomValues random(41);
  std::map<std::string, PopularityHistory> expected = {
      {"a", {1.0, {}}}, {"b", {1.0, {}}}, {"c", {1.0, {}}}};
  // A server takes seconds for each record that is replaced.
  const int num_steps = GetParam() == testing::Engine::kMilvus ? 30 : 120;
  for (int step = 0; step < num_steps; ++step) {
    const std::string id(1, static_cast<char>('a' + random.below(5)));
    const auto known = expected.find(id);
    if (random.one_in(8)) {
      bank_->remove({&id, 1});
      expected.erase(id);
    } else if (random.one_in(3)) {
      StoredRecord stored = made_counted_record(id);
      stored.record.popularity = 1000.0 + step;
      put(stored);
      expected[id].untimed = stored.record.popularity;
    } else {
      const Observation observation{day(static_cast<int>(random.below(12))),
                                    static_cast<double>(random.below(50))};
      observe({{id, observation}});
      if (known != expected.end()) known->second.add(observation);
    }
  }
  const auto table = bank_->table();
  ASSERT_EQ(table->num_rows(), expected.size());
  std::size_t row = 0;
  for (const auto& [id, history] : expected) {
    EXPECT_EQ(bank_->find_history(id), history) << id;
    const Label label = label_of({history.untimed, history.timed}, day(0), parse_duration("7d"));
    EXPECT_EQ(popularity_of(id), label.popularity) << id;
    EXPECT_EQ(table->popularity(row), label.popularity) << id;
    EXPECT_EQ(table->label_known_at(row), label.known_at) << id;
    ++row;
  }
  expect_sound();
}

}  // namespace
}  // namespace mmra::bank
