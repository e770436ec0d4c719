#include "mmra/media/sample_frames.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/media/byte_source.h"
#include "mmra/media/decoder.h"
#include "mmra/media/demuxer.h"
#include "mmra/media/frame_converter.h"
#include "mmra/media/packet_index.h"
#include "mmra/media/sampling_plan.h"
#include "mmra/media/watch.h"

namespace mmra::media {
namespace {

// A decoder that gives another number of frames each time is not asked for ever.
constexpr int kMaxFullPasses = 3;

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

void check_options(const SampleOptions& options) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw Error(ErrorKind::kInvalidInput, std::string("cannot sample frames: ") + what);
  };
  require(options.num_frames >= 1, "num_frames must be at least 1");
  require(options.max_side_px >= 0, "max_side_px must not be negative");
  require(options.max_decode_s > 0.0, "max_decode_s must be above 0");
  require(options.max_frames >= 1, "max_frames must be at least 1");
  require(options.max_pixels >= 1, "max_pixels must be at least 1");
  require(options.decoder_threads >= 1, "decoder_threads must be at least 1");
}

/// Sentences for SampledClip::warning.
class Warnings {
 public:
  void add(const std::string& text) { text_ += (text_.empty() ? "" : "; ") + text; }
  [[nodiscard]] std::optional<std::string> line() const {
    return text_.empty() ? std::nullopt : std::optional(text_);
  }

 private:
  std::string text_;
};

/// One file's way from packets to frames.
class Sampler {
 public:
  Sampler(const ByteSource& source, const SampleOptions& options, SampleTrace& trace)
      : source_(source),
        options_(options),
        trace_(trace),
        watch_(options.max_decode_s, options.stop) {}

  SampledClip run() {
    {
      Demuxer demuxer = open();
      index_ = make_packet_index(demuxer, options_.max_frames);
      describe(demuxer);
    }
    if (index_.exact && !options_.decode_everything && follow_plan()) return std::move(clip_);
    decode_everything();
    return std::move(clip_);
  }

 private:
  /// What one pass over the whole file found.
  struct FullPass {
    std::int64_t num_frames = 0;
    std::int64_t num_damaged = 0;
    bool cut_by_limit = false;
    bool cut_by_time = false;
  };

  /// Times of the frames as they come out.
  struct Clock {
    double first_s = 0.0;
    double last_s = 0.0;
    double last_duration_s = 0.0;
  };

  [[nodiscard]] Demuxer open() const { return {source_, watch_, options_.max_pixels}; }
  [[nodiscard]] DecoderLimits limits() const {
    return {options_.max_pixels, options_.decoder_threads};
  }

  void describe(const Demuxer& demuxer) {
    const AVStream& stream = demuxer.stream();
    time_base_s_ = av_q2d(stream.time_base);
    const AVRational rate =
        stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
    nominal_rate_ = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 25.0;
    is_still_image_ = demuxer.is_still_image();
    clip_.info.has_audio = demuxer.has_audio();
    clip_.info.codec = avcodec_get_name(stream.codecpar->codec_id);
  }

  void keep(const AVFrame& picture, FrameConverter& converter, std::int64_t ordinal, double pts_s) {
    Frame frame = converter.convert(picture);
    frame.index = ordinal;
    frame.pts_s = pts_s;
    if (clip_.frames.empty()) {
      clip_.info.width = converter.native_width();
      clip_.info.height = converter.native_height();
    }
    clip_.frames.push_back(std::move(frame));
  }

  void set_times(std::int64_t num_frames, double first_to_last_s, double last_duration_s) {
    clip_.info.num_frames = num_frames;
    if (is_still_image_ && num_frames == 1) return;
    if (!(last_duration_s > 0.0)) {
      last_duration_s = num_frames > 1 ? first_to_last_s / static_cast<double>(num_frames - 1)
                                       : 1.0 / nominal_rate_;
    }
    clip_.info.duration_s = first_to_last_s + last_duration_s;
    if (num_frames > 1 && clip_.info.duration_s > 0.0) {
      clip_.info.frame_rate = static_cast<double>(num_frames) / clip_.info.duration_s;
    }
  }

  // ---- the short way: only what the exact index says is needed

  /// False, with no frames kept, where anything differs from what the index promised.
  bool follow_plan() {
    const auto num_frames = static_cast<std::int64_t>(index_.packets.size());
    const std::vector<std::int64_t> picks = pick_frames(num_frames, options_.num_frames);
    Demuxer demuxer = open();
    Decoder decoder(demuxer.stream(), limits(), source_.name());
    FrameConverter converter(demuxer.stream(), options_.max_side_px);
    PlanCursor cursor{demuxer, decoder, converter, picks};
    bool cut_by_time = false;
    for (const Segment& segment : plan_decoding(index_, picks)) {
      if (decode_segment(segment, cursor)) continue;
      // Out of time is no disagreement: what was found until then was as the index said.
      cut_by_time = demuxer.end_code() == AVERROR_EXIT && !clip_.frames.empty();
      if (cut_by_time) break;
      clip_.frames.clear();
      return false;
    }
    trace_.skipped_packets = true;
    finish_plan(num_frames, cut_by_time);
    return true;
  }

  struct PlanCursor {
    Demuxer& demuxer;
    Decoder& decoder;
    FrameConverter& converter;
    const std::vector<std::int64_t>& picks;
    std::size_t next_packet = 0;
    PacketPtr packet = make_packet();
    FramePtr picture = make_frame();
  };

  bool decode_segment(const Segment& segment, PlanCursor& cursor) {
    std::size_t num_received = 0;
    for (const std::size_t wanted : segment.packets) {
      if (!read_up_to(wanted, cursor)) return false;
      ++trace_.packets_decoded;
      cursor.decoder.send(cursor.packet.get());
      if (!receive_expected(segment, num_received, cursor)) return false;
    }
    cursor.decoder.send(nullptr);
    if (!receive_expected(segment, num_received, cursor)) return false;
    cursor.decoder.reset();
    return num_received == segment.expected.size();
  }

  /// Reads on to packet `wanted`; false where the packets are not those of the index.
  bool read_up_to(std::size_t wanted, PlanCursor& cursor) {
    for (; cursor.next_packet <= wanted; ++cursor.next_packet) {
      if (!cursor.demuxer.read(*cursor.packet)) return false;
      const IndexedPacket& known = index_.packets[cursor.next_packet];
      const AVPacket& packet = *cursor.packet;
      if (packet.pts != known.pts || packet.dts != known.dts || packet.size != known.size_bytes) {
        return false;
      }
    }
    return true;
  }

  bool receive_expected(const Segment& segment, std::size_t& num_received, PlanCursor& cursor) {
    while (cursor.decoder.receive(*cursor.picture)) {
      if (num_received == segment.expected.size()) return false;
      const std::int64_t ordinal = segment.expected[num_received++];
      const std::int64_t pts = index_.sorted_pts[static_cast<std::size_t>(ordinal)];
      if (cursor.picture->pts != pts) return false;
      if (std::binary_search(cursor.picks.begin(), cursor.picks.end(), ordinal)) {
        const auto since_start = static_cast<double>(pts - index_.sorted_pts.front());
        keep(*cursor.picture, cursor.converter, ordinal, since_start * time_base_s_);
      }
    }
    return cursor.decoder.num_damaged() == 0;
  }

  void finish_plan(std::int64_t num_frames, bool cut_by_time) {
    const auto last =
        std::find_if(index_.packets.begin(), index_.packets.end(),
                     [&](const IndexedPacket& packet) { return packet.ordinal == num_frames - 1; });
    const auto ticks = static_cast<double>(index_.sorted_pts.back() - index_.sorted_pts.front());
    set_times(num_frames, ticks * time_base_s_, static_cast<double>(last->duration) * time_base_s_);
    Warnings warnings;
    if (cut_by_time) warn_about_time(warnings);
    warn_about_reading(warnings);
    clip_.warning = warnings.line();
  }

  // ---- the long way: decode all, count, pick

  void decode_everything() {
    // The number of packets is nearly always the number of frames; where it is not, the first pass
    // has counted for the second.
    auto num_frames = std::max<std::int64_t>(1, static_cast<std::int64_t>(index_.packets.size()));
    for (int i = 0; i < kMaxFullPasses; ++i) {
      Clock clock;
      const FullPass pass = decode_all(num_frames, clock);
      if (pass.num_frames == 0) fail_without_frames(pass);
      if (pass.num_frames == num_frames || (pass.cut_by_time && !clip_.frames.empty())) {
        return finish_full_pass(pass, clock);
      }
      num_frames = pass.num_frames;
    }
    throw Error(ErrorKind::kCorruptData, "cannot decode " + source_.name() +
                                             ": it gives another number of frames each time");
  }

  /// Decodes the file from end to end and keeps the picks of `assumed_frames`.
  FullPass decode_all(std::int64_t assumed_frames, Clock& clock) {
    const std::vector<std::int64_t> picks = pick_frames(assumed_frames, options_.num_frames);
    clip_.frames.clear();
    Demuxer demuxer = open();
    Decoder decoder(demuxer.stream(), limits(), source_.name());
    FrameConverter converter(demuxer.stream(), options_.max_side_px);
    const PacketPtr packet = make_packet();
    const FramePtr picture = make_frame();
    FullPass pass;
    bool more = true;
    while (more) {
      more = demuxer.read(*packet);
      if (more) ++trace_.packets_decoded;
      decoder.send(more ? packet.get() : nullptr);
      while (decoder.receive(*picture)) {
        watch_.throw_if_stopped();
        if (pass.num_frames == options_.max_frames) {
          pass.cut_by_limit = true;
          break;
        }
        const double pts_s = time_of(*picture, pass.num_frames, clock);
        if (std::binary_search(picks.begin(), picks.end(), pass.num_frames)) {
          keep(*picture, converter, pass.num_frames, pts_s);
        }
        ++pass.num_frames;
      }
      if (pass.cut_by_limit) break;
    }
    pass.cut_by_time = demuxer.end_code() == AVERROR_EXIT;
    pass.num_damaged = decoder.num_damaged();
    return pass;
  }

  /// Seconds since the first frame.
  double time_of(const AVFrame& picture, std::int64_t ordinal, Clock& clock) const {
    const bool has_time = picture.best_effort_timestamp != AV_NOPTS_VALUE;
    const double time_s = has_time
                              ? static_cast<double>(picture.best_effort_timestamp) * time_base_s_
                              : clock.first_s + static_cast<double>(ordinal) / nominal_rate_;
    if (ordinal == 0) clock.first_s = time_s;
    clock.last_s = time_s;
    clock.last_duration_s = static_cast<double>(picture.pkt_duration) * time_base_s_;
    return time_s - clock.first_s;
  }

  void finish_full_pass(const FullPass& pass, const Clock& clock) {
    set_times(pass.num_frames, clock.last_s - clock.first_s, clock.last_duration_s);
    Warnings warnings;
    if (pass.num_damaged > 0) {
      warnings.add("damaged: " + std::to_string(pass.num_damaged) +
                   " pictures could not be decoded whole");
    }
    if (pass.cut_by_limit) {
      warnings.add("cut: only the first " + std::to_string(options_.max_frames) +
                   " frames were decoded");
    }
    if (pass.cut_by_time) {
      warn_about_time(warnings);
    } else if (!pass.cut_by_limit) {
      warn_about_reading(warnings);
    }
    clip_.warning = warnings.line();
  }

  void warn_about_time(Warnings& warnings) const {
    warnings.add("cut: decoding was stopped after " + decimal(options_.max_decode_s) + " s with " +
                 std::to_string(clip_.frames.size()) + " of the wanted frames found");
  }

  /// Truncation as the container shows it.
  void warn_about_reading(Warnings& warnings) const {
    if (index_.end_code != 0) {
      warnings.add("truncated or damaged: reading ended early (" +
                   describe_averror(index_.end_code) + ")");
      return;
    }
    if (index_.has_damaged_packets) warnings.add("truncated or damaged: a packet is not whole");
    const double missing_s = index_.promised_duration_s - index_.read_duration_s;
    const double tolerance_s = std::max(0.25, 2.0 / nominal_rate_);
    if (!index_.cut && index_.promised_duration_s > 0.0 && missing_s > tolerance_s) {
      warnings.add("truncated: it holds " + decimal(index_.read_duration_s) + " s of the " +
                   decimal(index_.promised_duration_s) + " s that its header promises");
    }
  }

  [[noreturn]] void fail_without_frames(const FullPass& pass) const {
    if (pass.cut_by_time) {
      throw Error(ErrorKind::kUnsupported,
                  "cannot decode " + source_.name() + ": it took longer than " +
                      decimal(options_.max_decode_s) + " s to decode a frame; raise the limit");
    }
    throw Error(ErrorKind::kCorruptData, "cannot decode " + source_.name() + ": no frame of its " +
                                             clip_.info.codec + " video (" +
                                             std::to_string(index_.packets.size()) +
                                             " packets) can be decoded; it is damaged");
  }

  const ByteSource& source_;
  const SampleOptions& options_;
  SampleTrace& trace_;
  Watch watch_;
  PacketIndex index_;
  double time_base_s_ = 0.0;
  double nominal_rate_ = 25.0;
  bool is_still_image_ = false;
  SampledClip clip_;
};

SampledClip sample(const ByteSource& source, const SampleOptions& options, SampleTrace* trace) {
  SampleTrace unused;
  return Sampler(source, options, trace != nullptr ? *trace : unused).run();
}

}  // namespace

SampledClip sample_frames(const std::filesystem::path& file, const SampleOptions& options,
                          SampleTrace* trace) {
  check_options(options);
  return sample(FileSource(file), options, trace);
}

SampledClip sample_frames_from_memory(std::span<const std::byte> bytes,
                                      const SampleOptions& options, SampleTrace* trace) {
  check_options(options);
  return sample(MemorySource(bytes), options, trace);
}

}  // namespace mmra::media
