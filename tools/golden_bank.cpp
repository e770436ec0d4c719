// Makes tests/golden/bank/vN: a small bank as this version of the program writes it, and
// expected.json, what a test must find in it for ever. To be run once, when a format version is
// new:
//   cmake --build build/release --target golden_bank
//   build/release/bin/golden_bank tests/golden/bank/v1
// An existing golden bank is never made again.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/float16.h"

namespace {

using mmra::HalfTokenMatrix;
using mmra::bank::ColumnType;
using mmra::bank::StoredRecord;
using Json = nlohmann::ordered_json;

mmra::bank::BankSchema schema() {
  mmra::bank::BankSchema schema;
  schema.popularity_unit = "comments";
  schema.popularity_horizon = "7d";
  schema.encoders_name = "builtin";
  schema.encoders_fingerprint = "000102030405060708090a0b0c0d0e0f";
  schema.num_frames = 2;
  schema.visual_dim = 3;
  schema.text_dim = 2;
  schema.retrieval_dim = 5;
  schema.context_columns = {{"creator", ColumnType::kCategory}, {"followers", ColumnType::kNumber}};
  return schema;
}

HalfTokenMatrix tokens(int num_tokens, int dim, float first) {
  HalfTokenMatrix made{num_tokens, dim, {}};
  for (int i = 0; i < num_tokens * dim; ++i) {
    made.values.push_back(mmra::float_to_half(first + static_cast<float>(i) / 4.0F));
  }
  return made;
}

std::vector<float> unit_vector(int seed) {
  std::vector<float> values;
  float norm = 0.0F;
  for (int i = 0; i < 5; ++i) {
    values.push_back(static_cast<float>((seed * 7 + i * 3) % 11 - 5));
    norm += values.back() * values.back();
  }
  for (float& value : values) value /= std::sqrt(norm);
  return values;
}

std::vector<StoredRecord> records() {
  std::vector<StoredRecord> made(4);
  StoredRecord& full = made[0];
  full.record.id = "full";
  full.record.title = "a title, \"quoted\",\nof two lines: 日本 😀";
  full.record.popularity = 1234.5;
  full.record.posted_at = mmra::Timestamp{1720949400123};
  full.record.split = mmra::bank::Split::kValid;
  full.record.context = {{"creator", "anna"}, {"followers", 1e6}};
  full.record.video_path = "/videos/full.mp4";
  full.record.captions = {"bright, mostly red", "dark, still"};
  full.record.thumbnails = {{0xFF, 0xD8, 0xFF, 0xD9}, {}};
  full.record.row_fingerprint = "00000000000000000000000000000001";
  full.record.video_fingerprint = "00000000000000000000000000000002";
  full.record.video_size_bytes = 987654321012;
  full.record.video_mtime_ns = -5;
  full.features = {tokens(2, 3, -1.5F), tokens(4, 2, 0.25F), unit_vector(1)};
  StoredRecord& title_only = made[1];
  title_only.record.id = "title only";
  title_only.record.title = "no video, not labelled";
  title_only.record.split = mmra::bank::Split::kTest;
  title_only.features = {{0, 3, {}}, tokens(1, 2, 3.0F), unit_vector(2)};
  StoredRecord& zero = made[2];
  zero.record.id = "zéro";
  zero.record.title = "popularity zero, before 1970";
  zero.record.popularity = 0.0;
  zero.record.posted_at = mmra::Timestamp{-1};
  zero.record.context = {{"followers", 0.1}};
  zero.features = {{0, 3, {}}, tokens(3, 2, -8.0F), unit_vector(3)};
  // Larger than a page of LMDB.
  StoredRecord& large = made[3];
  large.record.id = std::string(511, 'L');
  large.record.title = std::string(10000, 't');
  large.record.popularity = 7.0;
  large.features = {tokens(2, 3, 2.0F), tokens(900, 2, -100.0F), unit_vector(4)};
  return made;
}

Json to_json(const HalfTokenMatrix& tokens) {
  return {{"num_tokens", tokens.num_tokens}, {"dim", tokens.dim}, {"bits", tokens.values}};
}

/// Numbers as their bits, so that nothing is lost on the way through JSON.
Json to_json(const StoredRecord& stored) {
  const auto& [record, features] = stored;
  Json json{{"id", record.id}, {"title", record.title}};
  if (record.popularity) json["popularity_bits"] = std::bit_cast<std::uint64_t>(*record.popularity);
  if (record.posted_at) json["posted_at_ms"] = record.posted_at->ms;
  json["split"] = std::string(mmra::bank::name_of(record.split));
  json["numbers"] = Json::object();
  json["categories"] = Json::object();
  for (const auto& [name, value] : record.context) {
    if (const auto* number = std::get_if<double>(&value)) {
      json["numbers"][name] = std::bit_cast<std::uint64_t>(*number);
    } else {
      json["categories"][name] = std::get<std::string>(value);
    }
  }
  json["video_path"] = record.video_path;
  json["captions"] = record.captions;
  json["thumbnails"] = record.thumbnails;
  json["row_fingerprint"] = record.row_fingerprint;
  json["video_fingerprint"] = record.video_fingerprint;
  json["video_size_bytes"] = record.video_size_bytes;
  json["video_mtime_ns"] = record.video_mtime_ns;
  json["visual_tokens"] = to_json(features.visual_tokens);
  json["text_tokens"] = to_json(features.text_tokens);
  for (const float value : features.retrieval_vector) {
    json["retrieval_vector_bits"].push_back(std::bit_cast<std::uint32_t>(value));
  }
  return json;
}

void make_golden_bank(const std::filesystem::path& directory) {
  Json expected = Json::array();
  {
    const auto bank = mmra::bank::create_bank(directory / "bank", schema());
    for (const StoredRecord& stored : records()) {
      bank->put({&stored, 1});
      expected.push_back(to_json(stored));
    }
    static_cast<void>(bank->table());
  }
  // Made again by whoever opens the bank.
  std::filesystem::remove(directory / "bank" / "records" / "lock.mdb");
  std::filesystem::remove(directory / "bank" / "writer.lock");
  mmra::write_file_atomically(directory / "expected.json", expected.dump() + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: golden_bank DIRECTORY\n", stderr);
    return 2;
  }
  try {
    make_golden_bank(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
