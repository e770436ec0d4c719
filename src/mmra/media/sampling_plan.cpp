#include "mmra/media/sampling_plan.h"

#include <algorithm>

namespace mmra::media {
namespace {

/// Decodes packets [start, last] for the picks; those presented before the clean point (leading
/// pictures) need what was before it, and nothing else needs them.
Segment make_segment(const PacketIndex& index, const std::vector<std::int64_t>& picks,
                     std::size_t start, std::size_t last) {
  Segment segment;
  for (std::size_t i = start; i <= last; ++i) {
    const IndexedPacket& packet = index.packets[i];
    if (packet.ordinal < index.packets[start].ordinal) continue;
    const bool picked = std::binary_search(picks.begin(), picks.end(), packet.ordinal);
    if (packet.disposable && !picked && i != start) continue;
    segment.packets.push_back(i);
    segment.expected.push_back(packet.ordinal);
  }
  std::sort(segment.expected.begin(), segment.expected.end());
  return segment;
}

}  // namespace

std::vector<std::int64_t> pick_frames(std::int64_t num_frames, int num_picks) {
  std::vector<std::int64_t> picks;
  if (num_frames < 1 || num_picks < 1) return picks;
  const auto last = static_cast<double>(num_frames - 1);
  const double step = num_picks > 1 ? last / (num_picks - 1) : 0.0;
  for (int i = 0; i < num_picks; ++i) {
    // numpy sets the end itself, so that no rounding error moves it.
    const double position = i > 0 && i + 1 == num_picks ? last : i * step;
    const auto pick = static_cast<std::int64_t>(position);
    if (picks.empty() || pick > picks.back()) picks.push_back(pick);
  }
  return picks;
}

std::vector<Segment> plan_decoding(const PacketIndex& index,
                                   const std::vector<std::int64_t>& picks) {
  std::vector<std::size_t> packet_of(index.packets.size());  // by ordinal
  std::vector<std::size_t> clean_points;
  for (std::size_t i = 0; i < index.packets.size(); ++i) {
    packet_of[static_cast<std::size_t>(index.packets[i].ordinal)] = i;
    if (index.packets[i].clean_point) clean_points.push_back(i);
  }
  std::vector<Segment> segments;
  std::size_t start = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < picks.size(); ++i) {
    // Clean points rise in decoding and in presentation order alike.
    const auto after = std::upper_bound(
        clean_points.begin(), clean_points.end(), picks[i],
        [&](std::int64_t pick, std::size_t at) { return pick < index.packets[at].ordinal; });
    const std::size_t clean_point = after == clean_points.begin() ? 0 : *(after - 1);
    if (i > 0 && clean_point != start) segments.push_back(make_segment(index, picks, start, last));
    const std::size_t packet = packet_of[static_cast<std::size_t>(picks[i])];
    last = i > 0 && clean_point == start ? std::max(last, packet) : packet;
    start = clean_point;
  }
  if (!picks.empty()) segments.push_back(make_segment(index, picks, start, last));
  return segments;
}

}  // namespace mmra::media
