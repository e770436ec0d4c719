#include "mmra/serving/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mmra::serving {
namespace {

using ::testing::ElementsAre;

TEST(Url, IsTakenApart) {
  const auto target = parse_target("/v1/videos/a%2Fb%20c?text=x+y%2B&k=&flag");
  ASSERT_TRUE(target);
  EXPECT_THAT(target->segments, ElementsAre("v1", "videos", "a/b c"));
  EXPECT_EQ(target->path, "/v1/videos/a%2Fb%20c");
  EXPECT_EQ(target->query.at("text"), "x y+");
  EXPECT_EQ(target->query.at("k"), "");
  EXPECT_EQ(target->query.at("flag"), "");
  EXPECT_TRUE(parse_target("/")->segments.empty());
  EXPECT_THAT(parse_target("//a/")->segments, ElementsAre("", "a"));
}

TEST(Url, RefusesWhatIsNone) {
  for (const char* text : {"", "*", "v1", "http://a/", "/%", "/%2", "/%zz", "/%ff", "/%00", "/?a=%",
                           "/?a=1&a=2", "/?%ff=1"}) {
    EXPECT_FALSE(parse_target(text)) << text;
  }
}

TEST(Url, ASegmentComesBackAsItWas) {
  for (const std::string& id : {std::string("a"), std::string("a/b?c=d&e#f"), std::string("ü 1%"),
                                std::string(".."), std::string("\"<>'")}) {
    const auto target = parse_target("/" + escape_segment(id));
    ASSERT_TRUE(target) << id;
    EXPECT_THAT(target->segments, ElementsAre(id));
  }
  EXPECT_EQ(escape_segment(".."), "%2E%2E");
  EXPECT_EQ(escape_segment("a.b"), "a.b");
}

}  // namespace
}  // namespace mmra::serving
