#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mmra/media/demuxer.h"

namespace mmra::media {

/// One packet of the video stream, in decoding order.
struct IndexedPacket {
  std::int64_t pts = 0;       ///< in units of the stream's time base
  std::int64_t dts = 0;       ///< may be AV_NOPTS_VALUE
  std::int64_t duration = 0;  ///< 0 where unknown
  std::int64_t ordinal = 0;   ///< position in presentation order; set where the index is exact
  int size_bytes = 0;
  /// A jump to here decodes what is presented from here on as decoding everything would.
  bool clean_point = false;
  bool disposable = false;  ///< nothing needs it but itself
};

/// Every packet of a file's video stream, read without decoding.
struct PacketIndex {
  std::vector<IndexedPacket> packets;  ///< at most `max_packets` of make_packet_index
  /// The packets say everything: each is one whole shown picture with a time of its own. Else only
  /// decoding can tell which frames there are.
  bool exact = false;
  std::string doubt;                     ///< why it is not exact
  std::vector<std::int64_t> sorted_pts;  ///< where exact: the frames' times, ascending
  int end_code = 0;                      ///< Demuxer::end_code
  bool has_damaged_packets = false;
  bool cut = false;  ///< there are more packets than max_packets
  double promised_duration_s = 0.0;
  double read_duration_s = 0.0;
};

/// Reads `demuxer` to its end. Throws Interrupted.
[[nodiscard]] PacketIndex make_packet_index(Demuxer& demuxer, std::int64_t max_packets);

}  // namespace mmra::media
