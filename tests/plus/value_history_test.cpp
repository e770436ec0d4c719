#include "mmra/plus/value_history.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace mmra::plus::testing {
namespace {

constexpr std::int64_t kDay = 86'400'000;

class History : public ::testing::Test {
 protected:
  History() {
    history_.add(1, {3 * kDay}, 6.0F, 30);
    history_.add(1, {1 * kDay}, 8.0F, 10);
    history_.add(1, {2 * kDay}, 4.0F, 20);
    history_.add(2, {1 * kDay}, 1.0F, 40);
    history_.sort();
  }
  [[nodiscard]] std::array<float, kHistoryWidth> describe(TermHash value,
                                                          std::optional<Timestamp> before,
                                                          std::size_t refused = 99) const {
    std::array<float, kHistoryWidth> values{};
    history_.describe(
        value, before, [&](std::size_t row) { return row != refused; }, values);
    return values;
  }
  ValueHistory history_;
};

TEST_F(History, IsOfEarlierRowsAlone) {
  const auto values = describe(1, Timestamp{3 * kDay});
  EXPECT_EQ(values[0], 2.0F) << "what was posted at the same time is not earlier";
  EXPECT_EQ(values[1], 6.0F);
  EXPECT_EQ(values[2], 4.0F);
  EXPECT_EQ(values[3], 8.0F);
  EXPECT_EQ(values[4], 1.0F);
}

TEST_F(History, OfEverythingHasNoTimeSince) {
  const auto values = describe(1, std::nullopt);
  EXPECT_EQ(values[0], 3.0F);
  EXPECT_EQ(values[2], 6.0F);
  EXPECT_TRUE(std::isnan(values[4]));
}

TEST_F(History, LeavesOutWhatIsNotAdmitted) {
  const auto values = describe(1, Timestamp{3 * kDay}, 10);
  EXPECT_EQ(values[0], 1.0F);
  EXPECT_EQ(values[3], 4.0F);
}

TEST_F(History, OfNothingIsACountOfZero) {
  for (const auto& values : {describe(3, std::nullopt), describe(1, Timestamp{0})}) {
    EXPECT_EQ(values[0], 0.0F);
    for (std::size_t i = 1; i < kHistoryWidth; ++i) EXPECT_TRUE(std::isnan(values[i]));
  }
}

}  // namespace
}  // namespace mmra::plus::testing
