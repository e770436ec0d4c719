#include "made_records.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <sstream>

#include "mmra/core/fingerprint.h"
#include "mmra/core/float16.h"

namespace mmra::testing {
namespace {

using bank::ColumnType;
using bank::Context;
using bank::Features;
using bank::Record;

/// Everything of a record but its thumbnails, one field a line: two records with the same text are
/// the same, and a difference can be read.
std::string to_lines(const Record& record) {
  std::ostringstream out;
  out << "id=" << ::testing::PrintToString(record.id)
      << "\ntitle=" << ::testing::PrintToString(record.title) << "\npopularity=";
  const auto print_bits = [&](double value) {
    out << value << '/' << std::bit_cast<std::uint64_t>(value);
  };
  if (record.popularity) print_bits(*record.popularity);
  out << "\nposted_at=";
  if (record.posted_at) out << record.posted_at->ms;
  out << "\nsplit=" << static_cast<int>(record.split);
  for (const auto& [name, value] : record.context) {
    out << "\ncontext " << ::testing::PrintToString(name) << "=";
    if (const auto* number = std::get_if<double>(&value)) {
      print_bits(*number);
    } else {
      out << ::testing::PrintToString(std::get<std::string>(value));
    }
  }
  out << "\nvideo=" << ::testing::PrintToString(record.video_path);
  for (const std::string& caption : record.captions) {
    out << "\ncaption=" << ::testing::PrintToString(caption);
  }
  out << "\nrow_fingerprint=" << record.row_fingerprint
      << "\nvideo_fingerprint=" << record.video_fingerprint
      << "\nvideo_size=" << record.video_size_bytes << "\nvideo_mtime=" << record.video_mtime_ns;
  return out.str();
}

bool same_tokens(const HalfTokenMatrix& a, const HalfTokenMatrix& b) {
  return a.num_tokens == b.num_tokens && a.dim == b.dim && a.values == b.values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

HalfTokenMatrix tokens_of(std::uint64_t seed, int num_tokens, int dim) {
  HalfTokenMatrix tokens{num_tokens, dim, {}};
  for (int i = 0; i < num_tokens * dim; ++i) {
    tokens.values.push_back(
        float_to_half(static_cast<float>(seed % 97) / 8.0F - static_cast<float>(i)));
  }
  return tokens;
}

}  // namespace

bank::BankSchema small_schema() {
  bank::BankSchema schema;
  schema.popularity_unit = "comments";
  schema.popularity_horizon = "7d";
  schema.encoders_name = "builtin";
  schema.encoders_fingerprint = "0123456789abcdef0123456789abcdef";
  schema.num_frames = 3;
  schema.visual_dim = 2;
  schema.text_dim = 3;
  schema.retrieval_dim = 4;
  schema.context_columns = {{"followers", ColumnType::kNumber}, {"creator", ColumnType::kCategory}};
  return schema;
}

bank::StoredRecord made_record(const std::string& id) {
  const std::uint64_t seed = checksum64(id);
  bank::StoredRecord stored;
  Record& record = stored.record;
  record.id = id;
  record.title = "title of " + id;
  record.popularity = static_cast<double>(seed % 1000);
  record.posted_at = Timestamp{static_cast<std::int64_t>(seed % 2'000'000'000'000)};
  record.split = static_cast<bank::Split>(seed % 3);
  record.context = {{"followers", static_cast<double>(seed % 77)}, {"creator", "c" + id}};
  record.video_path = "/videos/" + id + ".mp4";
  record.captions = {"bright " + id, "dark", ""};
  record.thumbnails = {{0xFF, 0xD8, static_cast<std::uint8_t>(seed)}, {}};
  record.row_fingerprint = fingerprint(id);
  record.video_fingerprint = fingerprint("video " + id);
  record.video_size_bytes = static_cast<std::int64_t>(seed % 1'000'000);
  record.video_mtime_ns = static_cast<std::int64_t>(seed >> 2);
  stored.features = {
      tokens_of(seed, 3, 2), tokens_of(seed >> 8, static_cast<int>(seed % 5), 3), {}};
  float norm = 0.0F;
  for (int i = 0; i < 4; ++i) {
    const auto value = static_cast<float>((seed >> (8 * i)) % 255 + 1);
    stored.features.retrieval_vector.push_back(value);
    norm += value * value;
  }
  for (float& value : stored.features.retrieval_vector) value /= std::sqrt(norm);
  return stored;
}

std::string RandomValues::text(std::size_t max_characters) {
  static const char* const kPieces[] = {
      "\"", "\"\"", ",", "\n", "\r\n", "\r",     "\t", " ",      "'",    ";",           "\\",
      "1",  "-",    "é", "日", "😀",    "\u0001", "{",  "\u2028", "null", "\xEF\xBB\xBF"};
  std::string made;
  for (std::size_t left = below(max_characters + 1); left > 0; --left) {
    made += one_in(3) ? std::string(kPieces[below(std::size(kPieces))])
                      : std::string(1, static_cast<char>('a' + below(26)));
  }
  return made;
}

double RandomValues::number() {
  static constexpr double kAwkward[] = {
      0.0,  1.0,   -1.0,   0.1,        1e15, 1e15 - 1,          -1e15,
      1e16, 1e300, 5e-324, 123456.789, 1e-7, 999999999999999.0, 2.5e-10};
  if (one_in(3)) return kAwkward[below(std::size(kAwkward))];
  if (one_in(2)) return static_cast<double>(below(100000));
  const double any = std::bit_cast<double>(engine_());
  return std::isfinite(any) ? any : 3.0;
}

bank::Record RandomValues::record() {
  Record record;
  const std::string id_text = text(8);
  record.id = "i" + std::to_string(engine_());
  for (const char c : id_text) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) record.id += c;
  }
  record.title = text(30);
  if (!one_in(4)) record.popularity = std::fabs(number());
  if (!one_in(4)) {
    // Twelve digits of seconds on both sides of 1970 are what a manifest can say.
    const auto ms = static_cast<std::int64_t>(below(std::size_t{1} << (4 + below(45))));
    record.posted_at = Timestamp{one_in(2) ? ms : -ms};
  }
  record.split = static_cast<bank::Split>(below(3));
  for (std::size_t i = below(4); i > 0; --i) {
    const std::string name = "n" + std::to_string(below(5)) + text(3);
    if (one_in(2)) {
      record.context[name] = number();
    } else {
      record.context[name] = "t" + text(6);
    }
  }
  if (one_in(2)) record.video_path = "/v/" + std::to_string(below(100)) + ".mp4";
  for (std::size_t i = below(4); i > 0; --i) record.captions.push_back(text(10));
  for (std::size_t i = below(3); i > 0; --i) {
    record.thumbnails.emplace_back(below(20), static_cast<std::uint8_t>(engine_()));
  }
  if (one_in(2)) record.row_fingerprint = fingerprint(record.title);
  if (one_in(2)) record.video_fingerprint = fingerprint(record.id);
  record.video_size_bytes = static_cast<std::int64_t>(engine_());
  record.video_mtime_ns = static_cast<std::int64_t>(engine_());
  return record;
}

bank::Features RandomValues::features() {
  const auto tokens = [&] {
    HalfTokenMatrix made{static_cast<int>(below(5)), static_cast<int>(below(4)), {}};
    for (int i = 0; i < made.num_tokens * made.dim; ++i) {
      made.values.push_back(static_cast<Float16Bits>(engine_()));
    }
    return made;
  };
  Features features{tokens(), tokens(), {}};
  for (std::size_t i = below(6); i > 0; --i) {
    features.retrieval_vector.push_back(
        std::bit_cast<float>(static_cast<std::uint32_t>(engine_())));
  }
  return features;
}

void expect_same(const Record& actual, const Record& expected) {
  EXPECT_EQ(to_lines(actual), to_lines(expected));
  EXPECT_EQ(actual.thumbnails, expected.thumbnails) << expected.id;
}

void expect_same(const Features& actual, const Features& expected) {
  EXPECT_TRUE(same_tokens(actual.visual_tokens, expected.visual_tokens));
  EXPECT_TRUE(same_tokens(actual.text_tokens, expected.text_tokens));
  EXPECT_TRUE(same_bits(actual.retrieval_vector, expected.retrieval_vector));
}

bool same(const Record& a, const Record& b) {
  return to_lines(a) == to_lines(b) && a.thumbnails == b.thumbnails;
}

bool same(const Features& a, const Features& b) {
  return same_tokens(a.visual_tokens, b.visual_tokens) &&
         same_tokens(a.text_tokens, b.text_tokens) &&
         same_bits(a.retrieval_vector, b.retrieval_vector);
}

std::vector<std::string> ids_of(const bank::MemoryBank& bank) {
  std::vector<std::string> ids;
  bank.for_each([&](const Record& record) {
    ids.push_back(record.id);
    return true;
  });
  return ids;
}

void put(bank::MemoryBank& bank, const bank::StoredRecord& stored) { bank.put({&stored, 1}); }

Timestamp day(int days) { return {days * std::int64_t{86'400'000}}; }

bank::StoredRecord made_counted_record(const std::string& id) {
  bank::StoredRecord stored = made_record(id);
  stored.record.popularity = 1.0;
  stored.record.posted_at = day(0);
  return stored;
}

std::unique_ptr<bank::MemoryBank> make_counted_bank(const std::filesystem::path& place,
                                                    const std::string& horizon) {
  bank::BankSchema schema = small_schema();
  schema.popularity_horizon = horizon;
  auto made = create_bank(place, schema);
  for (const char* id : {"a", "b", "c"}) put(*made, made_counted_record(id));
  return made;
}

}  // namespace mmra::testing
