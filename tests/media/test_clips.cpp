#include "test_clips.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "mmra/core/files.h"
#include "mmra/media/frame_converter.h"
#include "mmra/media/sample_frames.h"

namespace mmra::media::testing {
namespace {

constexpr int kBlocks = 4;  // a side; one bit each

std::size_t offset_of(const Frame& frame, int x, int y) {
  return (static_cast<std::size_t>(y) * static_cast<std::size_t>(frame.width) +
          static_cast<std::size_t>(x)) *
         3;
}

struct CodecParameters {
  InputPtr input;
  AVStream* stream = nullptr;
  CodecPtr decoder;
};

CodecParameters open_plainly(const std::filesystem::path& file) {
  CodecParameters opened;
  AVFormatContext* input = nullptr;
  if (avformat_open_input(&input, file.c_str(), nullptr, nullptr) < 0) return opened;
  opened.input.reset(input);
  if (avformat_find_stream_info(input, nullptr) < 0) return opened;
  const AVCodec* codec = nullptr;
  const int index = av_find_best_stream(input, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
  if (index < 0) return opened;
  opened.stream = input->streams[index];
  opened.decoder.reset(avcodec_alloc_context3(codec));
  avcodec_parameters_to_context(opened.decoder.get(), opened.stream->codecpar);
  opened.decoder->thread_count = 1;
  if (avcodec_open2(opened.decoder.get(), codec, nullptr) < 0) opened.decoder.reset();
  return opened;
}

/// Decodes everything and calls `take` with each picture in the order it comes.
void decode_all(CodecParameters& opened, const std::function<void(const AVFrame&)>& take) {
  const PacketPtr packet = make_packet();
  const FramePtr picture = make_frame();
  bool more = true;
  while (more) {
    more = av_read_frame(opened.input.get(), packet.get()) >= 0;
    if (more && packet->stream_index != opened.stream->index) {
      av_packet_unref(packet.get());
      continue;
    }
    avcodec_send_packet(opened.decoder.get(), more ? packet.get() : nullptr);
    av_packet_unref(packet.get());
    for (int failures = 0; failures < 64;) {
      const int code = avcodec_receive_frame(opened.decoder.get(), picture.get());
      if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) break;
      if (code < 0) {
        ++failures;
      } else {
        take(*picture);
      }
    }
  }
}

std::vector<std::int64_t> linspace(std::int64_t num_frames, int num_picks) {
  std::vector<std::int64_t> picks;
  for (int i = 0; i < num_picks && num_frames > 0; ++i) {
    const auto last = static_cast<double>(num_frames - 1);
    const double step = num_picks > 1 ? last / (num_picks - 1) : 0.0;
    const bool is_end = i > 0 && i == num_picks - 1;
    picks.push_back(static_cast<std::int64_t>(is_end ? last : std::floor(i * step)));
  }
  picks.erase(std::unique(picks.begin(), picks.end()), picks.end());
  return picks;
}

void expect_same_frames(const std::vector<Frame>& actual, const std::vector<Frame>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].index, expected[i].index) << "frame " << i;
    EXPECT_EQ(actual[i].width, expected[i].width) << "frame " << i;
    EXPECT_EQ(actual[i].height, expected[i].height) << "frame " << i;
    EXPECT_TRUE(actual[i].rgb == expected[i].rgb) << "the pixels of frame " << i << " differ";
  }
}

}  // namespace

Frame numbered_frame(int number, int width, int height) {
  Frame frame;
  frame.width = width;
  frame.height = height;
  frame.rgb.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int bit = (y * kBlocks / height) * kBlocks + x * kBlocks / width;
      const auto value = static_cast<std::uint8_t>((number >> bit & 1) != 0 ? 235 : 20);
      std::fill_n(frame.rgb.begin() + static_cast<std::ptrdiff_t>(offset_of(frame, x, y)), 3,
                  value);
    }
  }
  return frame;
}

int number_of(const Frame& frame) {
  int number = 0;
  for (int bit = 0; bit < kBlocks * kBlocks; ++bit) {
    const int x = (2 * (bit % kBlocks) + 1) * frame.width / (2 * kBlocks);
    const int y = (2 * (bit / kBlocks) + 1) * frame.height / (2 * kBlocks);
    if (frame.rgb[offset_of(frame, x, y) + 1] > 127) number |= 1 << bit;
  }
  return number;
}

std::vector<int> numbers_of(const SampledClip& clip) {
  std::vector<int> numbers;
  for (const Frame& frame : clip.frames) numbers.push_back(number_of(frame));
  return numbers;
}

void write_numbered_clip(const std::filesystem::path& file, int num_frames,
                         const ClipWriterOptions& options, int width, int height) {
  ClipWriter writer(file, options);
  for (int i = 0; i < num_frames; ++i) writer.add(numbered_frame(i, width, height));
  writer.finish();
}

OracleClip sample_by_oracle(const std::filesystem::path& file, const SampleOptions& options) {
  silence_ffmpeg();
  OracleClip clip;
  CodecParameters counted = open_plainly(file);
  if (!counted.decoder) return clip;
  decode_all(counted, [&](const AVFrame& /*picture*/) { ++clip.num_frames; });
  const std::vector<std::int64_t> picks = linspace(clip.num_frames, options.num_frames);
  CodecParameters opened = open_plainly(file);
  FrameConverter converter(*opened.stream, options.max_side_px);
  std::int64_t index = 0;
  decode_all(opened, [&](const AVFrame& picture) {
    if (std::find(picks.begin(), picks.end(), index) != picks.end()) {
      clip.frames.push_back(converter.convert(picture));
      clip.frames.back().index = index;
    }
    ++index;
  });
  return clip;
}

std::optional<std::int64_t> expect_like_oracle(const std::filesystem::path& file,
                                               const SampleOptions& options) {
  const OracleClip expected = sample_by_oracle(file, options);
  EXPECT_FALSE(expected.frames.empty()) << "the oracle decodes nothing of " << file;
  SampleOptions everything = options;
  everything.decode_everything = true;
  const SampledClip slow = sample_frames(file, everything);
  EXPECT_EQ(slow.info.num_frames, expected.num_frames);
  expect_same_frames(slow.frames, expected.frames);
  SampleTrace trace;
  const SampledClip fast = sample_frames(file, options, &trace);
  EXPECT_EQ(fast.info.num_frames, expected.num_frames);
  expect_same_frames(fast.frames, expected.frames);
  for (std::size_t i = 0; i < fast.frames.size() && i < slow.frames.size(); ++i) {
    EXPECT_NEAR(fast.frames[i].pts_s, slow.frames[i].pts_s, 1e-9);
  }
  EXPECT_NEAR(fast.info.duration_s, slow.info.duration_s, 1e-9);
  if (!trace.skipped_packets) return std::nullopt;
  return trace.packets_decoded;
}

std::string bytes_of(const std::filesystem::path& file) { return read_file(file); }

void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  write_file_atomically(file, bytes);
}

}  // namespace mmra::media::testing
