#include "mmra/media/access_unit.h"

#include <algorithm>
#include <array>
#include <new>
#include <string_view>

#include "mmra/core/fingerprint.h"

namespace mmra::media {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::uint64_t combine(std::uint64_t hash, Bytes bytes) {
  return seeded_hash({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, hash) | 1U;
}

/// The NAL units of a packet, with their lengths in front (ISO 14496-15) or between start codes
/// (Annex B).
class NalUnits {
 public:
  /// `length_size` 0: Annex B.
  NalUnits(Bytes packet, int length_size) : rest_(packet), length_size_(length_size) {
    if (length_size_ == 0) skip_to_start_code();
  }

  /// The next unit, without length or start code; empty at the end or where it is cut off.
  Bytes next() { return length_size_ == 0 ? next_annex_b() : next_with_length(); }
  /// Everything was read and nothing was cut off.
  [[nodiscard]] bool whole() const { return whole_ && rest_.empty(); }

 private:
  Bytes next_with_length() {
    if (rest_.empty()) return {};
    std::size_t length = 0;
    const auto prefix = static_cast<std::size_t>(length_size_);
    if (rest_.size() < prefix) return cut_off();
    for (std::size_t i = 0; i < prefix; ++i) length = length << 8U | rest_[i];
    if (length == 0 || length > rest_.size() - prefix) return cut_off();
    const Bytes unit = rest_.subspan(prefix, length);
    rest_ = rest_.subspan(prefix + length);
    return unit;
  }

  Bytes next_annex_b() {
    if (rest_.empty()) return {};
    const std::size_t end = find_start_code();
    Bytes unit = rest_.first(end);
    rest_ = rest_.subspan(end);
    if (!rest_.empty()) rest_ = rest_.subspan(kStartCode.size());
    while (!unit.empty() && unit.back() == 0) unit = unit.first(unit.size() - 1);
    return unit.empty() ? cut_off() : unit;
  }

  [[nodiscard]] std::size_t find_start_code() const {
    const auto at = std::search(rest_.begin(), rest_.end(), kStartCode.begin(), kStartCode.end());
    return static_cast<std::size_t>(at - rest_.begin());
  }

  void skip_to_start_code() {
    const std::size_t start = find_start_code();
    const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
    whole_ =
        start < rest_.size() &&
        std::all_of(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(start), is_zero);
    rest_ = whole_ ? rest_.subspan(start + kStartCode.size()) : Bytes{};
  }

  Bytes cut_off() {
    whole_ = false;
    return {};
  }

  static constexpr std::array<std::uint8_t, 3> kStartCode = {0, 0, 1};
  Bytes rest_;
  int length_size_;
  bool whole_ = true;
};

/// The size of the NAL lengths as avcC / hvcC has it at `offset`; 0 for Annex B.
int nal_length_size(const AVCodecParameters& parameters, int offset) {
  if (parameters.extradata_size <= offset || parameters.extradata[0] != 1) return 0;
  return (parameters.extradata[offset] & 3) + 1;
}

/// FFmpeg's own parser, which reads the slice header as far as the picture's structure.
class FramePictures {
 public:
  explicit FramePictures(const AVCodecParameters& parameters)
      : context_(avcodec_alloc_context3(nullptr)), parser_(av_parser_init(parameters.codec_id)) {
    if (!context_ || avcodec_parameters_to_context(context_.get(), &parameters) < 0) {
      throw std::bad_alloc();
    }
    if (parser_) parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
  }

  /// The packet's slice header can be read, and is that of a frame rather than of one field.
  bool is_frame(Bytes packet) {
    if (!parser_) return false;
    std::uint8_t* data = nullptr;
    int size = 0;
    parser_->picture_structure = AV_PICTURE_STRUCTURE_UNKNOWN;
    parser_->pict_type = AV_PICTURE_TYPE_NONE;
    av_parser_parse2(parser_.get(), context_.get(), &data, &size, packet.data(),
                     static_cast<int>(packet.size()), AV_NOPTS_VALUE, AV_NOPTS_VALUE, -1);
    return parser_->picture_structure == AV_PICTURE_STRUCTURE_FRAME &&
           parser_->pict_type != AV_PICTURE_TYPE_NONE;
  }

 private:
  CodecPtr context_;
  ParserPtr parser_;
};

/// ITU-T H.264, 7.3.1 and 7.4.1.
class H264Reader final : public AccessUnitReader {
 public:
  explicit H264Reader(const AVCodecParameters& parameters)
      : length_size_(nal_length_size(parameters, 4)), pictures_(parameters) {}

  std::optional<AccessUnit> read(Bytes packet) override {
    AccessUnit unit{.random_access = true, .disposable = true};
    NalUnits nals(packet, length_size_);
    int num_slices = 0;
    for (Bytes nal = nals.next(); !nal.empty(); nal = nals.next()) {
      if (!add(nal, unit, num_slices)) return std::nullopt;
    }
    if (!nals.whole() || num_slices == 0 || !pictures_.is_frame(packet)) return std::nullopt;
    return unit;
  }

 private:
  static bool add(Bytes nal, AccessUnit& unit, int& num_slices) {
    constexpr int kSlice = 1, kIdrSlice = 5, kSei = 6, kSps = 7, kPps = 8, kDelimiter = 9,
                  kFiller = 12;
    const int type = nal[0] & 0x1F;
    if (type == kSei || type == kDelimiter || type == kFiller) return true;
    if (type == kSps || type == kPps) {
      unit.parameter_sets = combine(unit.parameter_sets, nal);
      return true;
    }
    if ((type != kSlice && type != kIdrSlice) || nal.size() < 2) return false;
    // first_mb_in_slice is ue(v): a leading one bit is zero. A second such slice is a second field.
    const bool is_first = (nal[1] & 0x80) != 0;
    if (is_first != (num_slices == 0)) return false;
    ++num_slices;
    if (type != kIdrSlice) unit.random_access = false;
    if ((nal[0] & 0x60) != 0) unit.disposable = false;  // nal_ref_idc
    return true;
  }

  int length_size_;
  FramePictures pictures_;
};

/// ITU-T H.265, 7.3.1.2, 7.3.6.1 and table 7-1.
class HevcReader final : public AccessUnitReader {
 public:
  explicit HevcReader(const AVCodecParameters& parameters)
      : length_size_(nal_length_size(parameters, 21)) {}

  std::optional<AccessUnit> read(Bytes packet) override {
    AccessUnit unit{.random_access = true, .disposable = true};
    NalUnits nals(packet, length_size_);
    int num_slices = 0;
    for (Bytes nal = nals.next(); !nal.empty(); nal = nals.next()) {
      if (!add(nal, unit, num_slices)) return std::nullopt;
    }
    if (!nals.whole() || num_slices == 0) return std::nullopt;
    is_first_packet_ = false;
    return unit;
  }

 private:
  bool add(Bytes nal, AccessUnit& unit, int& num_slices) const {
    constexpr int kRaslR = 9, kIdrWRadl = 19, kIdrNLp = 20, kCra = 21, kVps = 32, kPps = 34,
                  kDelimiter = 35, kFiller = 38, kPrefixSei = 39, kSuffixSei = 40;
    if (nal.size() < 3) return false;
    const int type = (nal[0] >> 1) & 0x3F;
    const int layer = (nal[0] & 1) << 5 | nal[1] >> 3;
    if (layer != 0) return false;
    if (type == kDelimiter || type == kFiller || type == kPrefixSei || type == kSuffixSei) {
      return true;
    }
    if (type >= kVps && type <= kPps) {
      unit.parameter_sets = combine(unit.parameter_sets, nal);
      return true;
    }
    // Ends of sequences and broken links make decoders drop pictures: not vouched for.
    const bool is_random_access = type == kIdrWRadl || type == kIdrNLp || type == kCra;
    if (type > kRaslR && !is_random_access) return false;
    const bool is_first = (nal[2] & 0x80) != 0;
    if (is_first != (num_slices == 0)) return false;
    const bool discards_prior_pictures = is_random_access && (nal[2] & 0x40) != 0;
    if (discards_prior_pictures && !is_first_packet_) return false;
    ++num_slices;
    unit.temporal_id = (nal[1] & 7) - 1;
    if (!is_random_access) unit.random_access = false;
    // Even types up to RASL_N are sub-layer non-reference pictures.
    if (is_random_access || type % 2 != 0) unit.disposable = false;
    return true;
  }

  int length_size_;
  bool is_first_packet_ = true;
};

/// VP9 bitstream specification, 6.2 (uncompressed header) and annex B (superframes).
class Vp9Reader final : public AccessUnitReader {
 public:
  std::optional<AccessUnit> read(Bytes packet) override {
    if (packet.empty()) return std::nullopt;
    int num_frames = 0;
    int num_shown = 0;
    AccessUnit unit;
    const auto add = [&](Bytes frame) {
      const std::optional<Header> header = read_header(frame);
      if (!header) return false;
      ++num_frames;
      if (header->shown) ++num_shown;
      unit.random_access = header->key && header->shown;
      return true;
    };
    if (!for_each_frame(packet, add) || num_shown != 1) return std::nullopt;
    if (num_frames != 1) unit.random_access = false;
    return unit;
  }

 private:
  struct Header {
    bool key = false;
    bool shown = false;
  };

  static std::optional<Header> read_header(Bytes frame) {
    if (frame.empty() || frame[0] >> 6 != 2) return std::nullopt;  // frame_marker
    const bool is_profile_3 = (frame[0] & 0x30) == 0x30;
    const unsigned bits = is_profile_3 ? (frame[0] & 7U) << 1 : frame[0] & 15U;
    // Four bits: show_existing_frame, frame_type, show_frame, error_resilient_mode. Profile 3 has
    // one reserved bit first, and the fourth in the next byte.
    if ((bits & 8U) != 0) return Header{.key = false, .shown = true};
    return Header{.key = (bits & 4U) == 0, .shown = (bits & 2U) != 0};
  }

  template <typename Add>
  static bool for_each_frame(Bytes packet, Add&& add) {
    const std::uint8_t marker = packet.back();
    if ((marker & 0xE0) != 0xC0) return add(packet);
    const std::size_t num_frames = (marker & 7U) + 1;
    const std::size_t bytes_per_size = (marker >> 3U & 3U) + 1;
    const std::size_t index_size = 2 + num_frames * bytes_per_size;
    if (packet.size() < index_size || packet[packet.size() - index_size] != marker) {
      return add(packet);
    }
    const Bytes sizes = packet.subspan(packet.size() - index_size + 1, index_size - 2);
    Bytes frames = packet.first(packet.size() - index_size);
    for (std::size_t i = 0; i < num_frames; ++i) {
      std::size_t size = 0;
      for (std::size_t j = 0; j < bytes_per_size; ++j) {
        size |= std::size_t{sizes[i * bytes_per_size + j]} << (8 * j);
      }
      if (size == 0 || size > frames.size() || !add(frames.first(size))) return false;
      frames = frames.subspan(size);
    }
    return true;
  }
};

}  // namespace

std::unique_ptr<AccessUnitReader> make_access_unit_reader(const AVCodecParameters& parameters) {
  silence_ffmpeg();
  switch (parameters.codec_id) {
    case AV_CODEC_ID_H264:
      return std::make_unique<H264Reader>(parameters);
    case AV_CODEC_ID_HEVC:
      return std::make_unique<HevcReader>(parameters);
    case AV_CODEC_ID_VP9:
      return std::make_unique<Vp9Reader>();
    default:
      return nullptr;
  }
}

}  // namespace mmra::media
