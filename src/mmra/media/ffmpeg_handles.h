#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

namespace mmra::media {

/// Owns what FFmpeg allocated; `Free` is called with the address of the pointer.
template <typename T, void (*Free)(T**)>
struct FreeByAddress {
  void operator()(T* pointer) const noexcept { Free(&pointer); }
};

struct FreeSws {
  void operator()(SwsContext* context) const noexcept { sws_freeContext(context); }
};

struct FreeInput {
  void operator()(AVFormatContext* context) const noexcept { avformat_close_input(&context); }
};

struct FreeParser {
  void operator()(AVCodecParserContext* parser) const noexcept { av_parser_close(parser); }
};

using FramePtr = std::unique_ptr<AVFrame, FreeByAddress<AVFrame, av_frame_free>>;
using PacketPtr = std::unique_ptr<AVPacket, FreeByAddress<AVPacket, av_packet_free>>;
using CodecPtr =
    std::unique_ptr<AVCodecContext, FreeByAddress<AVCodecContext, avcodec_free_context>>;
using ParametersPtr =
    std::unique_ptr<AVCodecParameters, FreeByAddress<AVCodecParameters, avcodec_parameters_free>>;
using InputPtr = std::unique_ptr<AVFormatContext, FreeInput>;
using SwsPtr = std::unique_ptr<SwsContext, FreeSws>;
using ParserPtr = std::unique_ptr<AVCodecParserContext, FreeParser>;

/// Never null: throw std::bad_alloc.
[[nodiscard]] FramePtr make_frame();
[[nodiscard]] PacketPtr make_packet();

/// FFmpeg's words for one of its codes ("End of file"), on one line.
[[nodiscard]] std::string describe_averror(int code);

/// A picture of its own, [height × width] of `format`, rows aligned and padded for SIMD. Throws
/// std::bad_alloc.
[[nodiscard]] FramePtr make_picture(AVPixelFormat format, int width, int height);

/// FFmpeg logs to stderr unless told otherwise; the library never prints. Once per process.
void silence_ffmpeg();

}  // namespace mmra::media
