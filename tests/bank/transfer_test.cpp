#include "mmra/bank/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "any_bank.h"
#include "expect_error.h"
#include "made_records.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/stored_row.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::expect_same;
using testing::made_record;
using testing::small_schema;

constexpr int kRecords = 600;

/// From a directory to any engine, and back.
class Transferred : public testing::OnAnyEngine {
 protected:
  void SetUp() override {
    testing::OnAnyEngine::SetUp();
    if (IsSkipped()) return;
    write_encoders("words");
    const auto bank = create_bank(source(), small_schema());
    std::vector<StoredRecord> records;
    for (int i = 0; i < kRecords; ++i) records.push_back(made_record("v" + std::to_string(i)));
    bank->put(records);
    const RecordObservation counts[] = {
        {"v7", {Timestamp{4'000'000'000'000}, 70.0}},
        {"v7", {Timestamp{4'000'000'000'500}, 75.0}},
    };
    ASSERT_EQ(bank->observe(counts).num_added, 2);
  }

  void write_encoders(const std::string& contents) {
    make_directories(encoders_directory(source()) / "text");
    write_file_atomically(encoders_directory(source()) / "encoders.json", "{}");
    write_file_atomically(encoders_directory(source()) / "text" / "words.bin",
                          contents + std::string(120'000, '\xF7'));
  }
  [[nodiscard]] std::filesystem::path source() { return directory_ / "source"; }
  [[nodiscard]] std::filesystem::path target() { return place("target"); }

  static void expect_same_banks(const MemoryBank& actual, const MemoryBank& expected) {
    std::map<std::string, std::uint64_t> digests;
    expected.for_each_digest([&](std::string_view id, std::uint64_t digest) {
      digests.emplace(std::string(id), digest);
    });
    std::size_t num_seen = 0;
    actual.for_each_stored([](std::string_view) { return true; },
                           [&](StoredRecord&& stored) {
                             ++num_seen;
                             const std::string& id = stored.record.id;
                             expect_same(stored.record, expected.find(id).value());
                             expect_same(stored.features, expected.find_features(id).value());
                             EXPECT_EQ(stored.history, expected.find_history(id));
                             return !::testing::Test::HasFailure();
                           });
    EXPECT_EQ(num_seen, digests.size());
    actual.for_each_digest([&](std::string_view id, std::uint64_t digest) {
      EXPECT_EQ(digests.at(std::string(id)), digest) << id;
    });
    const BankInfo own = actual.info();
    const BankInfo other = expected.info();
    EXPECT_EQ(own.num_records, other.num_records);
    EXPECT_EQ(own.num_labelled, other.num_labelled);
    EXPECT_EQ(own.num_visual_tokens, other.num_visual_tokens);
    EXPECT_EQ(own.num_text_tokens, other.num_text_tokens);
    EXPECT_EQ(own.schema.format_version, other.schema.format_version);
    EXPECT_EQ(own.schema.context_columns, other.schema.context_columns);
  }
};

MMRA_ON_EVERY_ENGINE(Transferred);

TEST_P(Transferred, IsTheSameThereAndBack) {
  const TransferReport sent = transfer_bank(source(), target(), {});
  EXPECT_EQ(sent.num_records, kRecords);
  EXPECT_EQ(sent.num_sent, kRecords);
  expect_same_banks(*open_bank(target(), OpenMode::kReadOnly),
                    *open_bank(source(), OpenMode::kReadOnly));
  EXPECT_EQ(read_file(encoders_directory(target()) / "text" / "words.bin"),
            read_file(encoders_directory(source()) / "text" / "words.bin"));

  const TransferReport back = transfer_bank(target(), directory_ / "back", {});
  EXPECT_EQ(back.num_sent, kRecords);
  expect_same_banks(*open_bank(directory_ / "back", OpenMode::kReadOnly),
                    *open_bank(source(), OpenMode::kReadOnly));
  EXPECT_EQ(read_file(encoders_directory(directory_ / "back") / "encoders.json"), "{}");
}

TEST_P(Transferred, StoppedItGoesOnAndSendsOnlyWhatDiffers) {
  std::stop_source stop;
  TransferOptions options;
  options.stop = stop.get_token();
  options.acknowledge = [&](std::int64_t) { stop.request_stop(); };
  EXPECT_THROW(transfer_bank(source(), target(), options), Interrupted);
  const std::int64_t num_there = open_bank(target(), OpenMode::kReadOnly)->info().num_records;
  EXPECT_GT(num_there, 0);
  EXPECT_LT(num_there, kRecords);

  TransferReport report = transfer_bank(source(), target(), {});
  EXPECT_EQ(report.num_same, num_there);
  EXPECT_EQ(report.num_sent, kRecords - num_there);
  {
    const auto bank = open_bank(source(), OpenMode::kReadWrite);
    StoredRecord changed = made_record("v3");
    changed.features.text_tokens.values[0] ^= 1;
    bank->put({&changed, 1});
  }
  report = transfer_bank(source(), target(), {});
  EXPECT_EQ(report.num_sent, 1);
  EXPECT_EQ(report.num_same, kRecords - 1);
  expect_same_banks(*open_bank(target(), OpenMode::kReadOnly),
                    *open_bank(source(), OpenMode::kReadOnly));
}

// The row is there and names its values, so that its checksum says nothing.
TEST_P(Transferred, SendsAgainWhatTheServerHasLost) {
  if (GetParam() != testing::Engine::kMilvus) GTEST_SKIP() << "a directory loses nothing by itself";
  transfer_bank(source(), target(), {});
  const MilvusAddress address = parse_milvus_address(target());
  MilvusClient client(address, milvus_options_from_environment());
  const std::string values = values_collection(address.collection);
  // Keys of features begin with F: docs/formats/milvus.md.
  const std::vector<std::string> lost =
      client.query(values, R"(key > "F" and key < "G")", {"key"}, 3, MilvusMoment::latest())
          .texts("key");
  ASSERT_EQ(lost.size(), 3U);
  client.erase(values, milvus_any_of("key", lost));
  const TransferReport report = transfer_bank(source(), target(), {});
  EXPECT_EQ(report.num_same, kRecords);
  EXPECT_EQ(report.num_sent, 3);
  expect_same_banks(*open_bank(target(), OpenMode::kReadOnly),
                    *open_bank(source(), OpenMode::kReadOnly));
}

TEST_P(Transferred, RefusesABankThatHoldsOthers) {
  transfer_bank(source(), target(), {});
  {
    const auto bank = open_bank(target(), OpenMode::kReadWrite);
    const StoredRecord other = made_record("other");
    bank->put({&other, 1});
  }
  expect_error(ErrorKind::kInvalidInput, "holds records that are not in the bank to be copied",
               [&] { transfer_bank(source(), target(), {}); });
  BankSchema schema = small_schema();
  schema.encoders_fingerprint = "another";
  (void)create_bank(place("third"), schema);
  expect_error(ErrorKind::kInvalidInput, "differ in encoders",
               [&] { transfer_bank(source(), place("third"), {}); });
}

TEST_P(Transferred, ANewDirectoryMustBeFree) {
  make_directories(directory_ / "full");
  write_file_atomically(directory_ / "full" / "letter.txt", "dear");
  expect_error(ErrorKind::kInvalidInput, "holds other things (letter.txt)",
               [&] { transfer_bank(source(), directory_ / "full", {}); });
}

}  // namespace
}  // namespace mmra::bank
