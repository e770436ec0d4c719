#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "mmra/training/trainer.h"
#include "test_files.h"

namespace mmra::training {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryDirectory;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What a parser of XML would complain of first, or nothing: tags that do not close, attributes
/// without quotes, a stray < or &.
std::string fault_of_xml(const std::string& xml) {
  std::vector<std::string> open;
  for (std::size_t at = 0; at < xml.size();) {
    if (xml[at] == '&') {
      const std::size_t end = xml.find(';', at);
      if (end == std::string::npos || end - at > 6) return "a stray &";
    }
    if (xml[at] != '<') {
      ++at;
      continue;
    }
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    std::string tag = xml.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.find('<') != std::string::npos) return "< inside a tag: " + tag;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "an unexpected </" + tag + ">";
      open.pop_back();
      continue;
    }
    const bool closed = tag.back() == '/';
    if (closed) tag.pop_back();
    std::size_t i = 0;
    while (i < tag.size() && std::isspace(static_cast<unsigned char>(tag[i])) == 0) ++i;
    const std::string name = tag.substr(0, i);
    while (true) {
      while (i < tag.size() && std::isspace(static_cast<unsigned char>(tag[i])) != 0) ++i;
      if (i == tag.size()) break;
      const std::size_t equals = tag.find("=\"", i);
      const std::size_t quote = equals == std::string::npos ? equals : tag.find('"', equals + 2);
      if (quote == std::string::npos) return "an attribute without quotes in " + tag;
      i = quote + 1;
    }
    if (!closed) open.push_back(name);
  }
  return open.empty() ? "" : "an open <" + open.back() + ">";
}

TEST(FaultOfXml, FindsFaults) {
  EXPECT_EQ(fault_of_xml("<a b=\"1\"><c/>x &amp; y</a>"), "");
  for (const char* bad : {"<a>", "<a></b>", "<a b=1/>", "<a>x & y</a>", "<a", "<a b=\"1/>"}) {
    EXPECT_NE(fault_of_xml(bad), "") << bad;
  }
}

class History : public ::testing::Test {
 protected:
  void write(const TrainingHistory& history) {
    write_history(history, directory_ / "model");
    csv_ = read_file(directory_.path() / "model" / "history.csv");
    svg_ = read_file(directory_.path() / "model" / "history.svg");
  }
  void expect_sound_picture() const {
    EXPECT_EQ(fault_of_xml(svg_), "");
    EXPECT_THAT(svg_, HasSubstr("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    EXPECT_THAT(svg_, Not(HasSubstr("nan")));
    EXPECT_THAT(svg_, Not(HasSubstr("inf\"")));
    EXPECT_THAT(svg_, Not(HasSubstr("inf,")));
  }

  TemporaryDirectory directory_;
  std::string csv_;
  std::string svg_;
};

TEST_F(History, IsATableWithARowForEachEpoch) {
  write({{{1, 2.5, 0.875, 1.25, 0.125, 3.14159}, {2, 1.0 / 3.0, 0.75, 1.0, -0.5, 12.0}}, 2});
  EXPECT_EQ(csv_,
            "epoch,train_loss,stop_nmse,stop_mae,stop_src,seconds,best\n"
            "1,2.5,0.875,1.25,0.125,3.142,0\n"
            "2,0.333333333,0.75,1,-0.5,12.000,1\n");
}

TEST_F(History, WritesWhatIsUndefinedAsNan) {
  write({{{1, kInfinity, kNaN, 1.25, kNaN, 1.0}}, 1});
  EXPECT_THAT(csv_, HasSubstr("1,inf,nan,1.25,nan,1.000,1\n"));
  write({{{1, 1.0, -kNaN, 1.25, 0.0, 1.0}}, 1});  // a NaN's sign means nothing
  EXPECT_THAT(csv_, HasSubstr("1,1,nan,1.25,0,1.000,1\n"));
}

TEST_F(History, IsReadBack) {
  const TrainingHistory history{
      {{1, kInfinity, kNaN, 1.25, -0.125, 3.141}, {2, 0.25, 1e300, 0.0, 1.0, 1e300}}, 2};
  write(history);
  const TrainingHistory back = history_from_csv(csv_, "history.csv");
  EXPECT_EQ(back.best_epoch, 2);
  ASSERT_EQ(back.epochs.size(), 2U);
  EXPECT_EQ(back.epochs[0].train_loss, kInfinity);
  EXPECT_TRUE(std::isnan(back.epochs[0].stop_nmse));
  EXPECT_EQ(back.epochs[0].stop_mae, 1.25);
  EXPECT_EQ(back.epochs[0].stop_src, -0.125);
  EXPECT_EQ(back.epochs[0].seconds, 3.141);
  EXPECT_EQ(history_to_csv(back), csv_);
}

TEST_F(History, NamesTheLineThatIsNone) {
  write({{{1, 2.5, 0.875, 1.25, 0.125, 1}, {2, 0.5, 0.75, 1, -0.5, 1}}, 2});
  const auto expect_damaged = [](const std::string& text, const std::string& part) {
    testing::expect_error(ErrorKind::kCorruptData, part,
                          [&] { (void)history_from_csv(text, "history.csv"); });
  };
  const std::size_t first = csv_.find('\n') + 1;
  const std::size_t second = csv_.find('\n', first) + 1;
  for (std::size_t size = 0; size < csv_.size(); ++size) {
    SCOPED_TRACE(size);
    // Whole lines alone: all that is wrong is that no epoch is the best.
    const bool whole = size == first || size == second;
    expect_damaged(csv_.substr(0, size), size < first    ? "history.csv does not begin with"
                                         : whole         ? "or no best one"
                                         : size < second ? "history.csv is damaged at line 2"
                                                         : "history.csv is damaged at line 3");
  }
  const std::string header = csv_.substr(0, first);
  for (const char* line :
       {"1,2,3,4,5,6\n", "1,2,3,4,5,6,1,\n", "1.5,2,3,4,5,6,1\n", "1,2,3,,5,6,1\n",
        "1,2,3,4,5,6,2\n", " 1,2,3,4,5,6,1\n", "1,2,x,4,5,6,1\n", "9999999999,2,3,4,5,6,1\n", "\n",
        "1,2,3,4,5,6,1\r\n", "1,2,3,4,5,1e999,1\n"}) {
    expect_damaged(header + line, "at line 2");
  }
  expect_damaged(header + "2,2,3,4,5,6,1\n", "not 1, 2, 3");
  expect_damaged(header + "1,2,3,4,5,6,1\n2,2,3,4,5,6,1\n", "line 3");
}

TEST_F(History, IsAPictureOfBothCurves) {
  write({{{1, 4.0, 0.9, 1, 0, 1}, {2, 3.0, 0.7, 1, 0, 1}, {3, 2.5, 0.8, 1, 0, 1}}, 2});
  expect_sound_picture();
  EXPECT_THAT(svg_, HasSubstr("training loss"));
  EXPECT_THAT(svg_, HasSubstr("validation nMSE"));
  EXPECT_THAT(svg_, HasSubstr("best: epoch 2, 0.7000"));
  EXPECT_THAT(svg_, HasSubstr("<circle"));
}

/// The ends of the nMSE curve in the picture: x of epochs 1 and 3, and lower y for larger values.
TEST_F(History, DrawsLargerValuesHigher) {
  write({{{1, 1, 1, 1, 0, 1}, {2, 2, 2, 1, 0, 1}, {3, 3, 3, 1, 0, 1}}, 1});
  const std::size_t begin = svg_.find("points=\"") + 8;
  double x[3];
  double y[3];
  ASSERT_EQ(std::sscanf(svg_.c_str() + begin, "%lf,%lf %lf,%lf %lf,%lf", &x[0], &y[0], &x[1], &y[1],
                        &x[2], &y[2]),
            6);
  EXPECT_LT(x[0], x[1]);
  EXPECT_NEAR(x[2] - x[1], x[1] - x[0], 0.01);
  EXPECT_GT(y[0], y[1]);
  EXPECT_NEAR(y[1] - y[2], y[0] - y[1], 0.01);
}

TEST_F(History, StaysAPictureWhateverTheValues) {
  const std::vector<TrainingHistory> histories{
      {{}, 0},
      {{{1, 0.5, 0.5, 1, 0, 1}}, 1},
      {{{1, kNaN, kNaN, 1, kNaN, 1}}, 1},
      {{{1, kInfinity, 0.5, 1, 0, 1}, {2, 1.0, kNaN, 1, 0, 1}, {3, kNaN, 0.25, 1, 0, 1}}, 3},
      {{{1, 0.0, 0.0, 1, 0, 1}, {2, 0.0, 0.0, 1, 0, 1}}, 1},
      {{{1, 1e-300, 1e300, 1, 0, 1}, {2, 1e300, 1e-300, 1, 0, 1}}, 2},
  };
  for (std::size_t i = 0; i < histories.size(); ++i) {
    SCOPED_TRACE(i);
    write(histories[i]);
    expect_sound_picture();
  }
  TrainingHistory longer;
  for (int epoch = 1; epoch <= 1000; ++epoch) {
    longer.epochs.push_back({epoch, 10.0 / epoch, 1.0 - 1e-6 * epoch, 1, 0, 1});
  }
  longer.best_epoch = 1000;
  write(longer);
  expect_sound_picture();
  EXPECT_LT(svg_.size(), 100000U);
}

}  // namespace
}  // namespace mmra::training
