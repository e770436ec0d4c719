#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bank/any_bank.h"
#include "bank/made_records.h"
#include "expect_error.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/stored_row.h"
#include "mmra/bank/record_codec.h"
#include "mmra/core/environment.h"
#include "mmra/core/error.h"
#include "mmra/net/http_client.h"

namespace mmra::bank {
namespace {

using ::testing::AllOf;
using testing::expect_error;
using testing::expect_same;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::made_record;
using testing::small_schema;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

/// More raw rows than a page of a scan has, when each is there four times.
constexpr int kRecords = 600;
constexpr int kMostRows = 16'384;
constexpr const char* kStateKey = "M:state";

/// What a directory does not have: a server that can be killed in the middle, and its indexes.
class OnMilvus : public testing::OnAnyEngine {
 protected:
  void SetUp() override {
    testing::OnAnyEngine::SetUp();
    if (IsSkipped()) return;
    address_ = parse_milvus_address(place("bank"));
    client_ = std::make_unique<MilvusClient>(address_, milvus_options_from_environment());
    const auto bank = create_bank(place("bank"), small_schema());
    std::vector<StoredRecord> records;
    records.reserve(kRecords);
    for (int i = 0; i < kRecords; ++i) records.push_back(made_record(id(i)));
    bank->put(records);
  }

  static std::string id(int i) { return "v" + std::to_string(i); }
  [[nodiscard]] std::unique_ptr<MemoryBank> open(OpenMode mode) {
    return open_bank(place("bank"), mode);
  }
  [[nodiscard]] std::int64_t count_rows() {
    return client_->count(address_.collection, R"(id > "")", MilvusMoment::latest());
  }

  /// Every row again, without deleting the one that is there: of an upsert, the first half.
  void double_rows() {
    std::vector<std::string> fields = row_columns();
    fields.emplace_back("vector");
    const MilvusRows rows = client_->query(address_.collection, R"(id > "")", fields, kMostRows,
                                           MilvusMoment::latest());
    Json again = Json::array();
    for (const StoredRow& row : parse_rows(rows)) {
      again.push_back(to_json(row, rows.vector("vector", again.size(), 4)));
    }
    net::HttpRequest request;
    request.method = "POST";
    request.url = address_.data_url() + "/v1/vector/insert";
    request.headers = {"Content-Type: application/json"};
    request.body = Json{{"collectionName", address_.collection}, {"data", again}}.dump();
    std::string answer;
    static_cast<void>(net::HttpClient().send(
        request, [&](const net::HttpHead&, std::string_view piece) { answer += piece; }, {}));
    ASSERT_EQ(Json::parse(answer).at("code"), 200) << answer;
  }

  [[nodiscard]] std::string values() const { return values_collection(address_.collection); }
  [[nodiscard]] Json read_state() {
    const std::string key = kStateKey;
    const MilvusRows found = client_->query(values(), milvus_any_of("key", std::span(&key, 1)),
                                            {"key", "value"}, 1, MilvusMoment::latest());
    const Bytes bytes = decode_piece(key, found.texts("value").at(0));
    return Json::parse(decode_text(key, std::as_bytes(std::span(bytes))));
  }
  void write_state(const Json& state) {
    client_->upsert(values(),
                    Json::array({named_row(kStateKey, encode_text(kStateKey, state.dump()))}));
  }
  /// As a writer that was killed leaves it.
  void say_that_it_is_written() {
    Json state = read_state();
    state["writing"] = true;
    write_state(state);
  }
  /// The row of a writer's lease of a process on this machine, which lasts for an hour more.
  void lease_to(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::vector<std::string> fields{std::istream_iterator<std::string>(file), {}};
    constexpr std::size_t kStart = 21;  // proc(5); the test's name has no space
    const auto until = std::chrono::system_clock::now() + std::chrono::hours(1);
    const Json lease = {
        {"host", host_name()},
        {"pid", pid},
        {"start", std::stoll(fields.at(kStart))},
        {"until_ms",
         std::chrono::duration_cast<std::chrono::milliseconds>(until.time_since_epoch()).count()}};
    client_->upsert(values(), Json::array({named_row("Wtest", lease.dump())}));
  }
  /// A record's row as it is, with its vector.
  [[nodiscard]] Json row_of(const std::string& record) {
    std::vector<std::string> fields = row_columns();
    fields.emplace_back("vector");
    const MilvusRows found =
        client_->query(address_.collection, milvus_any_of("id", std::span(&record, 1)), fields, 1,
                       MilvusMoment::latest());
    return to_json(parse_rows(found).at(0), found.vector("vector", 0, 4));
  }

  MilvusAddress address_;
  std::unique_ptr<MilvusClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Engines, OnMilvus, ::testing::Values(testing::Engine::kMilvus),
                         [](const auto&) { return "Milvus"; });

// A page of a scan is then fewer records than it was asked for, and not the last one.
TEST_P(OnMilvus, LosesNothingWhereAKilledServerHasRowsTwice) {
  for (int i = 0; i < 3; ++i) double_rows();
  ASSERT_EQ(count_rows(), 4 * kRecords);
  EXPECT_THAT(open(OpenMode::kReadOnly)->verify().at(0).what, HasSubstr("rows are there of 600"));
  say_that_it_is_written();
  {
    const auto bank = open(OpenMode::kReadWrite);
    EXPECT_THAT(bank->verify(), IsEmpty());
    EXPECT_EQ(bank->info().num_records, kRecords);
    for (const int i : {0, 7, kRecords - 1}) {
      expect_same(bank->find_features(id(i)).value(), made_record(id(i)).features);
    }
  }
  EXPECT_EQ(count_rows(), kRecords);
}

TEST_P(OnMilvus, RepairsRowsThatAreThereTwice) {
  const auto bank = open(OpenMode::kReadWrite);
  double_rows();
  EXPECT_EQ(bank->repair().size(), 1U);
  EXPECT_THAT(bank->verify(), IsEmpty());
  EXPECT_EQ(count_rows(), kRecords);
}

TEST_P(OnMilvus, RepairsRecordsThatCannotBeRead) {
  open(OpenMode::kReadWrite)->flush();
  Json row = row_of(id(7));
  row["contents"] = "no names";
  Json other = row_of(id(8));
  other["split"] = 3;
  client_->upsert(address_.collection, Json::array({row, other}));
  const ValueName damaged =
      parse_value_names(row_of(id(9)).at("contents").get<std::string>(), id(9)).at(0);
  client_->upsert(values(), Json::array({{{"key", keys_of(damaged, id(9)).at(0)},
                                          {"value", "no base64!"},
                                          {"unused", {0.0, 0.0}}}}));
  std::vector<std::string> found;
  for (const Problem& problem : open(OpenMode::kReadOnly)->verify()) {
    found.push_back(problem.id + ": " + problem.what);
  }
  EXPECT_THAT(found, UnorderedElementsAre(
                         AllOf(StartsWith(id(7) + ": "), HasSubstr("its values have no names")),
                         AllOf(StartsWith(id(8) + ": "), HasSubstr("no split has the number")),
                         AllOf(StartsWith(id(9) + ": "), HasSubstr("is damaged: no base64"))));
  const auto bank = open(OpenMode::kReadWrite);
  std::vector<std::string> repaired;
  for (const Repair& repair : bank->repair()) repaired.push_back(repair.id);
  EXPECT_THAT(repaired, UnorderedElementsAre(id(7), id(8), id(9)));
  EXPECT_THAT(bank->verify(), IsEmpty());
  EXPECT_EQ(bank->info().num_records, kRecords - 3);
  for (const int i : {7, 8, 9}) testing::put(*bank, made_record(id(i)));
  EXPECT_THAT(bank->verify(), IsEmpty());
  EXPECT_EQ(bank->info().num_records, kRecords);
}

TEST_P(OnMilvus, RepairsARecordThatStopsARecovery) {
  Json row = row_of(id(7));
  row["contents"] = "no names";
  client_->upsert(address_.collection, Json::array({row}));
  say_that_it_is_written();
  const auto bank = open(OpenMode::kReadWrite);
  const StoredRecord record = made_record("new");
  expect_error(ErrorKind::kCorruptData, "the row of the record \"v7\" is damaged", [&] {
    bank->put({&record, 1});
  });
  std::vector<std::string> repaired;
  for (const Repair& repair : bank->repair()) repaired.push_back(repair.id);
  EXPECT_THAT(repaired, UnorderedElementsAre(id(7), ""));
  bank->put({&record, 1});
  EXPECT_THAT(bank->verify(), IsEmpty());
  EXPECT_EQ(bank->info().num_records, kRecords);
}

// Milvus 2.3.5 may lose the end of a collection's log when it is started again (docs/milvus.md).
TEST_P(OnMilvus, WhatWasFlushedOutlivesALogOfValuesThatLostItsEnd) {
  open(OpenMode::kReadWrite)->flush();
  const Json state_then = read_state();
  {
    const auto bank = open(OpenMode::kReadWrite);
    const StoredRecord late = made_record("late");
    bank->put({&late, 1});
  }
  std::vector<std::string> lost;
  for (const ValueName& name :
       parse_value_names(row_of("late").at("contents").get<std::string>(), "late")) {
    for (std::string& key : keys_of(name, "late")) lost.push_back(std::move(key));
  }
  client_->erase(values(), milvus_any_of("key", lost));
  write_state(state_then);
  const auto bank = open(OpenMode::kReadWrite);
  EXPECT_THAT(bank->verify(), IsEmpty());
  EXPECT_EQ(bank->info().num_records, kRecords);
  EXPECT_FALSE(bank->find("late")) << "of whom nobody was told that it is there";
  expect_same(bank->find(id(9)).value(), made_record(id(9)).record);
}

TEST_P(OnMilvus, WhatWasReplacedOutlivesALogOfRowsThatLostItsEnd) {
  const Json row_then = row_of(id(9));
  {
    const auto bank = open(OpenMode::kReadWrite);
    Record changed = made_record(id(9)).record;
    changed.title = "another";
    bank->put_record(changed);
    EXPECT_EQ(bank->find(id(9)).value().title, "another");
  }
  client_->upsert(address_.collection, Json::array({row_then}));
  {
    const auto bank = open(OpenMode::kReadWrite);
    expect_same(bank->find(id(9)).value(), made_record(id(9)).record);
    EXPECT_THAT(bank->verify(), IsEmpty());
    // Changed, changed back, and only then flushed: what is named again stays.
    Record changed = made_record(id(9)).record;
    changed.title = "another";
    bank->put_record(changed);
    bank->put_record(made_record(id(9)).record);
    bank->flush();
    EXPECT_THAT(bank->verify(), IsEmpty()) << "and nothing is left that no row names";
    EXPECT_EQ(bank->find(id(9)).value().title, made_record(id(9)).record.title);
  }
}

TEST_P(OnMilvus, HasTheIndexThatItIsGiven) {
  const auto bank = open(OpenMode::kReadWrite);
  EXPECT_EQ(bank->own_index(), "Flat");
  expect_error(ErrorKind::kUnsupported, "not \"IVF64,Flat\"",
               [&] { bank->set_own_index("IVF64,Flat", {}); });
  EXPECT_EQ(bank->own_index(), "Flat");
  for (const std::string kind : {"HNSW8", "HNSW16", "Flat"}) {
    bank->set_own_index(kind, {});
    EXPECT_EQ(bank->own_index(), kind);
    // What was there before, and what came since.
    StoredRecord added = made_record("new" + kind);
    bank->put({&added, 1});
    for (const StoredRecord& each : {made_record(id(5)), added}) {
      CandidateFilter filter;
      filter.without_ids = {id(6)};
      const auto found = bank->find_candidates(each.features.retrieval_vector, filter, 20);
      ASSERT_TRUE(found);
      EXPECT_EQ(found->table->num_rows(), 20U);
      EXPECT_TRUE(found->table->row_of(each.record.id)) << kind << " " << each.record.id;
      EXPECT_FALSE(found->table->row_of(id(6)));
    }
    EXPECT_THAT(bank->verify(), IsEmpty());
  }
}

// Where nobody waits for its end (mpirun's ranks in a container), a killed writer stays a zombie.
TEST_P(OnMilvus, AWriterThatHasEndedButWasNotWaitedForIsNoWriter) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  lease_to(pid);
  expect_error(ErrorKind::kIo, "is being written by process " + std::to_string(pid),
               [&] { (void)open(OpenMode::kReadWrite); });
  ::kill(pid, SIGKILL);
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(open(OpenMode::kReadWrite)->info().num_records, kRecords);
  ::waitpid(pid, nullptr, 0);
}

TEST_P(OnMilvus, AnIndexThatWasDroppedWhenItsMakerWasKilledIsMadeAgain) {
  client_->release_collection(address_.collection);
  client_->drop_index(address_.collection, "vector");
  const auto bank = open(OpenMode::kReadOnly);
  EXPECT_EQ(bank->own_index(), "Flat");
  EXPECT_EQ(bank->info().num_records, kRecords);
  EXPECT_TRUE(bank->find(id(3)));
}

}  // namespace
}  // namespace mmra::bank
