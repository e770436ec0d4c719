#include "mmra/media/clip_writer.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/display.h>
}

#include <cmath>
#include <cstring>
#include <new>
#include <numbers>
#include <optional>
#include <string_view>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/media/ffmpeg_handles.h"
#include "mmra/media/memory_file.h"
#include "mmra/media/picture.h"

namespace mmra::media {
namespace {

constexpr int kVariableTicksPerSecond = 90'000;
constexpr int kAudioRateHz = 44'100;
constexpr double kToneHz = 440.0;
constexpr double kToneAmplitude = 0.25;

/// FFmpeg's options as a map; what is left over after use was not understood.
class Options {
 public:
  Options() = default;
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
  ~Options() { av_dict_free(&dictionary_); }
  void set(const std::string& key, const std::string& value) {
    av_dict_set(&dictionary_, key.c_str(), value.c_str(), 0);
  }
  void set_all(const std::map<std::string, std::string>& values) {
    for (const auto& [key, value] : values) set(key, value);
  }
  AVDictionary** get() { return &dictionary_; }
  [[nodiscard]] std::optional<std::string> unused() const {
    const AVDictionaryEntry* entry = av_dict_get(dictionary_, "", nullptr, AV_DICT_IGNORE_SUFFIX);
    return entry == nullptr ? std::nullopt : std::optional<std::string>(entry->key);
  }

 private:
  AVDictionary* dictionary_ = nullptr;
};

const char* encoder_name(ClipCodec codec) {
  switch (codec) {
    case ClipCodec::kH264:
      return "libx264";
    case ClipCodec::kHevc:
      return "libx265";
    case ClipCodec::kVp9:
      return "libvpx-vp9";
    case ClipCodec::kAv1:
      return "libaom-av1";
    case ClipCodec::kMjpeg:
      return "mjpeg";
    case ClipCodec::kFfv1:
      return "ffv1";
    case ClipCodec::kPng:
      return "png";
    case ClipCodec::kGif:
      return "gif";
  }
  return "";
}

AVPixelFormat pixel_format(const ClipWriterOptions& options) {
  switch (options.codec) {
    case ClipCodec::kMjpeg:
      return AV_PIX_FMT_YUVJ420P;
    case ClipCodec::kPng:
      return AV_PIX_FMT_RGB24;
    case ClipCodec::kGif:
      return AV_PIX_FMT_RGB8;
    default:
      return options.bit_depth == 10 ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
  }
}

bool is_rgb(ClipCodec codec) { return codec == ClipCodec::kPng || codec == ClipCodec::kGif; }

void set_x264_options(const ClipWriterOptions& options, Options& values) {
  values.set("preset", "veryfast");
  values.set("crf", std::to_string(options.quality));
  // Keyframes exactly where they were asked for. Some of its kernels (AVX-512's among them) look at
  // memory that nobody has written, so that the same frames do not always give the same bytes.
  values.set("x264-params", std::string("cpu-independent=1:scenecut=0:b-adapt=0:open-gop=") +
                                (options.open_gop ? "1" : "0"));
}

void set_x265_options(const ClipWriterOptions& options, Options& values) {
  const std::string gop = std::to_string(options.gop_size);
  values.set("preset", "ultrafast");
  values.set("crf", std::to_string(options.quality));
  values.set("x265-params",
             "log-level=none:info=0:pools=none:frame-threads=1:scenecut=0:b-adapt=0:keyint=" + gop +
                 ":min-keyint=" + gop + ":bframes=" + std::to_string(options.num_b_frames) +
                 ":open-gop=" + (options.open_gop ? "1" : "0"));
}

void set_libvpx_options(const ClipWriterOptions& options, Options& values) {
  const bool look_ahead = options.num_b_frames > 0;
  values.set("deadline", look_ahead ? "good" : "realtime");
  values.set("cpu-used", look_ahead ? "5" : "8");
  values.set("lag-in-frames", look_ahead ? "16" : "0");
  values.set("auto-alt-ref", look_ahead ? "1" : "0");
  values.set("crf", std::to_string(options.quality));
}

void set_libaom_options(const ClipWriterOptions& options, Options& values) {
  const bool look_ahead = options.num_b_frames > 0;
  values.set("usage", look_ahead ? "good" : "realtime");
  values.set("cpu-used", look_ahead ? "6" : "8");
  values.set("lag-in-frames", look_ahead ? "16" : "0");
  values.set("crf", std::to_string(options.quality));
}

void set_encoder_options(const ClipWriterOptions& options, Options& values) {
  switch (options.codec) {
    case ClipCodec::kH264:
      set_x264_options(options, values);
      break;
    case ClipCodec::kHevc:
      set_x265_options(options, values);
      break;
    case ClipCodec::kVp9:
      set_libvpx_options(options, values);
      break;
    case ClipCodec::kAv1:
      set_libaom_options(options, values);
      break;
    default:
      break;
  }
  values.set_all(options.encoder_options);
}

const AVOutputFormat* find_container(const std::string& file, const std::string& container) {
  const AVOutputFormat* format = container.empty()
                                     ? av_guess_format(nullptr, file.c_str(), nullptr)
                                     : av_guess_format(container.c_str(), nullptr, nullptr);
  // The plain image container writes files of its own, by pattern.
  if (format != nullptr && std::string_view(format->name) == "image2") {
    format = av_guess_format("image2pipe", nullptr, nullptr);
  }
  if (format == nullptr) {
    throw Error(ErrorKind::kInvalidInput,
                "cannot write " + file + ": no container has " +
                    (container.empty() ? "its extension; use for example .mp4 or .mkv"
                                       : "the name \"" + container + "\""));
  }
  return format;
}

void check_options(const std::string& file, const ClipWriterOptions& options) {
  const auto require = [&](bool holds, const char* what) {
    if (!holds) throw Error(ErrorKind::kInvalidInput, "cannot write " + file + ": " + what);
  };
  require(options.frame_rate_num > 0 && options.frame_rate_den > 0,
          "the frame rate must be above 0");
  require(options.gop_size >= 1, "gop_size must be at least 1");
  require(options.num_b_frames >= 0 && options.num_b_frames <= 16, "num_b_frames must be 0 to 16");
  require(options.bit_depth == 8 || options.bit_depth == 10, "bit_depth must be 8 or 10");
  require(options.rotation_degrees >= 0 && options.rotation_degrees < 360 &&
              options.rotation_degrees % 90 == 0,
          "rotation_degrees must be 0, 90, 180 or 270");
}

/// An encoder with the stream it feeds.
struct Track {
  CodecPtr encoder;
  AVStream* stream = nullptr;
};

}  // namespace

class ClipWriter::Impl {
 public:
  Impl(std::filesystem::path file, ClipWriterOptions options)
      : file_(std::move(file)), options_(std::move(options)) {
    silence_ffmpeg();
    check_options(file_.string(), options_);
    const AVOutputFormat* format = find_container(file_.string(), options_.container);
    codec_ = find_encoder(encoder_name(options_.codec));
    if (options_.audio != AudioTrack::kNone) audio_codec_ = find_encoder("aac");
    check(avformat_alloc_output_context2(&output_, format, nullptr, nullptr), "the container");
    output_->flags |= AVFMT_FLAG_BITEXACT;
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { avformat_free_context(output_); }

  void add(const Frame& frame) {
    if (finished_) throw Error(ErrorKind::kInternal, "a frame was added to a finished clip");
    if (!video_.encoder) start(frame);
    const AVCodecContext& encoder = *video_.encoder;
    if (frame.width != encoder.width || frame.height != encoder.height) {
      fail("a frame is " + std::to_string(frame.width) + "x" + std::to_string(frame.height) +
           ", the first was " + std::to_string(encoder.width) + "x" +
           std::to_string(encoder.height));
    }
    const FramePtr picture = make_encodable(
        frame, encoder.pix_fmt, frame.width, frame.height,
        {.bt709 = options_.bt709, .full_range = encoder.color_range == AVCOL_RANGE_JPEG});
    picture->pts = next_pts(frame);
    picture->quality = encoder.global_quality;
    // The tone goes as far as the picture that is being added.
    if (audio_.encoder) add_audio(static_cast<double>(picture->pts) * av_q2d(encoder.time_base));
    encode(video_, picture.get());
  }

  void finish() {
    if (finished_) throw Error(ErrorKind::kInternal, "a clip was finished twice");
    if (!video_.encoder) fail("it has no frame");
    finished_ = true;
    if (audio_.encoder) {
      add_audio(static_cast<double>(last_pts_ + 1) * av_q2d(video_.encoder->time_base));
    }
    encode(video_, nullptr);
    if (audio_.encoder) encode(audio_, nullptr);
    check(av_write_trailer(output_), "the end of the file");
    write_file_atomically(file_, memory_.bytes());
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kInvalidInput, "cannot write " + file_.string() + ": " + what);
  }

  void check(int code, const std::string& what) const {
    if (code >= 0) return;
    if (code == AVERROR(ENOMEM)) throw std::bad_alloc();
    fail(what + " is refused (" + describe_averror(code) + ")");
  }

  [[nodiscard]] const AVCodec* find_encoder(const char* name) const {
    const AVCodec* codec = avcodec_find_encoder_by_name(name);
    if (codec == nullptr) {
      throw Error(ErrorKind::kUnsupported, "cannot write " + file_.string() +
                                               ": the libavcodec at hand lacks the encoder " +
                                               name + "; choose another codec");
    }
    return codec;
  }

  Track new_track(const AVCodec* codec) {
    Track track;
    track.encoder.reset(avcodec_alloc_context3(codec));
    track.stream = avformat_new_stream(output_, nullptr);
    if (!track.encoder || track.stream == nullptr) throw std::bad_alloc();
    track.encoder->thread_count = 1;
    track.encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    if ((output_->oformat->flags & AVFMT_GLOBALHEADER) != 0) {
      track.encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    return track;
  }

  void open_track(Track& track, const AVCodec* codec, Options& options) const {
    check(avcodec_open2(track.encoder.get(), codec, options.get()),
          std::string("what was asked of the encoder ") + codec->name);
    if (const auto option = options.unused()) fail("the encoder has no option " + *option);
    check(avcodec_parameters_from_context(track.stream->codecpar, track.encoder.get()),
          "the stream");
    track.stream->time_base = track.encoder->time_base;
  }

  void start(const Frame& first) {
    Track video = new_track(codec_);
    configure_video(*video.encoder, first);
    Options options;
    set_encoder_options(options_, options);
    open_track(video, codec_, options);
    video.stream->avg_frame_rate = {options_.frame_rate_num, options_.frame_rate_den};
    set_display_matrix(*video.stream);
    if (audio_codec_ != nullptr) start_audio();
    output_->pb = memory_.io();
    Options muxer_options;
    muxer_options.set_all(options_.muxer_options);
    check(avformat_write_header(output_, muxer_options.get()), "its container's header");
    if (const auto option = muxer_options.unused()) fail("the container has no option " + *option);
    video_ = std::move(video);
  }

  void configure_video(AVCodecContext& encoder, const Frame& first) const {
    encoder.width = first.width;
    encoder.height = first.height;
    encoder.pix_fmt = pixel_format(options_);
    encoder.framerate = {options_.frame_rate_num, options_.frame_rate_den};
    encoder.time_base = options_.variable_frame_rate
                            ? AVRational{1, kVariableTicksPerSecond}
                            : AVRational{options_.frame_rate_den, options_.frame_rate_num};
    encoder.gop_size = options_.gop_size;
    if (options_.codec == ClipCodec::kH264 || options_.codec == ClipCodec::kHevc) {
      encoder.max_b_frames = options_.num_b_frames;
      encoder.keyint_min = options_.gop_size;
    }
    const bool full_range = options_.full_range || options_.codec == ClipCodec::kMjpeg;
    if (!is_rgb(options_.codec)) {
      encoder.color_range = full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
      encoder.colorspace = options_.bt709 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    }
    if (options_.codec == ClipCodec::kMjpeg) {
      encoder.flags |= AV_CODEC_FLAG_QSCALE;
      encoder.global_quality = 3 * FF_QP2LAMBDA;
    }
  }

  void set_display_matrix(AVStream& stream) const {
    if (options_.rotation_degrees == 0 && !options_.mirror) return;
    std::int32_t matrix[9];
    av_display_rotation_set(matrix, options_.rotation_degrees);
    // Mirroring comes first: it negates what the stored x contributes.
    if (options_.mirror) {
      matrix[0] = -matrix[0];
      matrix[1] = -matrix[1];
    }
    std::uint8_t* data = av_stream_new_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix);
    if (data == nullptr) throw std::bad_alloc();
    std::memcpy(data, matrix, sizeof matrix);
  }

  void start_audio() {
    audio_ = new_track(audio_codec_);
    AVCodecContext& encoder = *audio_.encoder;
    encoder.sample_rate = kAudioRateHz;
    encoder.sample_fmt = AV_SAMPLE_FMT_FLTP;
    encoder.bit_rate = 64'000;
    encoder.time_base = {1, kAudioRateHz};
    av_channel_layout_default(&encoder.ch_layout, 1);
    Options options;
    open_track(audio_, audio_codec_, options);
  }

  std::int64_t next_pts(const Frame& frame) {
    std::int64_t pts = last_pts_ + 1;
    if (options_.variable_frame_rate) {
      pts = std::llround(frame.pts_s * kVariableTicksPerSecond);
      if (pts <= last_pts_) {
        fail("the time of a frame, " + std::to_string(frame.pts_s) +
             " s, is not after the one before it");
      }
    }
    return last_pts_ = pts;
  }

  /// Audio up to `end_s`, in whole encoder frames.
  void add_audio(double end_s) {
    const AVCodecContext& encoder = *audio_.encoder;
    while (static_cast<double>(audio_samples_) < end_s * kAudioRateHz) {
      const FramePtr samples = make_frame();
      samples->format = encoder.sample_fmt;
      samples->nb_samples = encoder.frame_size;
      samples->sample_rate = kAudioRateHz;
      av_channel_layout_default(&samples->ch_layout, 1);
      if (av_frame_get_buffer(samples.get(), 0) < 0) throw std::bad_alloc();
      auto* values = reinterpret_cast<float*>(samples->data[0]);
      for (int i = 0; i < samples->nb_samples; ++i) values[i] = sample(audio_samples_ + i);
      samples->pts = audio_samples_;
      audio_samples_ += samples->nb_samples;
      encode(audio_, samples.get());
    }
  }

  [[nodiscard]] float sample(std::int64_t index) const {
    if (options_.audio == AudioTrack::kSilence) return 0.0F;
    const double phase = 2.0 * std::numbers::pi * kToneHz * static_cast<double>(index);
    return static_cast<float>(kToneAmplitude * std::sin(phase / kAudioRateHz));
  }

  /// `frame` null: no more follow.
  void encode(Track& track, const AVFrame* frame) {
    check(avcodec_send_frame(track.encoder.get(), frame), "a frame");
    const PacketPtr packet = make_packet();
    for (;;) {
      const int code = avcodec_receive_packet(track.encoder.get(), packet.get());
      if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
      check(code, "a frame");
      av_packet_rescale_ts(packet.get(), track.encoder->time_base, track.stream->time_base);
      packet->stream_index = track.stream->index;
      check(av_interleaved_write_frame(output_, packet.get()), "a packet");
    }
  }

  std::filesystem::path file_;
  ClipWriterOptions options_;
  const AVCodec* codec_ = nullptr;
  const AVCodec* audio_codec_ = nullptr;
  MemoryFile memory_;  ///< outlives output_, which writes to it
  AVFormatContext* output_ = nullptr;
  Track video_;
  Track audio_;
  std::int64_t last_pts_ = -1;
  std::int64_t audio_samples_ = 0;
  bool finished_ = false;
};

ClipWriter::ClipWriter(std::filesystem::path file, ClipWriterOptions options)
    : impl_(std::make_unique<Impl>(std::move(file), std::move(options))) {}
ClipWriter::~ClipWriter() = default;
void ClipWriter::add(const Frame& frame) { impl_->add(frame); }
void ClipWriter::finish() { impl_->finish(); }

bool has_encoder(ClipCodec codec) {
  return avcodec_find_encoder_by_name(encoder_name(codec)) != nullptr;
}

}  // namespace mmra::media
