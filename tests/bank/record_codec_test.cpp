#include "mmra/bank/record_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

using testing::expect_error;
using testing::made_record;
using testing::RandomValues;
using testing::same;

ByteView view(const Bytes& bytes) { return std::as_bytes(std::span(bytes)); }

/// What the record is without what lies elsewhere.
Record stored_part(Record record) {
  record.thumbnails.clear();
  return record;
}

TEST(RecordCodec, RecordsAreReadBackAsTheyWere) {
  RandomValues random(10);
  for (int round = 0; round < 500; ++round) {
    const Record record = random.record();
    testing::expect_same(decode_record(record.id, view(encode_record(record))),
                         stored_part(record));
    EXPECT_EQ(decode_thumbnails(record.id, view(encode_thumbnails(record.id, record.thumbnails))),
              record.thumbnails);
    if (HasFailure()) return;
  }
}

TEST(RecordCodec, FeaturesAreReadBackAsTheyWere) {
  RandomValues random(11);
  for (int round = 0; round < 500; ++round) {
    const Features features = random.features();
    const Bytes value = encode_features("x", features);
    testing::expect_same(decode_features("x", view(value)), features);
    const FeaturesHeader header = read_features_header("x", view(value), /*check=*/true);
    EXPECT_EQ(header.visual_tokens, features.visual_tokens.num_tokens);
    EXPECT_EQ(header.visual_dim, features.visual_tokens.dim);
    EXPECT_EQ(header.text_tokens, features.text_tokens.num_tokens);
    EXPECT_EQ(header.text_dim, features.text_tokens.dim);
    const std::size_t vector_bytes = features.retrieval_vector.size() * sizeof(float);
    ASSERT_EQ(header.retrieval_vector.size(), vector_bytes);
    if (vector_bytes > 0) {
      EXPECT_EQ(std::memcmp(header.retrieval_vector.data(), features.retrieval_vector.data(),
                            vector_bytes),
                0);
    }
    if (HasFailure()) return;
  }
}

TEST(RecordCodec, TextsAreReadBackAsTheyWere) {
  for (const std::string& text : {std::string(), std::string("{}"), std::string(100000, 'x')}) {
    EXPECT_EQ(decode_text("schema", view(encode_text("schema", text))), text);
  }
}

// The layout is on disks: whoever changes it makes a new version (docs/formats/bank.md).
TEST(RecordCodec, LayoutOfVersion1) {
  using namespace std::string_literals;
  Record record;
  record.id = "a";
  record.title = "T";
  record.popularity = 1.0;
  record.split = Split::kTest;
  record.captions = {"c"};
  record.context = {{"k", 2.0}, {"m", std::string("v")}};
  const Bytes value = encode_record(record);
  EXPECT_EQ(value.substr(0, 8), "MMRAR\x01\0\0"s);
  EXPECT_EQ(value.substr(16),
            "\x01\x02\0\0"                         // popularity is known, test, reserved
            "\0\0\0\0\0\0\xF0\x3F"                 // 1.0
            "\0\0\0\0\0\0\0\0"                     // posted_at
            "\0\0\0\0\0\0\0\0"                     // video size
            "\0\0\0\0\0\0\0\0"                     // video mtime
            "\x01\0\0\0T\0\0\0\0\0\0\0\0\0\0\0\0"  // title, video, two fingerprints
            "\x01\0\0\0\x01\0\0\0c"                // captions
            "\x02\0\0\0\x01\0\0\0k\0\0\0\0\0\0\0\0\x40\x01\0\0\0m\x01\x01\0\0\0v"s);
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, value.data() + 8, sizeof checksum);
  EXPECT_EQ(checksum, seeded_hash(value.substr(16), checksum64("a")));
  EXPECT_EQ(checksum, 16402339863755809229U);
}

struct Kind {
  const char* name;
  Bytes value;
  /// Reads `value`; whether it is what was written.
  std::function<bool(ByteView value)> is_same;
};

std::vector<Kind> kinds() {
  const StoredRecord stored = made_record("v1");
  std::vector<Kind> all;
  all.push_back({"record", encode_record(stored.record), [stored](ByteView value) {
                   return same(decode_record("v1", value), stored_part(stored.record));
                 }});
  all.push_back({"features", encode_features("v1", stored.features), [stored](ByteView value) {
                   (void)read_features_header("v1", value, /*check=*/false);
                   return same(decode_features("v1", value), stored.features);
                 }});
  all.push_back(
      {"thumbnails", encode_thumbnails("v1", stored.record.thumbnails), [stored](ByteView value) {
         return decode_thumbnails("v1", value) == stored.record.thumbnails;
       }});
  all.push_back({"text", encode_text("v1", "some text"),
                 [](ByteView value) { return decode_text("v1", value) == "some text"; }});
  return all;
}

/// Reads bytes that may be damaged: an Error of ours, or the value as it was written. Whatever else
/// is thrown fails the test.
void expect_error_or_same(const Kind& kind, const Bytes& bytes, const std::string& what) {
  // A copy of exactly this size, so that a sanitizer sees a read beyond it.
  const std::vector<std::byte> exact(view(bytes).begin(), view(bytes).end());
  try {
    EXPECT_TRUE(kind.is_same(exact)) << kind.name << " " << what << " was read as another value";
  } catch (const Error& error) {
    EXPECT_TRUE(error.kind() == ErrorKind::kCorruptData || error.kind() == ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("\"v1\""));
  }
}

TEST(RecordCodec, EveryTruncationIsAnError) {
  for (const Kind& kind : kinds()) {
    for (std::size_t size = 0; size < kind.value.size(); ++size) {
      expect_error(ErrorKind::kCorruptData, "\"v1\"",
                   [&] { (void)kind.is_same(view(kind.value.substr(0, size))); });
    }
    expect_error(ErrorKind::kCorruptData, "is damaged",
                 [&] { (void)kind.is_same(view(kind.value + "x")); });
  }
}

TEST(RecordCodec, EverySingleByteChangeIsAnErrorOrTheSameValue) {
  for (const Kind& kind : kinds()) {
    for (std::size_t at = 0; at < kind.value.size(); ++at) {
      for (const int flip : {0x01, 0x80, 0xFF, 0x20}) {
        Bytes damaged = kind.value;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        expect_error_or_same(kind, damaged, "changed at byte " + std::to_string(at));
        EXPECT_THROW((void)kind.is_same(view(damaged)), Error) << kind.name << " byte " << at;
      }
    }
  }
}

// A checksum is no proof of origin: the readers must not trust counts and sizes because of it.
TEST(RecordCodec, ChangesUnderARightChecksumNeverCrash) {
  RandomValues random(12);
  for (const Kind& kind : kinds()) {
    for (int round = 0; round < 3000; ++round) {
      Bytes bytes = kind.value;
      for (std::size_t i = random.below(4) + 1; i > 0; --i) {
        const std::size_t at = 16 + random.below(bytes.size() - 16);
        bytes[at] = static_cast<char>(random.one_in(3) ? 0xFF : random.below(256));
      }
      if (random.one_in(3)) bytes.resize(16 + random.below(bytes.size() - 16));
      const std::uint64_t checksum =
          seeded_hash(std::string_view(bytes).substr(16), checksum64("v1"));
      std::memcpy(bytes.data() + 8, &checksum, sizeof checksum);
      const std::vector<std::byte> exact(view(bytes).begin(), view(bytes).end());
      try {
        (void)kind.is_same(exact);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCorruptData) << error.what();
      }
    }
  }
}

TEST(RecordCodec, ANewerVersionIsUnsupportedAndSaysSo) {
  for (const Kind& kind : kinds()) {
    Bytes newer = kind.value;
    newer[5] = 2;
    expect_error(ErrorKind::kUnsupported, "has version 2 of the format, this program reads up to 1",
                 [&] { (void)kind.is_same(view(newer)); });
    newer[5] = 0;
    expect_error(ErrorKind::kCorruptData, "header is damaged",
                 [&] { (void)kind.is_same(view(newer)); });
  }
}

TEST(RecordCodec, NoticesAValueUnderAnotherKeyOrOfAnotherKind) {
  const Bytes record = encode_record(made_record("v1").record);
  expect_error(ErrorKind::kCorruptData, "the record \"v2\" is damaged: its checksum does not match",
               [&] { (void)decode_record("v2", view(record)); });
  expect_error(ErrorKind::kCorruptData, "the features of the record \"v1\" is damaged: it is of an",
               [&] { (void)decode_features("v1", view(record)); });
  const Bytes features = encode_features("v1", {});
  expect_error(ErrorKind::kCorruptData, "of another kind",
               [&] { (void)decode_thumbnails("v1", view(features)); });
  expect_error(ErrorKind::kCorruptData, "does not begin with MMRA",
               [&] { (void)decode_text("schema", view("abcdefghijklmnopq")); });
}

TEST(RecordCodec, AnEmptyRecordIsReadBack) {
  Record record;
  record.id = "x";
  testing::expect_same(decode_record("x", view(encode_record(record))), record);
  testing::expect_same(decode_features("x", view(encode_features("x", {}))), {});
}

}  // namespace
}  // namespace mmra::bank
