#include "mmra/bank/record_codec.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");

enum class ValueKind : char {
  kRecord = 'R',
  kFeatures = 'F',
  kThumbnails = 'T',
  kHistory = 'O',
  kText = 'M'
};

constexpr char kMagic[4] = {'M', 'M', 'R', 'A'};
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kEnvelopeBytes = 16;
constexpr std::size_t kChecksumOffset = 8;

constexpr std::uint8_t kHasPopularity = 1;
constexpr std::uint8_t kHasTime = 2;

std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t checksum_of(std::string_view key, ByteView payload) {
  return seeded_hash(as_text(payload), checksum64(key));
}

class Writer {
 public:
  explicit Writer(ValueKind kind) {
    put_raw(kMagic, sizeof kMagic);
    put(static_cast<std::uint8_t>(kind));
    put(kVersion);
    put(std::uint16_t{0});
    put(std::uint64_t{0});  // the checksum, filled in by finish()
  }

  template <typename Value>
  void put(Value value) {
    static_assert(std::is_arithmetic_v<Value>);
    put_raw(&value, sizeof value);
  }
  void put_size(std::size_t size) {
    if (size > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(ErrorKind::kInvalidInput, "a value of more than 4 GiB cannot be stored");
    }
    put(static_cast<std::uint32_t>(size));
  }
  void put_text(std::string_view text) {
    put_size(text.size());
    put_raw(text.data(), text.size());
  }
  void put_raw(const void* data, std::size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
  }
  void reserve(std::size_t payload_bytes) { bytes_.reserve(kEnvelopeBytes + payload_bytes); }

  Bytes finish(std::string_view key) && {
    const std::uint64_t checksum =
        checksum_of(key, std::as_bytes(std::span(bytes_)).subspan(kEnvelopeBytes));
    std::memcpy(bytes_.data() + kChecksumOffset, &checksum, sizeof checksum);
    return std::move(bytes_);
  }

 private:
  Bytes bytes_;
};

/// Reads a value from front to back; whatever does not fit is an error that names the key.
class Reader {
 public:
  enum class Checksum { kCompare, kSkip };

  Reader(ValueKind kind, std::string_view key, ByteView value, Checksum checksum)
      : kind_(kind), key_(key), rest_(value) {
    char magic[4];
    std::memcpy(magic, take(sizeof magic).data(), sizeof magic);
    if (std::memcmp(magic, kMagic, sizeof magic) != 0) corrupt("it does not begin with MMRA");
    if (get<std::uint8_t>() != static_cast<std::uint8_t>(kind)) corrupt("it is of another kind");
    const auto version = get<std::uint8_t>();
    if (version > kVersion) {
      throw Error(ErrorKind::kUnsupported, describe() + " has version " + std::to_string(version) +
                                               " of the format, this program reads up to " +
                                               std::to_string(kVersion) + "; take a newer program");
    }
    if (version == 0 || get<std::uint16_t>() != 0) corrupt("its header is damaged");
    const auto expected = get<std::uint64_t>();
    if (checksum == Checksum::kCompare && checksum_of(key, rest_) != expected) {
      corrupt("its checksum does not match");
    }
  }

  template <typename Value>
  Value get() {
    static_assert(std::is_arithmetic_v<Value>);
    Value value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  /// A number of things that take at least `bytes_each` each, so that a false one is refused before
  /// memory is asked for.
  std::size_t get_count(std::size_t bytes_each) {
    const auto count = get<std::uint32_t>();
    if (count > rest_.size() / bytes_each) corrupt("a count exceeds its size");
    return count;
  }
  std::string get_text() { return std::string(as_text(take(get_count(1)))); }
  ByteView take(std::size_t size) {
    if (size > rest_.size()) corrupt("it ends too early");
    const ByteView taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  void expect_end() const {
    if (!rest_.empty()) corrupt(std::to_string(rest_.size()) + " bytes follow its end");
  }
  [[noreturn]] void corrupt(const std::string& what) const {
    throw Error(ErrorKind::kCorruptData, describe() + " is damaged: " + what);
  }

 private:
  std::string describe() const {
    std::string key = in_quotes(key_);
    switch (kind_) {
      case ValueKind::kRecord:
        return "the record " + key;
      case ValueKind::kFeatures:
        return "the features of the record " + key;
      case ValueKind::kThumbnails:
        return "the thumbnails of the record " + key;
      case ValueKind::kHistory:
        return "the counts of the record " + key;
      case ValueKind::kText:
        return "the bank's " + key;
    }
    return key;
  }

  ValueKind kind_;
  std::string_view key_;
  ByteView rest_;
};

void put_context(const Context& context, Writer& writer) {
  writer.put_size(context.size());
  for (const auto& [name, value] : context) {
    writer.put_text(name);
    if (const auto* number = std::get_if<double>(&value)) {
      writer.put(std::uint8_t{0});
      writer.put(*number);
    } else {
      writer.put(std::uint8_t{1});
      writer.put_text(std::get<std::string>(value));
    }
  }
}

Context get_context(Reader& reader) {
  constexpr std::size_t kMinEntryBytes = 9;
  Context context;
  for (std::size_t left = reader.get_count(kMinEntryBytes); left > 0; --left) {
    std::string name = reader.get_text();
    const auto type = reader.get<std::uint8_t>();
    if (type > 1) reader.corrupt("a context value is of no known type");
    if (type == 0) {
      context[name] = reader.get<double>();
    } else {
      context[name] = reader.get_text();
    }
  }
  return context;
}

template <typename Element>
std::vector<Element> to_vector(ByteView bytes) {
  std::vector<Element> values(bytes.size() / sizeof(Element));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

/// The payload's head: how many tokens, how wide.
struct TokenShape {
  std::uint32_t num_tokens = 0;
  std::uint32_t dim = 0;

  [[nodiscard]] std::uint64_t num_values() const { return std::uint64_t{num_tokens} * dim; }
};

TokenShape get_shape(Reader& reader) {
  constexpr std::uint32_t kMax = std::numeric_limits<std::int32_t>::max();
  const TokenShape shape{reader.get<std::uint32_t>(), reader.get<std::uint32_t>()};
  if (shape.num_tokens > kMax || shape.dim > kMax) reader.corrupt("a shape is out of range");
  return shape;
}

ByteView take_halves(const TokenShape& shape, Reader& reader) {
  if (shape.num_values() > std::numeric_limits<std::uint64_t>::max() / sizeof(Float16Bits)) {
    reader.corrupt("a shape is out of range");
  }
  return reader.take(shape.num_values() * sizeof(Float16Bits));
}

void put_shape(const HalfTokenMatrix& tokens, Writer& writer) {
  writer.put(static_cast<std::uint32_t>(tokens.num_tokens));
  writer.put(static_cast<std::uint32_t>(tokens.dim));
}

void put_halves(const HalfTokenMatrix& tokens, Writer& writer) {
  writer.put_raw(tokens.values.data(), tokens.values.size() * sizeof(Float16Bits));
}

struct FeaturesLayout {
  TokenShape visual;
  TokenShape text;
  ByteView retrieval_vector;
  ByteView visual_values;
  ByteView text_values;
};

FeaturesLayout read_layout(Reader& reader) {
  FeaturesLayout layout;
  layout.visual = get_shape(reader);
  layout.text = get_shape(reader);
  const auto retrieval_dim = reader.get<std::uint32_t>();
  if (reader.get<std::uint32_t>() != 0) reader.corrupt("its header is damaged");
  layout.retrieval_vector = reader.take(std::size_t{retrieval_dim} * sizeof(float));
  layout.visual_values = take_halves(layout.visual, reader);
  layout.text_values = take_halves(layout.text, reader);
  reader.expect_end();
  return layout;
}

HalfTokenMatrix to_tokens(const TokenShape& shape, ByteView values) {
  return {static_cast<int>(shape.num_tokens), static_cast<int>(shape.dim),
          to_vector<Float16Bits>(values)};
}

}  // namespace

Bytes encode_record(const Record& record) {
  Writer writer(ValueKind::kRecord);
  writer.put(static_cast<std::uint8_t>((record.popularity ? kHasPopularity : 0) |
                                       (record.posted_at ? kHasTime : 0)));
  writer.put(static_cast<std::uint8_t>(record.split));
  writer.put(std::uint16_t{0});
  writer.put(record.popularity.value_or(0.0));
  writer.put(record.posted_at.value_or(Timestamp{}).ms);
  writer.put(record.video_size_bytes);
  writer.put(record.video_mtime_ns);
  writer.put_text(record.title);
  writer.put_text(record.video_path);
  writer.put_text(record.row_fingerprint);
  writer.put_text(record.video_fingerprint);
  writer.put_size(record.captions.size());
  for (const std::string& caption : record.captions) writer.put_text(caption);
  put_context(record.context, writer);
  return std::move(writer).finish(record.id);
}

Record decode_record(std::string_view id, ByteView value) {
  Reader reader(ValueKind::kRecord, id, value, Reader::Checksum::kCompare);
  Record record;
  record.id = id;
  const auto flags = reader.get<std::uint8_t>();
  const auto split = reader.get<std::uint8_t>();
  if (flags > (kHasPopularity | kHasTime) || split > static_cast<std::uint8_t>(Split::kTest) ||
      reader.get<std::uint16_t>() != 0) {
    reader.corrupt("its flags are of no known meaning");
  }
  record.split = static_cast<Split>(split);
  const auto popularity = reader.get<double>();
  const auto posted_at_ms = reader.get<std::int64_t>();
  if ((flags & kHasPopularity) != 0) record.popularity = popularity;
  if ((flags & kHasTime) != 0) record.posted_at = Timestamp{posted_at_ms};
  record.video_size_bytes = reader.get<std::int64_t>();
  record.video_mtime_ns = reader.get<std::int64_t>();
  record.title = reader.get_text();
  record.video_path = reader.get_text();
  record.row_fingerprint = reader.get_text();
  record.video_fingerprint = reader.get_text();
  constexpr std::size_t kMinCaptionBytes = 4;
  record.captions.resize(reader.get_count(kMinCaptionBytes));
  for (std::string& caption : record.captions) caption = reader.get_text();
  record.context = get_context(reader);
  reader.expect_end();
  return record;
}

Bytes encode_thumbnails(std::string_view id,
                        std::span<const std::vector<std::uint8_t>> thumbnails) {
  Writer writer(ValueKind::kThumbnails);
  writer.put_size(thumbnails.size());
  for (const auto& thumbnail : thumbnails) {
    writer.put_size(thumbnail.size());
    writer.put_raw(thumbnail.data(), thumbnail.size());
  }
  return std::move(writer).finish(id);
}

std::vector<std::vector<std::uint8_t>> decode_thumbnails(std::string_view id, ByteView value) {
  Reader reader(ValueKind::kThumbnails, id, value, Reader::Checksum::kCompare);
  constexpr std::size_t kMinThumbnailBytes = 4;
  std::vector<std::vector<std::uint8_t>> thumbnails(reader.get_count(kMinThumbnailBytes));
  for (auto& thumbnail : thumbnails) {
    thumbnail = to_vector<std::uint8_t>(reader.take(reader.get_count(1)));
  }
  reader.expect_end();
  return thumbnails;
}

Bytes encode_features(std::string_view id, const Features& features) {
  Writer writer(ValueKind::kFeatures);
  writer.reserve(24 + features.retrieval_vector.size() * sizeof(float) +
                 (features.visual_tokens.values.size() + features.text_tokens.values.size()) *
                     sizeof(Float16Bits));
  put_shape(features.visual_tokens, writer);
  put_shape(features.text_tokens, writer);
  writer.put_size(features.retrieval_vector.size());
  writer.put(std::uint32_t{0});
  writer.put_raw(features.retrieval_vector.data(),
                 features.retrieval_vector.size() * sizeof(float));
  put_halves(features.visual_tokens, writer);
  put_halves(features.text_tokens, writer);
  return std::move(writer).finish(id);
}

Features decode_features(std::string_view id, ByteView value) {
  Reader reader(ValueKind::kFeatures, id, value, Reader::Checksum::kCompare);
  const FeaturesLayout layout = read_layout(reader);
  return {to_tokens(layout.visual, layout.visual_values),
          to_tokens(layout.text, layout.text_values), to_vector<float>(layout.retrieval_vector)};
}

FeaturesHeader read_features_header(std::string_view id, ByteView value, bool check) {
  Reader reader(ValueKind::kFeatures, id, value,
                check ? Reader::Checksum::kCompare : Reader::Checksum::kSkip);
  const FeaturesLayout layout = read_layout(reader);
  return {static_cast<int>(layout.visual.num_tokens), static_cast<int>(layout.visual.dim),
          static_cast<int>(layout.text.num_tokens), static_cast<int>(layout.text.dim),
          layout.retrieval_vector};
}

Bytes encode_history(std::string_view id, const PopularityHistory& history) {
  Writer writer(ValueKind::kHistory);
  writer.put(static_cast<std::uint8_t>(history.untimed ? kHasPopularity : 0));
  writer.put(std::uint8_t{0});
  writer.put(std::uint16_t{0});
  writer.put_size(history.timed.size());
  writer.put(history.untimed.value_or(0.0));
  for (const Observation& observation : history.timed) {
    writer.put(observation.observed_at.ms);
    writer.put(observation.popularity);
  }
  return std::move(writer).finish(id);
}

PopularityHistory decode_history(std::string_view id, ByteView value) {
  Reader reader(ValueKind::kHistory, id, value, Reader::Checksum::kCompare);
  const auto is_count = [](double count) { return std::isfinite(count) && count >= 0.0; };
  const auto flags = reader.get<std::uint8_t>();
  const auto zero = reader.get<std::uint8_t>();
  if (flags > kHasPopularity || zero != 0 || reader.get<std::uint16_t>() != 0) {
    reader.corrupt("its flags are of no known meaning");
  }
  constexpr std::size_t kObservationBytes = 16;
  const auto count = reader.get<std::uint32_t>();
  PopularityHistory history;
  const auto untimed = reader.get<double>();
  if (flags != 0) history.untimed = untimed;
  if (!is_count(untimed)) reader.corrupt("a count is not a number of 0 or more");
  ByteView observations = reader.take(std::size_t{count} * kObservationBytes);
  reader.expect_end();
  history.timed.resize(count);
  for (Observation& observation : history.timed) {
    std::memcpy(&observation.observed_at.ms, observations.data(), 8);
    std::memcpy(&observation.popularity, observations.data() + 8, 8);
    observations = observations.subspan(kObservationBytes);
    if (!is_count(observation.popularity)) {
      reader.corrupt("a count is not a number of 0 or more");
    }
    if (&observation != history.timed.data() &&
        !((&observation - 1)->observed_at < observation.observed_at)) {
      reader.corrupt("its counts are not in the order of their times");
    }
  }
  return history;
}

Bytes encode_text(std::string_view key, std::string_view text) {
  Writer writer(ValueKind::kText);
  writer.put_text(text);
  return std::move(writer).finish(key);
}

std::string decode_text(std::string_view key, ByteView value) {
  Reader reader(ValueKind::kText, key, value, Reader::Checksum::kCompare);
  std::string text = reader.get_text();
  reader.expect_end();
  return text;
}

}  // namespace mmra::bank
