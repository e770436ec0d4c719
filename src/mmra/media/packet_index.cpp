#include "mmra/media/packet_index.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>

#include "mmra/media/access_unit.h"

namespace mmra::media {
namespace {

/// Gathers, packet by packet, whether the index can be trusted.
class Trust {
 public:
  explicit Trust(const AVStream& stream) : reader_(make_access_unit_reader(*stream.codecpar)) {
    if (!reader_) doubt("every packet of this codec must be decoded");
    if (reorder_limit(*stream.codecpar) > kMaxReorder) doubt("too many pictures are reordered");
    reorder_limit_ = reorder_limit(*stream.codecpar);
  }

  /// Fills in what is known of `entry`; its place among the packets is the order of the calls.
  void add(const AVPacket& packet, IndexedPacket& entry) {
    if (!doubt_.empty()) return;
    check_flags(packet);
    check_order(entry);
    if (!doubt_.empty()) return;
    const std::optional<AccessUnit> unit =
        reader_->read({packet.data, static_cast<std::size_t>(packet.size)});
    if (!unit) return doubt("a packet is not one plain picture");
    check_parameter_sets(*unit);
    // All that is decoded before it must be presented before it.
    entry.clean_point = unit->random_access && unit->parameter_sets == parameter_sets_ &&
                        (packet.flags & AV_PKT_FLAG_KEY) != 0 && entry.pts > latest_before_;
    entry.disposable = unit->disposable;
    temporal_ids_.push_back(static_cast<std::int8_t>(unit->temporal_id));
    if (is_first_ && !entry.clean_point) doubt("it does not begin with a whole picture");
    latest_before_ = std::max(latest_before_, entry.pts);
    is_first_ = false;
  }

  void doubt(const std::string& reason) {
    if (doubt_.empty()) doubt_ = reason;
  }
  [[nodiscard]] const std::string& doubt() const { return doubt_; }

  /// A picture of a lower temporal layer may be needed by a higher one: only those of the highest
  /// are disposable.
  void finish(std::vector<IndexedPacket>& packets) const {
    if (temporal_ids_.empty()) return;
    const std::int8_t highest = *std::max_element(temporal_ids_.begin(), temporal_ids_.end());
    for (std::size_t i = 0; i < temporal_ids_.size(); ++i) {
      if (temporal_ids_[i] != highest) packets[i].disposable = false;
    }
  }

 private:
  static constexpr int kMaxReorder = 16;  // of H.264 and HEVC

  /// How many pictures may be decoded before one and presented after it.
  static int reorder_limit(const AVCodecParameters& parameters) {
    const bool reorders =
        parameters.codec_id == AV_CODEC_ID_H264 || parameters.codec_id == AV_CODEC_ID_HEVC;
    return reorders ? parameters.video_delay : 0;
  }

  void check_flags(const AVPacket& packet) {
    if ((packet.flags & (AV_PKT_FLAG_DISCARD | AV_PKT_FLAG_CORRUPT)) != 0) {
      doubt("a packet is damaged or to be discarded");
    }
    for (const AVPacketSideDataType type :
         {AV_PKT_DATA_NEW_EXTRADATA, AV_PKT_DATA_PARAM_CHANGE, AV_PKT_DATA_SKIP_SAMPLES}) {
      if (av_packet_get_side_data(&packet, type, nullptr) != nullptr) {
        doubt("the stream's parameters change");
      }
    }
  }

  /// Deeper reordering than the stream declares makes decoders drop pictures or show them early.
  void check_order(const IndexedPacket& entry) {
    if (entry.pts == AV_NOPTS_VALUE) return doubt("a packet has no time");
    const auto later =
        std::upper_bound(latest_.begin(), latest_.end(), entry.pts, std::greater<>());
    const auto num_later = static_cast<int>(std::count_if(
        latest_.begin(), latest_.end(), [&](std::int64_t pts) { return pts > entry.pts; }));
    if (num_later > reorder_limit_) return doubt("pictures are reordered more than declared");
    latest_.insert(later, entry.pts);
    if (latest_.size() > kMaxReorder + 1) latest_.pop_back();
  }

  /// Decoding may jump over parameter sets only where they are always the same.
  void check_parameter_sets(const AccessUnit& unit) {
    if (is_first_) parameter_sets_ = unit.parameter_sets;
    if (unit.parameter_sets != 0 && unit.parameter_sets != parameter_sets_) {
      doubt("the stream's parameters change");
    }
  }

  std::unique_ptr<AccessUnitReader> reader_;
  std::string doubt_;
  std::uint64_t parameter_sets_ = 0;
  bool is_first_ = true;
  std::int64_t latest_before_ = std::numeric_limits<std::int64_t>::min();
  std::vector<std::int64_t> latest_;  ///< the latest times so far, descending
  int reorder_limit_ = 0;
  std::vector<std::int8_t> temporal_ids_;
};

/// Sorts the times and gives each packet its place; false where two are the same.
bool set_ordinals(PacketIndex& index) {
  std::vector<std::int64_t>& sorted = index.sorted_pts;
  sorted.reserve(index.packets.size());
  for (const IndexedPacket& packet : index.packets) sorted.push_back(packet.pts);
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return false;
  for (IndexedPacket& packet : index.packets) {
    packet.ordinal = std::lower_bound(sorted.begin(), sorted.end(), packet.pts) - sorted.begin();
  }
  return true;
}

void conclude(PacketIndex& index, Trust& trust) {
  if (index.packets.empty()) trust.doubt("there is no packet");
  if (index.end_code != 0) trust.doubt("reading did not reach the end");
  if (index.cut) trust.doubt("there are more packets than the limit");
  if (trust.doubt().empty()) {
    trust.finish(index.packets);
    if (!set_ordinals(index)) trust.doubt("two packets have the same time");
  }
  if (trust.doubt().empty() && index.packets.front().ordinal != 0) {
    trust.doubt("the first packet is not the first picture");
  }
  index.doubt = trust.doubt();
  index.exact = index.doubt.empty();
}

}  // namespace

PacketIndex make_packet_index(Demuxer& demuxer, std::int64_t max_packets) {
  PacketIndex index;
  Trust trust(demuxer.stream());
  const PacketPtr packet = make_packet();
  while (demuxer.read(*packet)) {
    if (static_cast<std::int64_t>(index.packets.size()) >= max_packets) {
      index.cut = true;
      break;
    }
    if ((packet->flags & AV_PKT_FLAG_CORRUPT) != 0) index.has_damaged_packets = true;
    IndexedPacket entry;
    entry.pts = packet->pts;
    entry.dts = packet->dts;
    entry.duration = packet->duration;
    entry.size_bytes = packet->size;
    trust.add(*packet, entry);
    index.packets.push_back(entry);
  }
  index.end_code = demuxer.end_code();
  index.promised_duration_s = demuxer.promised_duration_s();
  index.read_duration_s = demuxer.read_duration_s();
  conclude(index, trust);
  return index;
}

}  // namespace mmra::media
