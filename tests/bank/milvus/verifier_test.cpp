#include "mmra/bank/milvus/verifier.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bank/made_records.h"
#include "expect_error.h"
#include "mmra/bank/milvus/record_change.h"
#include "mmra/bank/record_codec.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using testing::day;
using testing::expect_error;
using testing::made_counted_record;
using testing::small_schema;

/// A sound record of every kind of value, to be damaged.
class CheckedRow : public ::testing::Test {
 protected:
  CheckedRow() {
    StoredRecord stored = made_counted_record("a");
    stored.history = PopularityHistory{1.0, {{day(6), 50.0}}};
    stored.record.thumbnails = {{1, 2, 3}};
    RecordChange change;
    change.put(stored, small_schema());
    row_ = *change.row;
    vector_ = change.vector;
    values_ = change.new_values;
  }

  void check() const { check_row(row_, vector_, values_, small_schema()); }
  void expect_problem(const std::string& part) const {
    expect_error(ErrorKind::kCorruptData, part, [&] { check(); });
  }
  /// The value of this kind with the name that it has then.
  void replace(char kind, Bytes bytes) {
    for (ValueName& name : row_.values) {
      if (name.kind == kind) name = name_value(kind, "a", bytes);
    }
    values_[kind] = std::move(bytes);
  }

  StoredRow row_;
  std::vector<float> vector_;
  RecordValues values_;
};

TEST_F(CheckedRow, IsSound) {
  ASSERT_EQ(values_.size(), 4U);
  EXPECT_NO_THROW(check());
}

TEST_F(CheckedRow, NamesValuesThatAreMissing) {
  values_.erase('T');
  expect_problem("some of its values are missing");
}

TEST_F(CheckedRow, NamesAValueThatIsAnother) {
  for (const char kind : {'R', 'F', 'T', 'O'}) {
    const Bytes was = values_.at(kind);
    values_[kind].back() ^= 1;
    expect_problem(std::string("its value ") + kind + " is another");
    values_[kind] = was;
  }
}

TEST_F(CheckedRow, NamesAValueThatCannotBeRead) {
  for (const char kind : {'R', 'F', 'T', 'O'}) {
    const StoredRow row = row_;
    const Bytes was = values_.at(kind);
    replace(kind, was.substr(0, was.size() - 1));
    expect_problem("\"a\"");
    row_ = row;
    values_[kind] = was;
  }
}

TEST_F(CheckedRow, NamesARowThatDiffersFromItsRecord) {
  const StoredRow sound = row_;
  const auto expect_differs = [&](const char* what) {
    SCOPED_TRACE(what);
    expect_problem("its row differs from its record");
    row_ = sound;
  };
  row_.popularity = 51.0;
  expect_differs("label");
  row_.posted_at.reset();
  expect_differs("time");
  row_.split = sound.split == Split::kTest ? Split::kTrain : Split::kTest;
  expect_differs("split");
  ++row_.known_at;
  expect_differs("known_at");
  ++row_.first_known_at;
  expect_differs("first_known_at");
  row_.has_video = !row_.has_video;
  expect_differs("video");
  ++row_.visual_tokens;
  expect_differs("visual tokens");
  ++row_.text_tokens;
  expect_differs("text tokens");
  EXPECT_NO_THROW(check());
}

TEST_F(CheckedRow, NamesAVectorThatDiffers) {
  vector_.back() += 0.25F;
  expect_problem("the vector of its row differs");
}

}  // namespace
}  // namespace mmra::bank
