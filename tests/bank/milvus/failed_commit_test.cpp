// A writer that goes on after a commit that failed in the middle, as `mmra serve` does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bank/any_bank.h"
#include "bank/made_records.h"
#include "expect_error.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/address.h"
#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/milvus_bank.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/core/error.h"
#include "mmra/net/http_client.h"
#include "net/fake_server.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::FakeReply;
using testing::FakeRequest;
using testing::FakeServer;
using ::testing::IsEmpty;
using testing::made_record;
using testing::put;

constexpr int kRecords = 3;

/// The upserts of a commit of one new record.
enum Upsert : int { kHeadBefore = 1, kValues, kRow, kHeadAfter };

/// A bank of three records, and one that writes it through a proxy.
class FailedCommit : public testing::OnAnyEngine {
 protected:
  void SetUp() override {
    testing::OnAnyEngine::SetUp();
    if (IsSkipped()) return;
    address_ = parse_milvus_address(place("bank"));
    {
      const auto bank = create_bank(place("bank"), testing::small_schema());
      for (int i = 0; i < kRecords; ++i) put(*bank, made_record("v" + std::to_string(i)));
      bank->flush();
    }
    proxy_ = std::make_unique<FakeServer>([this](const FakeRequest& request) {
      const bool is_upsert = request.path == "/v1/vector/upsert";
      if (request.path == "/api/v1/persist" && refuses_flushes_) return FakeReply{503};
      FakeReply reply = pass_on(request);
      reply.hangs_up = is_upsert && --upserts_to_cut_ == 0;
      return reply;
    });
    writer_ = open_through_proxy();
  }
  void TearDown() override {
    writer_.reset();
    testing::OnAnyEngine::TearDown();
  }

  [[nodiscard]] std::unique_ptr<MemoryBank> open_through_proxy() const {
    MilvusAddress through = address_;
    through.host = "127.0.0.1";
    through.port = through.management_port = proxy_->port();
    through.uses_tls = false;
    MilvusOptions options = milvus_options_from_environment();
    options.max_attempts = 1;
    return open_milvus_bank(through, OpenMode::kReadWrite, options);
  }
  [[nodiscard]] MilvusCollections collections() const {
    return {address_, milvus_options_from_environment()};
  }
  [[nodiscard]] std::size_t num_flushes() const {
    const auto requests = proxy_->requests();
    return static_cast<std::size_t>(
        std::count_if(requests.begin(), requests.end(),
                      [](const FakeRequest& each) { return each.path == "/api/v1/persist"; }));
  }

  /// The server does it all, but this answer and what would come after it are not there.
  void fail_to_put(const StoredRecord& stored, Upsert last) {
    upserts_to_cut_ = last;
    expect_error(ErrorKind::kIo, "127.0.0.1", [&] { put(*writer_, stored); });
    EXPECT_EQ(upserts_to_cut_, 0);
  }
  /// Counts, rows, every value, and that there are no others.
  static void expect_sound(const MemoryBank& bank, int num_records) {
    std::vector<std::string> problems;
    for (const Problem& problem : bank.verify()) problems.push_back(problem.id + problem.what);
    EXPECT_THAT(problems, IsEmpty());
    EXPECT_EQ(bank.info().num_records, num_records);
  }

  MilvusAddress address_;
  std::atomic<int> upserts_to_cut_ = 0;
  std::atomic<bool> refuses_flushes_ = false;
  std::unique_ptr<FakeServer> proxy_;
  std::unique_ptr<MemoryBank> writer_;

 private:
  [[nodiscard]] FakeReply pass_on(const FakeRequest& request) const {
    const bool is_management = request.path.rfind("/api/", 0) == 0;
    net::HttpRequest passed;
    passed.method = request.method;
    passed.url = (is_management ? address_.management_url() : address_.data_url()) + request.path;
    passed.headers = {"Content-Type: application/json", "Expect:"};
    if (const std::string token = request.header("authorization"); !token.empty()) {
      passed.headers.push_back("Authorization: " + token);
    }
    passed.body = request.body;
    FakeReply reply;
    const auto answer = net::HttpClient().send(
        passed, [&](const net::HttpHead&, std::string_view piece) { reply.body += piece; }, {});
    reply.status = answer.head.status;
    return reply;
  }
};

INSTANTIATE_TEST_SUITE_P(Engines, FailedCommit, ::testing::Values(testing::Engine::kMilvus),
                         [](const auto&) { return "Milvus"; });

TEST_P(FailedCommit, IsCountedByTheNextOne) {
  int num_records = kRecords;
  for (const Upsert last : {kHeadBefore, kValues, kRow, kHeadAfter}) {
    SCOPED_TRACE(last);
    StoredRecord stored = made_record("new" + std::to_string(last));
    fail_to_put(stored, last);
    stored.record.title = "another, so that what was written first is nobody's";
    put(*writer_, stored);
    writer_->flush();
    expect_sound(*writer_, ++num_records);
  }
}

TEST_P(FailedCommit, IsPutRightByAFlush) {
  fail_to_put(made_record("written"), kRow);
  fail_to_put(made_record("not written"), kValues);
  writer_->flush();
  expect_sound(*writer_, kRecords + 1);
}

TEST_P(FailedCommit, IsPutRightBeforeARemoval) {
  fail_to_put(made_record("new"), kRow);
  const std::string id = "new";
  EXPECT_EQ(writer_->remove({&id, 1}), 1);
  writer_->flush();
  expect_sound(*writer_, kRecords);
}

TEST_P(FailedCommit, StaysUnfinishedUntilItCanBePutRight) {
  fail_to_put(made_record("new"), kRow);
  refuses_flushes_ = true;
  for (int i = 0; i < 2; ++i) {
    expect_error(ErrorKind::kIo, "write out", [&] { writer_->flush(); });
    EXPECT_TRUE(read_head(collections(), MilvusMoment::latest()).is_writing);
  }
  refuses_flushes_ = false;
  writer_->flush();
  expect_sound(*writer_, kRecords + 1);
}

TEST_P(FailedCommit, IsPutRightByTheNextProcess) {
  fail_to_put(made_record("new"), kRow);
  writer_.reset();
  EXPECT_TRUE(read_head(collections(), MilvusMoment::latest()).is_writing);
  expect_sound(*open_bank(place("bank"), OpenMode::kReadWrite), kRecords + 1);
}

// It would say that all is there, and flush nothing, since nothing is new to it.
TEST_P(FailedCommit, WhatTheLastWriterDidNotFlushTheNextOneDoes) {
  put(*writer_, made_record("new"));
  writer_.reset();
  ASSERT_EQ(num_flushes(), 0U);
  writer_ = open_through_proxy();
  writer_->flush();
  EXPECT_EQ(num_flushes(), 1U);
  expect_sound(*writer_, kRecords + 1);
}

// The end of the log of values was lost in the middle of them (docs/milvus.md).
TEST_P(FailedCommit, OfARecordWithoutOneOfItsValuesNothingIsLeft) {
  put(*writer_, made_record("new"));
  writer_.reset();
  {
    MilvusCollections there = collections();
    const std::string id = "new";
    const auto rows = read_rows(there, {&id, 1}, MilvusMoment::latest());
    ASSERT_EQ(rows.size(), 1U);
    there.erase_values(keys_of(*rows.front().find('F'), id));
  }
  const auto bank = open_bank(place("bank"), OpenMode::kReadWrite);
  expect_sound(*bank, kRecords);
  EXPECT_FALSE(bank->find("new"));
}

}  // namespace
}  // namespace mmra::bank
