#include "mmra/media/ffmpeg_handles.h"

#include <cstdarg>
#include <mutex>
#include <new>

namespace mmra::media {
namespace {

constexpr int kRowAlignment = 64;

void drop_log_line(void* /*context*/, int /*level*/, const char* /*format*/, va_list /*values*/) {}

}  // namespace

FramePtr make_frame() {
  FramePtr frame(av_frame_alloc());
  if (!frame) throw std::bad_alloc();
  return frame;
}

PacketPtr make_packet() {
  PacketPtr packet(av_packet_alloc());
  if (!packet) throw std::bad_alloc();
  return packet;
}

std::string describe_averror(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

FramePtr make_picture(AVPixelFormat format, int width, int height) {
  FramePtr picture = make_frame();
  picture->format = format;
  picture->width = width;
  picture->height = height;
  if (av_frame_get_buffer(picture.get(), kRowAlignment) < 0) throw std::bad_alloc();
  return picture;
}

void silence_ffmpeg() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(drop_log_line); });
}

}  // namespace mmra::media
