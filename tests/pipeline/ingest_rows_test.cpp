#include "mmra/pipeline/ingest_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/error.h"

namespace mmra::pipeline {
namespace {

using testing::expect_error;

/// Cannot be read, for one reason or another.
class ClosedBank final : public bank::MemoryBank {
 public:
  explicit ClosedBank(ErrorKind kind) : kind_(kind) {}
  [[nodiscard]] std::optional<bank::Record> find(std::string_view /*id*/) const override { fail(); }
  [[nodiscard]] std::optional<bank::Features> find_features(std::string_view) const override {
    fail();
  }
  [[nodiscard]] std::optional<bank::PopularityHistory> find_history(
      std::string_view) const override {
    fail();
  }
  [[nodiscard]] bank::BankInfo info() const override { fail(); }
  void for_each(const std::function<bool(const bank::Record&)>&) const override { fail(); }
  void for_each_with_features(
      const std::function<bool(const bank::Record&, const bank::Features&)>&) const override {
    fail();
  }
  void for_each_stored(const std::function<bool(std::string_view)>&,
                       const std::function<bool(bank::StoredRecord&&)>&) const override {
    fail();
  }
  void for_each_digest(const std::function<void(std::string_view, std::uint64_t)>&) const override {
    fail();
  }
  void put(std::span<const bank::StoredRecord>) override { fail(); }
  void put_record(const bank::Record&) override { fail(); }
  bank::ObserveReport observe(std::span<const bank::RecordObservation>) override { fail(); }
  std::int64_t remove(std::span<const std::string>) override { fail(); }
  void add_context_columns(const std::map<std::string, bank::ColumnType>&) override { fail(); }
  [[nodiscard]] std::shared_ptr<const bank::BankTable> table() const override { fail(); }
  [[nodiscard]] std::vector<bank::Problem> verify() const override { fail(); }

 private:
  [[noreturn]] void fail() const { throw Error(kind_, "the bank is closed"); }
  ErrorKind kind_;
};

DecodedRow decode_with(ErrorKind kind) {
  const ClosedBank bank(kind);
  const FeatureFiles no_files;
  const encoders::EncoderTraits traits;
  const bank::BankSchema schema;
  IngestRow work;
  work.row.id = "v1";
  work.row.title = "a title";
  return RowDecoder(traits, schema, no_files, &bank, {}).decode(work);
}

// Or the rows of a time when a server was away would be left out, and the ingest be done.
TEST(RowDecoder, ABankThatCannotBeReadIsNoFaultOfARow) {
  expect_error(ErrorKind::kIo, "the bank is closed", [] { (void)decode_with(ErrorKind::kIo); });
}

TEST(RowDecoder, ADamagedRecordIsARowThatFailed) {
  const DecodedRow decoded = decode_with(ErrorKind::kCorruptData);
  EXPECT_EQ(decoded.finished.row.outcome, IngestOutcome::kFailed);
  EXPECT_EQ(decoded.finished.row.failure.value().what, "the bank is closed");
}

}  // namespace
}  // namespace mmra::pipeline
