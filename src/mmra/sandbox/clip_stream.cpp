#include "mmra/sandbox/clip_stream.h"

#include <cmath>
#include <cstring>
#include <utility>

namespace mmra::sandbox {
namespace {

constexpr char kMagic[] = "MMRAclip";
constexpr std::size_t kMagicBytes = 8;
constexpr std::uint32_t kMaxTextBytes = 1024;
constexpr std::uint8_t kIsClip = 0;
constexpr std::uint8_t kIsError = 1;

class Writer {
 public:
  explicit Writer(const WriteAll& write) : write_(write) {}
  template <typename Number>
  void number(Number value) const {
    write_(std::as_bytes(std::span(&value, 1)));
  }
  void text(std::string text) const {
    text.resize(std::min<std::size_t>(text.size(), kMaxTextBytes));
    number(static_cast<std::uint32_t>(text.size()));
    write_(std::as_bytes(std::span(text)));
  }
  void bytes(std::span<const std::byte> bytes) const { write_(bytes); }

 private:
  const WriteAll& write_;
};

class Reader {
 public:
  explicit Reader(const ReadExactly& read) : read_(read) {}
  template <typename Number>
  Number number() const {
    Number value{};
    read_(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename Number>
  Number number(Number minimum, Number maximum) const {
    const auto value = number<Number>();
    if (!(value >= minimum && value <= maximum)) fail();
    return value;
  }
  std::string text() const {
    std::string text(number<std::uint32_t>(0, kMaxTextBytes), '\0');
    read_(std::as_writable_bytes(std::span(text)));
    for (char& c : text) {  // a stranger's words, for another stranger's eyes
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E) c = '?';
    }
    return text;
  }
  void bytes(std::span<std::byte> bytes) const { read_(bytes); }

  [[noreturn]] static void fail() {
    throw Error(ErrorKind::kCorruptData,
                "the video cannot be decoded: its decoder gave an answer that makes no sense");
  }

 private:
  const ReadExactly& read_;
};

media::ClipInfo read_info(const Reader& reader) {
  media::ClipInfo info;
  info.duration_s = reader.number(0.0, 1e9);
  info.width = reader.number<std::int32_t>(0, 1 << 20);
  info.height = reader.number<std::int32_t>(0, 1 << 20);
  info.frame_rate = reader.number(0.0, 1e9);
  info.has_audio = reader.number<std::uint8_t>(0, 1) == 1;
  info.num_frames = reader.number<std::int64_t>(0, std::int64_t{1} << 40);
  info.codec = reader.text();
  return info;
}

void read_frames(const Reader& reader, const ClipLimits& limits, media::SampledClip& clip) {
  const auto count = reader.number<std::uint32_t>(1, static_cast<std::uint32_t>(limits.max_frames));
  std::int64_t room = limits.max_bytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    media::Frame& frame = clip.frames.emplace_back();
    frame.width = reader.number<std::int32_t>(1, 1 << 20);
    frame.height = reader.number<std::int32_t>(1, 1 << 20);
    frame.index = reader.number<std::int64_t>(0, std::int64_t{1} << 40);
    frame.pts_s = reader.number(-1e9, 1e9);
    const std::int64_t pixels = std::int64_t{frame.width} * frame.height;
    if (pixels > limits.max_pixels || 3 * pixels > room) Reader::fail();
    room -= 3 * pixels;
    frame.rgb.resize(static_cast<std::size_t>(3 * pixels));
    reader.bytes(std::as_writable_bytes(std::span(frame.rgb)));
  }
}

}  // namespace

void write_clip(const media::SampledClip& clip, const WriteAll& write) {
  const Writer writer(write);
  writer.bytes(std::as_bytes(std::span(kMagic, kMagicBytes)));
  writer.number(kIsClip);
  writer.number(clip.info.duration_s);
  writer.number(std::int32_t{clip.info.width});
  writer.number(std::int32_t{clip.info.height});
  writer.number(clip.info.frame_rate);
  writer.number(static_cast<std::uint8_t>(clip.info.has_audio ? 1 : 0));
  writer.number(clip.info.num_frames);
  writer.text(clip.info.codec);
  writer.number(static_cast<std::uint8_t>(clip.warning ? 1 : 0));
  if (clip.warning) writer.text(*clip.warning);
  writer.number(static_cast<std::uint32_t>(clip.frames.size()));
  for (const media::Frame& frame : clip.frames) {
    writer.number(std::int32_t{frame.width});
    writer.number(std::int32_t{frame.height});
    writer.number(frame.index);
    writer.number(frame.pts_s);
    writer.bytes(std::as_bytes(std::span(frame.rgb)));
  }
}

void write_error(const Error& error, const WriteAll& write) {
  const Writer writer(write);
  writer.bytes(std::as_bytes(std::span(kMagic, kMagicBytes)));
  writer.number(kIsError);
  writer.text(error.what());
}

media::SampledClip read_clip(const ReadExactly& read, const ClipLimits& limits) {
  const Reader reader(read);
  char magic[kMagicBytes];
  reader.bytes(std::as_writable_bytes(std::span(magic)));
  if (std::memcmp(magic, kMagic, kMagicBytes) != 0) Reader::fail();
  if (reader.number<std::uint8_t>(kIsClip, kIsError) == kIsError) {
    const std::string what = reader.text();
    if (what.empty()) Reader::fail();
    throw Error(ErrorKind::kCorruptData, what);
  }
  media::SampledClip clip;
  clip.info = read_info(reader);
  if (reader.number<std::uint8_t>(0, 1) == 1) clip.warning = reader.text();
  read_frames(reader, limits, clip);
  return clip;
}

}  // namespace mmra::sandbox
