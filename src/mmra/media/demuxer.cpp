#include "mmra/media/demuxer.h"

extern "C" {
#include <libavutil/avstring.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
}

#include <algorithm>
#include <cstdio>
#include <new>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/media/decoder.h"

namespace mmra::media {
namespace {

constexpr int kReadBufferBytes = 1 << 16;
// Demuxers may ask to be called again; nobody may do so for ever.
constexpr int kMaxRetries = 10'000;

// The formats that are read: whole files of moving or still pictures, and the common kinds of
// sound, so that those are named as what they are. Everything else FFmpeg knows (playlists, text as
// pictures, game music, devices) is refused before its code runs.
constexpr const char* kFormats =
    "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,av1,ivf,ogg,asf,gif,apng,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,mjpeg,nut,mxf,rm,dv,yuv4mpegpipe,"
    "mp3,wav,flac,aac,ac3,aiff,amr,caf,w64";
constexpr const char* kPlaylists = "hls,dash,concat,imf,applehttp";

int refuse_open(AVFormatContext* /*context*/, AVIOContext** /*io*/, const char* /*url*/,
                int /*flags*/, AVDictionary** /*options*/) {
  return AVERROR(EPERM);
}

int watch_callback(void* opaque) {
  const auto* watch = static_cast<const Watch*>(opaque);
  return watch->stop_requested() || watch->expired() ? 1 : 0;
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", seconds);
  return text;
}

bool in_list(const char* format_name, const char* list) {
  return av_match_list(format_name, list, ',') > 0;
}

bool is_picture_of_something_else(const AVStream& stream) {
  return (stream.disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) !=
         0;
}

std::int64_t num_pixels(const AVStream& stream) {
  return std::int64_t{stream.codecpar->width} * stream.codecpar->height;
}

/// The stream a player would show: the default one, then the largest, then the first.
bool is_better(const AVStream& a, const AVStream& b) {
  const bool a_default = (a.disposition & AV_DISPOSITION_DEFAULT) != 0;
  const bool b_default = (b.disposition & AV_DISPOSITION_DEFAULT) != 0;
  if (a_default != b_default) return a_default;
  return num_pixels(a) > num_pixels(b);
}

/// Options of FFmpeg's probing decoders, one dictionary a stream.
class ProbeOptions {
 public:
  ProbeOptions(unsigned num_streams, std::int64_t max_pixels) : options_(num_streams, nullptr) {
    for (AVDictionary*& option : options_) {
      av_dict_set_int(&option, "max_pixels", max_pixels, 0);
      av_dict_set_int(&option, "threads", 1, 0);
    }
  }
  ProbeOptions(const ProbeOptions&) = delete;
  ProbeOptions& operator=(const ProbeOptions&) = delete;
  ~ProbeOptions() {
    for (AVDictionary*& option : options_) av_dict_free(&option);
  }
  AVDictionary** data() { return options_.empty() ? nullptr : options_.data(); }

 private:
  std::vector<AVDictionary*> options_;
};

}  // namespace

/// What FFmpeg's reads go through.
struct Demuxer::Reader {
  Reader(const ByteSource& bytes, const Watch& clock) : source(bytes), watch(clock) {
    auto* buffer = static_cast<std::uint8_t*>(av_malloc(kReadBufferBytes));
    if (buffer == nullptr) throw std::bad_alloc();
    io = avio_alloc_context(buffer, kReadBufferBytes, /*write_flag=*/0, this, &Reader::read,
                            /*write_packet=*/nullptr, &Reader::seek);
    if (io == nullptr) {
      av_free(buffer);
      throw std::bad_alloc();
    }
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    av_freep(&io->buffer);
    avio_context_free(&io);
  }

  static int read(void* opaque, std::uint8_t* buffer, int size) {
    auto* reader = static_cast<Reader*>(opaque);
    if (reader->watch.stop_requested() || reader->watch.expired()) return AVERROR_EXIT;
    const std::int64_t count =
        reader->source.read_at(reader->offset, {buffer, static_cast<std::size_t>(size)});
    if (count < 0) return AVERROR(static_cast<int>(-count));
    if (count == 0) return AVERROR_EOF;
    reader->offset += count;
    return static_cast<int>(count);
  }

  static std::int64_t seek(void* opaque, std::int64_t offset, int whence) {
    auto* reader = static_cast<Reader*>(opaque);
    const std::int64_t size = reader->source.size_bytes();
    switch (whence & ~AVSEEK_FORCE) {
      case AVSEEK_SIZE:
        return size;
      case SEEK_SET:
        break;
      case SEEK_CUR:
        offset += reader->offset;
        break;
      case SEEK_END:
        offset += size;
        break;
      default:
        return AVERROR(EINVAL);
    }
    if (offset < 0) return AVERROR(EINVAL);
    return reader->offset = offset;
  }

  const ByteSource& source;
  const Watch& watch;
  AVIOContext* io = nullptr;
  std::int64_t offset = 0;
};

Demuxer::Demuxer(const ByteSource& source, const Watch& watch, std::int64_t max_pixels)
    : watch_(watch) {
  silence_ffmpeg();
  watch_.throw_if_stopped();
  reader_ = std::make_unique<Reader>(source, watch);
  open(source);
  find_streams(source.name(), max_pixels);
  choose_stream(source.name());
  if (num_pixels(*stream_) > max_pixels) {
    throw picture_too_large(source.name(), stream_->codecpar->width, stream_->codecpar->height,
                            max_pixels);
  }
}

Demuxer::~Demuxer() = default;

void Demuxer::fail(const std::string& name, int code, const std::string& what) const {
  watch_.throw_if_stopped();
  if (watch_.expired()) {
    throw Error(ErrorKind::kUnsupported, "cannot read video " + name + ": it took longer than " +
                                             seconds_text(watch_.budget_s()) +
                                             " s; raise the limit or shorten it");
  }
  if (code == AVERROR(ENOMEM)) throw std::bad_alloc();
  throw Error(ErrorKind::kCorruptData,
              "cannot read video " + name + ": " + what + " (" + describe_averror(code) + ")");
}

void Demuxer::open(const ByteSource& source) {
  const AVInputFormat* format = nullptr;
  // The name is kept from FFmpeg: some formats are guessed by it, or hold patterns of other files.
  const int score = av_probe_input_buffer2(reader_->io, &format, "", nullptr, 0, 0);
  if (score < 0) fail(source.name(), score, "it is not a video, or of an unknown format");
  if (in_list(format->name, kPlaylists)) {
    throw Error(ErrorKind::kInvalidInput, "cannot read video " + source.name() +
                                              ": it is a playlist (" + format->name +
                                              ") of other files; give the video itself");
  }
  if (!in_list(format->name, kFormats)) {
    throw Error(ErrorKind::kUnsupported, "cannot read video " + source.name() + ": the format \"" +
                                             format->name + "\" is not one that is read as video");
  }
  AVFormatContext* input = avformat_alloc_context();
  if (input == nullptr) throw std::bad_alloc();
  input->pb = reader_->io;
  input->io_open = refuse_open;
  input->protocol_whitelist = av_strdup("none");
  input->format_whitelist = av_strdup(format->name);
  input->interrupt_callback = {watch_callback, const_cast<Watch*>(&watch_)};
  const int code = avformat_open_input(&input, "", format, nullptr);  // frees input where it fails
  if (code < 0) {
    fail(source.name(), code,
         std::string("it looks like ") + format->name + " but is damaged or not whole");
  }
  input_.reset(input);
}

void Demuxer::find_streams(const std::string& name, std::int64_t max_pixels) {
  ProbeOptions options(input_->nb_streams, padded_pixels(max_pixels));
  const int code = avformat_find_stream_info(input_.get(), options.data());
  if (code < 0 || watch_.stop_requested() || watch_.expired()) {
    fail(name, code < 0 ? code : AVERROR_EXIT, "its streams cannot be told");
  }
}

void Demuxer::choose_stream(const std::string& name) {
  AVStream* picture = nullptr;  // cover art, thumbnails
  for (unsigned i = 0; i < input_->nb_streams; ++i) {
    AVStream* stream = input_->streams[i];
    if (stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) has_audio_ = true;
    if (stream->codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
    AVStream*& best = is_picture_of_something_else(*stream) ? picture : stream_;
    if (best == nullptr || is_better(*stream, *best)) best = stream;
  }
  if (stream_ == nullptr && !has_audio_) stream_ = picture;
  if (stream_ != nullptr) return;
  if (has_audio_) {
    throw Error(ErrorKind::kInvalidInput,
                "cannot read video " + name + ": it holds sound only, no video");
  }
  throw Error(ErrorKind::kCorruptData, "cannot read video " + name + ": it looks like " +
                                           input_->iformat->name + " but holds no video");
}

void Demuxer::note_times(const AVPacket& packet) {
  const std::int64_t start = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
  if (start == AV_NOPTS_VALUE) return;
  const double unit_s = av_q2d(input_->streams[packet.stream_index]->time_base);
  const double start_s = static_cast<double>(start) * unit_s;
  const double end_s = start_s + static_cast<double>(packet.duration) * unit_s;
  first_s_ = has_times_ ? std::min(first_s_, start_s) : start_s;
  last_s_ = has_times_ ? std::max(last_s_, end_s) : end_s;
  has_times_ = true;
}

bool Demuxer::read(AVPacket& packet) {
  int retries = 0;
  for (;;) {
    av_packet_unref(&packet);
    watch_.throw_if_stopped();
    end_code_ = watch_.expired() ? AVERROR_EXIT : av_read_frame(input_.get(), &packet);
    if (end_code_ == AVERROR(EAGAIN) && ++retries < kMaxRetries) continue;
    if (end_code_ < 0) break;
    note_times(packet);
    if (packet.stream_index == stream_->index) return true;
  }
  watch_.throw_if_stopped();
  // Some demuxers call a failed read the end of the file.
  if (end_code_ == AVERROR_EOF)
    end_code_ = input_->pb->error == AVERROR_EOF ? 0 : input_->pb->error;
  return false;
}

bool Demuxer::is_still_image() const {
  return av_strnstr(input_->iformat->name, "_pipe", 64) != nullptr;
}

double Demuxer::promised_duration_s() const {
  if (input_->duration_estimation_method != AVFMT_DURATION_FROM_STREAM) return 0.0;
  if (input_->duration == AV_NOPTS_VALUE || input_->duration <= 0) return 0.0;
  return static_cast<double>(input_->duration) / AV_TIME_BASE;
}

double Demuxer::read_duration_s() const { return last_s_ - first_s_; }

}  // namespace mmra::media
