#include "mmra/text/term_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mmra::text {
namespace {

TEST(TermCounts, AreOfEachTermOnceInTheOrderOfHashes) {
  EXPECT_THAT(count_terms({9, 2, 9, 5, 9}),
              testing::ElementsAre(TermCount{2, 1}, TermCount{5, 1}, TermCount{9, 3}));
  EXPECT_THAT(count_terms({}), testing::IsEmpty());
}

}  // namespace
}  // namespace mmra::text
