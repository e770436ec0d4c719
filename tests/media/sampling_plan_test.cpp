#include "mmra/media/sampling_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace mmra::media {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PickFrames, AreNumpysLinspace) {
  // [int(x) for x in numpy.linspace(0, n - 1, L)]
  EXPECT_THAT(pick_frames(982, 10), ElementsAre(0, 109, 218, 327, 436, 545, 654, 763, 872, 981));
  EXPECT_THAT(pick_frames(227, 10), ElementsAre(0, 25, 50, 75, 100, 125, 150, 175, 200, 226));
  EXPECT_THAT(pick_frames(862, 10), ElementsAre(0, 95, 191, 287, 382, 478, 574, 669, 765, 861));
  EXPECT_THAT(pick_frames(10, 3), ElementsAre(0, 4, 9));
  EXPECT_THAT(pick_frames(100, 1), ElementsAre(0));
}

TEST(PickFrames, RoundAsNumpyDoesInDoublePrecision) {
  // 11 · (30 / 22) is 14.999999999999998 in double precision: numpy gives 14, exact fractions 15.
  EXPECT_EQ(pick_frames(31, 23)[11], 14);
}

TEST(PickFrames, GiveEachFrameOfAShortClipOnce) {
  EXPECT_THAT(pick_frames(5, 10), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(pick_frames(1, 10), ElementsAre(0));
  EXPECT_THAT(pick_frames(0, 10), IsEmpty());
}

TEST(PickFrames, AscendFromTheFirstToTheLast) {
  for (std::int64_t num_frames = 2; num_frames < 200; ++num_frames) {
    for (int num_picks = 2; num_picks < 30; ++num_picks) {
      const std::vector<std::int64_t> picks = pick_frames(num_frames, num_picks);
      ASSERT_EQ(picks.front(), 0);
      ASSERT_EQ(picks.back(), num_frames - 1);
      ASSERT_TRUE(std::is_sorted(picks.begin(), picks.end()));
      ASSERT_EQ(static_cast<std::int64_t>(picks.size()),
                std::min<std::int64_t>(num_picks, num_frames));
    }
  }
}

/// An index in which each packet's letter says what it is: K clean point, P needed by others, b
/// disposable; ordinals as given.
PacketIndex index_of(const std::string& kinds, const std::vector<std::int64_t>& ordinals) {
  PacketIndex index;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    IndexedPacket packet;
    packet.ordinal = ordinals[i];
    packet.clean_point = kinds[i] == 'K';
    packet.disposable = kinds[i] == 'b';
    index.packets.push_back(packet);
  }
  index.exact = true;
  return index;
}

TEST(PlanDecoding, SkipsWhatNothingNeeds) {
  const PacketIndex index = index_of("KPbbPbb", {0, 3, 1, 2, 6, 4, 5});
  const std::vector<Segment> plan = plan_decoding(index, {0, 4});
  ASSERT_EQ(plan.size(), 1U);
  EXPECT_THAT(plan[0].packets, ElementsAre(0U, 1U, 4U, 5U));
  EXPECT_THAT(plan[0].expected, ElementsAre(0, 3, 4, 6));
}

TEST(PlanDecoding, StartsAtTheCleanPointBeforeEachPick) {
  const PacketIndex index = index_of("KPPKPPKPP", {0, 1, 2, 3, 4, 5, 6, 7, 8});
  const std::vector<Segment> plan = plan_decoding(index, {0, 7});
  ASSERT_EQ(plan.size(), 2U);
  EXPECT_THAT(plan[0].packets, ElementsAre(0U));
  EXPECT_THAT(plan[1].packets, ElementsAre(6U, 7U));
  EXPECT_THAT(plan[1].expected, ElementsAre(6, 7));
}

TEST(PlanDecoding, DecodesLeadingPicturesFromTheCleanPointBeforeTheirs) {
  // Packets 4 and 5 are decoded after the second clean point and shown before it.
  const PacketIndex index = index_of("KPbKPbPb", {0, 2, 1, 5, 4, 3, 7, 6});
  const std::vector<Segment> plan = plan_decoding(index, {3, 6});
  ASSERT_EQ(plan.size(), 2U);
  EXPECT_THAT(plan[0].packets, ElementsAre(0U, 1U, 3U, 4U, 5U));
  EXPECT_THAT(plan[0].expected, ElementsAre(0, 2, 3, 4, 5));
  EXPECT_THAT(plan[1].packets, ElementsAre(3U, 6U, 7U));
  EXPECT_THAT(plan[1].expected, ElementsAre(5, 6, 7));
}

}  // namespace
}  // namespace mmra::media
