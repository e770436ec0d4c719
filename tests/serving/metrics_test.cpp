#include "mmra/serving/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mmra::serving {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, CountsResponsesAndTheirTimes) {
  Metrics metrics;
  metrics.note_response("/a", "GET", 200, 0.002);
  metrics.note_response("/a", "GET", 200, 100.0);
  metrics.note_response("/a", "GET", 404, 0.0001);
  metrics.note_batch(3);
  const std::string text = metrics.to_text({{"mmra_queue", 2.0}});
  EXPECT_THAT(text, HasSubstr("{route=\"/a\",method=\"GET\",status=\"200\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("{route=\"/a\",method=\"GET\",status=\"404\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("method=\"GET\",le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("method=\"GET\",le=\"0.0025\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("method=\"GET\",le=\"30\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("method=\"GET\",le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("_count{route=\"/a\",method=\"GET\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("mmra_encoder_batch_items_total 3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE mmra_queue gauge\nmmra_queue 2\n"));
}

}  // namespace
}  // namespace mmra::serving
