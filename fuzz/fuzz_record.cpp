// The values of a bank (docs/formats/bank.md), of any bytes: as they are, and with the envelope put
// right, because a checksum would otherwise turn almost everything away.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/record_codec.h"
#include "mmra/core/fingerprint.h"
#include "outcome.h"

namespace {

namespace bank = mmra::bank;
using bank::Bytes;
using bank::ByteView;
using mmra::fuzz::outcome_of;
using mmra::fuzz::require;

constexpr std::string_view kId = "v1";
constexpr std::size_t kKindOffset = 4;
constexpr std::size_t kEnvelopeBytes = 16;

ByteView view(const Bytes& bytes) { return std::as_bytes(std::span(bytes)); }

/// What was read must be the same when it is written and read again.
template <typename Decode, typename Encode>
void check(ByteView value, const Decode& decode, const Encode& encode) {
  static_cast<void>(outcome_of([&] {
    const Bytes written = encode(decode(value));
    require(encode(decode(view(written))) == written, "written and read again it differs");
    return std::string();
  }));
}

void decode_as(char kind, ByteView value) {
  switch (kind) {
    case 'R':
      check(
          value, [](ByteView v) { return bank::decode_record(kId, v); },
          [](const bank::Record& record) { return bank::encode_record(record); });
      break;
    case 'F':
      check(
          value, [](ByteView v) { return bank::decode_features(kId, v); },
          [](const bank::Features& features) { return bank::encode_features(kId, features); });
      static_cast<void>(outcome_of([&] {
        const auto header = bank::read_features_header(kId, value, /*check=*/false);
        const auto vector = header.retrieval_vector;
        require(vector.empty() || (vector.data() >= value.data() &&
                                   vector.data() + vector.size() <= value.data() + value.size()),
                "a vector outside its value");
        return std::string();
      }));
      break;
    case 'T':
      check(
          value, [](ByteView v) { return bank::decode_thumbnails(kId, v); },
          [](const auto& thumbnails) { return bank::encode_thumbnails(kId, thumbnails); });
      break;
    case 'O':
      check(
          value, [](ByteView v) { return bank::decode_history(kId, v); },
          [](const bank::PopularityHistory& history) {
            return bank::encode_history(kId, history);
          });
      break;
    default:
      static_cast<void>(outcome_of([&] {
        const std::string text = bank::decode_text(kId, value);
        static_cast<void>(
            outcome_of([&] { return bank::to_json_text(bank::parse_schema(text, "bank")); }));
        return bank::to_json_text(bank::parse_state(text, "bank"));
      }));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView raw = std::as_bytes(std::span(data, size));
  for (const char kind : {'R', 'F', 'T', 'O', 'M'}) decode_as(kind, raw);
  if (size < kEnvelopeBytes) return 0;
  // On the heap and of exactly this size, so that a read beyond it is seen.
  Bytes value(reinterpret_cast<const char*>(data), size);
  const char kind = std::string_view("RFTOM").find(value[kKindOffset]) != std::string_view::npos
                        ? value[kKindOffset]
                        : "RFTOM"[static_cast<unsigned char>(value[kKindOffset]) % 5];
  const std::string envelope = {'M', 'M', 'R', 'A', kind, 1, 0, 0};
  std::memcpy(value.data(), envelope.data(), envelope.size());
  const std::uint64_t checksum =
      mmra::seeded_hash(std::string_view(value).substr(kEnvelopeBytes), mmra::checksum64(kId));
  std::memcpy(value.data() + envelope.size(), &checksum, sizeof checksum);
  decode_as(kind, view(value));
  return 0;
}
