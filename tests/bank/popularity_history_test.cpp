#include "mmra/bank/popularity_history.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace mmra::bank {
namespace {

using testing::expect_error;

constexpr std::int64_t kDay = 86'400'000;
constexpr Timestamp kPosted{100 * kDay};

Timestamp day(double days) {
  return {kPosted.ms + static_cast<std::int64_t>(days * static_cast<double>(kDay))};
}

Label label_at(const PopularityHistory& history, const char* horizon) {
  return label_of({history.untimed, history.timed}, kPosted, parse_duration(horizon));
}

TEST(PopularityHistory, KeepsCountsInTheOrderOfTheirTimes) {
  PopularityHistory history;
  EXPECT_TRUE(history.add({day(3), 30.0}));
  EXPECT_TRUE(history.add({day(1), 10.0}));
  EXPECT_FALSE(history.add({day(1), 10.0})) << "it is there";
  EXPECT_TRUE(history.add({day(1), 11.0})) << "put right";
  EXPECT_EQ(history.timed, (std::vector<Observation>{{day(1), 11.0}, {day(3), 30.0}}));
}

TEST(PopularityHistory, WithoutAHorizonTheLatestCountIsTheLabel) {
  const PopularityHistory history{5.0, {{day(1), 10.0}, {day(30), 90.0}}};
  const Label label = label_of({history.untimed, history.timed}, kPosted, std::nullopt);
  EXPECT_EQ(label.popularity, 90.0);
  EXPECT_EQ(label.known_at, day(30));
  const Label untimed = label_of({5.0, {}}, kPosted, std::nullopt);
  EXPECT_EQ(untimed.popularity, 5.0);
  EXPECT_EQ(untimed.known_at, std::nullopt) << "nobody said when it was counted";
}

TEST(PopularityHistory, AtAHorizonTheLastCountAtOrBeforeItIsTheLabel) {
  const PopularityHistory history{5.0, {{day(1), 10.0}, {day(5), 50.0}, {day(8), 80.0}}};
  EXPECT_EQ(label_at(history, "7d").popularity, 50.0) << "not day 8, which is nearer";
  EXPECT_EQ(label_at(history, "7d").known_at, day(7)) << "only then it is the last";
  EXPECT_EQ(label_at(history, "8d").popularity, 80.0) << "at the very moment";
  EXPECT_EQ(label_at(history, "8d").known_at, day(8));
  EXPECT_EQ(label_at(history, "24h").popularity, 10.0);
}

TEST(PopularityHistory, ACountOfTheFirstHalfOfTheHorizonIsNoLabel) {
  const PopularityHistory early{std::nullopt, {{day(3), 30.0}}};
  EXPECT_EQ(label_at(early, "6d").popularity, 30.0) << "exactly half of it";
  EXPECT_EQ(label_at(early, "7d").popularity, std::nullopt);
  EXPECT_EQ(label_at(early, "7d").known_at, std::nullopt);
  const PopularityHistory late{std::nullopt, {{day(8), 80.0}}};
  EXPECT_EQ(label_at(late, "7d").popularity, std::nullopt) << "counted too late";
}

TEST(PopularityHistory, AnUntimedCountStandsInAtTheHorizon) {
  const PopularityHistory history{5.0, {{day(30), 90.0}}};
  EXPECT_EQ(label_at(history, "7d").popularity, 5.0);
  EXPECT_EQ(label_at(history, "7d").known_at, day(7));
  EXPECT_EQ(label_of({5.0, {}}, std::nullopt, parse_duration("7d")).popularity, 5.0);
  EXPECT_EQ(label_of({5.0, {}}, std::nullopt, parse_duration("7d")).known_at, std::nullopt);
}

TEST(PopularityHistory, LatestBeforeAMomentIsStrictlyBefore) {
  const PopularityHistory history{5.0, {{day(1), 10.0}, {day(5), 50.0}}};
  const HistoryView view{history.untimed, history.timed};
  EXPECT_EQ(latest_before(view, day(0)), 5.0);
  EXPECT_EQ(latest_before(view, day(1)), 5.0) << "the same moment is not before";
  EXPECT_EQ(latest_before(view, Timestamp{day(1).ms + 1}), 10.0);
  EXPECT_EQ(latest_before(view, day(9)), 50.0);
  EXPECT_EQ(latest_before({std::nullopt, history.timed}, day(1)), std::nullopt);
}

TEST(PopularityHistory, OnlyALengthOfTimeIsAHorizon) {
  EXPECT_EQ(horizon_of("7d")->ms, 7 * kDay);
  EXPECT_EQ(horizon_of(""), std::nullopt);
  EXPECT_EQ(horizon_of("at the end"), std::nullopt) << "words of the people who made the bank";
  EXPECT_EQ(require_horizon("1w").ms, 7 * kDay);
  expect_error(ErrorKind::kInvalidInput, "such as 7d",
               [] { static_cast<void>(require_horizon("soon")); });
}

}  // namespace
}  // namespace mmra::bank
