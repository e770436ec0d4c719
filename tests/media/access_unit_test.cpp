#include "mmra/media/access_unit.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <vector>

namespace mmra::media {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::optional<AccessUnit> read(AVCodecID codec, const Bytes& packet) {
  const ParametersPtr parameters(avcodec_parameters_alloc());
  parameters->codec_type = AVMEDIA_TYPE_VIDEO;
  parameters->codec_id = codec;
  const std::unique_ptr<AccessUnitReader> reader = make_access_unit_reader(*parameters);
  // The first packet of a stream is special; this is never the first.
  if (codec == AV_CODEC_ID_HEVC) {
    const Bytes first = {0, 0, 1, 19 << 1, 1, 0x80, 0xAA};
    EXPECT_TRUE(reader->read(first).has_value());
  }
  return reader->read(packet);
}

Bytes hevc_nal(int type, std::uint8_t slice, int layer = 0, int temporal_id = 0) {
  return {0,
          0,
          1,
          static_cast<std::uint8_t>(type << 1 | layer >> 5),
          static_cast<std::uint8_t>((layer & 31) << 3 | (temporal_id + 1)),
          slice,
          0xAA};
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST(AccessUnitReader, KnowsThreeCodecs) {
  AVCodecParameters parameters{};
  for (const AVCodecID id : {AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_VP9}) {
    parameters.codec_id = id;
    EXPECT_NE(make_access_unit_reader(parameters), nullptr) << avcodec_get_name(id);
  }
  for (const AVCodecID id : {AV_CODEC_ID_MPEG4, AV_CODEC_ID_AV1}) {
    parameters.codec_id = id;
    EXPECT_EQ(make_access_unit_reader(parameters), nullptr) << avcodec_get_name(id);
  }
}

TEST(AccessUnitReader, HevcTellsWhereDecodingMayStart) {
  for (const int type : {19, 20, 21}) {
    const auto unit = read(AV_CODEC_ID_HEVC, hevc_nal(type, 0x80));
    ASSERT_TRUE(unit.has_value()) << type;
    EXPECT_TRUE(unit->random_access) << type;
    EXPECT_FALSE(unit->disposable) << type;
  }
  const auto trailing = read(AV_CODEC_ID_HEVC, hevc_nal(1, 0x80));
  ASSERT_TRUE(trailing.has_value());
  EXPECT_FALSE(trailing->random_access);
  EXPECT_FALSE(trailing->disposable);
}

TEST(AccessUnitReader, HevcTellsWhatNothingNeeds) {
  const auto unit = read(AV_CODEC_ID_HEVC, hevc_nal(0, 0x80, 0, 2));
  ASSERT_TRUE(unit.has_value());
  EXPECT_TRUE(unit->disposable);
  EXPECT_EQ(unit->temporal_id, 2);
  // One slice that is needed makes the picture needed.
  const auto mixed = read(AV_CODEC_ID_HEVC, joined({hevc_nal(0, 0x80), hevc_nal(1, 0x00)}));
  ASSERT_TRUE(mixed.has_value());
  EXPECT_FALSE(mixed->disposable);
}

TEST(AccessUnitReader, HevcDoesNotVouchForWhatIsNotOnePlainPicture) {
  const std::vector<Bytes> doubtful = {
      {},
      {1, 2, 3, 4},
      hevc_nal(32, 0),                                  // parameters without a picture
      hevc_nal(1, 0x00),                                // the first slice is missing
      joined({hevc_nal(1, 0x80), hevc_nal(1, 0x80)}),   // two pictures
      hevc_nal(1, 0x80, 1),                             // another layer
      hevc_nal(16, 0x80),                               // a broken link
      hevc_nal(23, 0x80),                               // reserved
      joined({hevc_nal(1, 0x80), hevc_nal(36, 0x80)}),  // the end of a sequence
      hevc_nal(20, 0xC0),                               // discards pictures not shown yet
  };
  for (std::size_t i = 0; i < doubtful.size(); ++i) {
    EXPECT_FALSE(read(AV_CODEC_ID_HEVC, doubtful[i]).has_value()) << "case " << i;
  }
}

TEST(AccessUnitReader, HevcHashesParameterSets) {
  const auto hash = [](const Bytes& packet) {
    return read(AV_CODEC_ID_HEVC, packet).value_or(AccessUnit{}).parameter_sets;
  };
  const Bytes picture = hevc_nal(20, 0x80);
  EXPECT_EQ(hash(picture), 0U);
  EXPECT_NE(hash(joined({hevc_nal(33, 1), picture})), 0U);
  EXPECT_EQ(hash(joined({hevc_nal(33, 1), picture})), hash(joined({hevc_nal(33, 1), picture})));
  EXPECT_NE(hash(joined({hevc_nal(33, 1), picture})), hash(joined({hevc_nal(33, 2), picture})));
}

TEST(AccessUnitReader, LengthsThatLieAreNotVouchedFor) {
  // hvcC with lengths of 4 bytes.
  Bytes hvcc(23, 0);
  hvcc[0] = 1;
  hvcc[21] = 3;
  AVCodecParameters parameters{};
  parameters.codec_id = AV_CODEC_ID_HEVC;
  parameters.extradata = hvcc.data();
  parameters.extradata_size = static_cast<int>(hvcc.size());
  const std::unique_ptr<AccessUnitReader> reader = make_access_unit_reader(parameters);
  EXPECT_TRUE(reader->read(Bytes{0, 0, 0, 4, 20 << 1, 1, 0x80, 0xAA}).has_value());
  EXPECT_FALSE(reader->read(Bytes{0, 0, 0, 5, 20 << 1, 1, 0x80, 0xAA}).has_value());
  EXPECT_FALSE(reader->read(Bytes{0, 0, 0, 0, 20 << 1, 1, 0x80, 0xAA}).has_value());
  EXPECT_FALSE(reader->read(Bytes{0, 0, 0, 4, 20 << 1, 1, 0x80, 0xAA, 0}).has_value());
  EXPECT_FALSE(reader->read(Bytes{255, 255, 255, 255, 20 << 1, 1, 0x80}).has_value());
}

TEST(AccessUnitReader, H264DoesNotVouchForBrokenPackets) {
  for (const Bytes& packet :
       {Bytes{}, Bytes{0, 0, 1}, Bytes{0, 0, 1, 0x65}, Bytes{9, 9, 9}, Bytes{0, 0, 1, 0x62, 0x80},
        Bytes{0, 0, 1, 0x65, 0x00, 0x12}, Bytes{0, 0, 1, 0x65, 0x80, 0x12}}) {
    EXPECT_FALSE(read(AV_CODEC_ID_H264, packet).has_value());
  }
}

constexpr std::uint8_t kVp9Key = 0b10'00'0'0'1'0;
constexpr std::uint8_t kVp9Shown = 0b10'00'0'1'1'0;
constexpr std::uint8_t kVp9Hidden = 0b10'00'0'1'0'0;
constexpr std::uint8_t kVp9ShowsExisting = 0b10'00'1'000;

Bytes vp9_superframe(std::initializer_list<std::uint8_t> headers) {
  Bytes packet;
  for (const std::uint8_t header : headers) packet.insert(packet.end(), {header, 0, 0});
  const auto marker = static_cast<std::uint8_t>(0xC0 | (headers.size() - 1));
  packet.push_back(marker);
  packet.insert(packet.end(), headers.size(), 3);
  packet.push_back(marker);
  return packet;
}

TEST(AccessUnitReader, Vp9CountsShownFrames) {
  EXPECT_TRUE(read(AV_CODEC_ID_VP9, {kVp9Key, 0, 0}).value_or(AccessUnit{}).random_access);
  EXPECT_FALSE(read(AV_CODEC_ID_VP9, {kVp9Shown, 0, 0}).value_or(AccessUnit{}).random_access);
  EXPECT_TRUE(read(AV_CODEC_ID_VP9, {kVp9Shown, 0, 0}).has_value());
  EXPECT_TRUE(read(AV_CODEC_ID_VP9, {kVp9ShowsExisting, 0}).has_value());
  EXPECT_TRUE(read(AV_CODEC_ID_VP9, vp9_superframe({kVp9Hidden, kVp9Shown})).has_value());
  EXPECT_FALSE(read(AV_CODEC_ID_VP9, {kVp9Hidden, 0, 0}).has_value());
  EXPECT_FALSE(read(AV_CODEC_ID_VP9, vp9_superframe({kVp9Shown, kVp9Shown})).has_value());
  EXPECT_FALSE(read(AV_CODEC_ID_VP9, {0x02, 0, 0}).has_value());
  EXPECT_FALSE(read(AV_CODEC_ID_VP9, {}).has_value());
}

}  // namespace
}  // namespace mmra::media
