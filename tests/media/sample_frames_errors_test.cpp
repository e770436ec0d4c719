#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "expect_error.h"
#include "mmra/media/jpeg.h"
#include "mmra/media/sample_frames.h"
#include "test_clips.h"
#include "test_files.h"

// One clear line for everything that is no video.

namespace mmra::media {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::write_bytes;

void expect_refused(const std::filesystem::path& file, ErrorKind kind, const std::string& what) {
  expect_error(kind, file.string(), [&] { (void)sample_frames(file, {}); });
  expect_error(kind, what, [&] { (void)sample_frames(file, {}); });
}

std::string little_endian(std::uint32_t value, int num_bytes) {
  std::string bytes;
  for (int i = 0; i < num_bytes; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

std::string big_endian(std::uint32_t value) {
  std::string bytes = little_endian(value, 4);
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

/// A second of silence.
std::string wav_file() {
  const std::string samples(16'000, '\0');
  return "RIFF" + little_endian(36 + 16'000, 4) + "WAVEfmt " + little_endian(16, 4) +
         little_endian(1, 2) + little_endian(1, 2) + little_endian(8'000, 4) +
         little_endian(16'000, 4) + little_endian(2, 2) + little_endian(16, 2) + "data" +
         little_endian(16'000, 4) + samples;
}

/// Silent MPEG-1 layer III at 128 kbit/s, with a JPEG as its cover in an ID3v2.3 tag.
std::string mp3_file_with_cover() {
  const std::vector<std::uint8_t> jpeg = encode_jpeg(testing::numbered_frame(5), 0, 90);
  std::string picture("\0image/jpeg\0\3\0", 14);
  picture.append(jpeg.begin(), jpeg.end());
  const std::string frame = "APIC" + big_endian(static_cast<std::uint32_t>(picture.size())) +
                            std::string(2, '\0') + picture;
  std::string size;  // four times seven bits
  for (int shift = 21; shift >= 0; shift -= 7) {
    size.push_back(static_cast<char>(frame.size() >> shift & 0x7F));
  }
  std::string file = "ID3" + std::string("\3\0\0", 3) + size + frame;
  for (int i = 0; i < 50; ++i) file += "\xFF\xFB\x90\x64" + std::string(413, '\0');
  return file;
}

TEST(SampleFramesErrors, AFileThatIsNotThere) {
  expect_refused("/no/where.mp4", ErrorKind::kNotFound, "No such file");
  expect_refused("", ErrorKind::kNotFound, "No such file");
}

TEST(SampleFramesErrors, ADirectory) {
  const TemporaryDirectory directory;
  expect_refused(directory.path(), ErrorKind::kInvalidInput, "it is a directory");
}

TEST(SampleFramesErrors, APipeOrSocketOrDeviceIsNotWaitedFor) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "pipe.mp4").c_str(), 0600), 0);
  expect_refused(directory / "pipe.mp4", ErrorKind::kInvalidInput, "a regular file is needed");
  expect_refused("/dev/zero", ErrorKind::kInvalidInput, "a regular file is needed");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (directory / "socket").c_str(), sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  expect_refused(directory / "socket", ErrorKind::kInvalidInput, "a regular file is needed");
  ::close(socket);
}

TEST(SampleFramesErrors, NoPermission) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.mp4", "x");
  ASSERT_EQ(::chmod((directory / "a.mp4").c_str(), 0), 0);
  // Root may read everything, so that it is somebody else for a moment.
  const bool was_root = ::geteuid() == 0;
  ASSERT_EQ(::seteuid(was_root ? 65'534 : ::geteuid()), 0);
  expect_refused(directory / "a.mp4", ErrorKind::kIo, "check the permissions");
  ASSERT_EQ(::seteuid(was_root ? 0 : ::geteuid()), 0);
}

TEST(SampleFramesErrors, AnEmptyFile) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.mp4", "");
  expect_refused(directory / "a.mp4", ErrorKind::kCorruptData, "it is empty");
  expect_error(ErrorKind::kCorruptData, "empty",
               [] { (void)sample_frames_from_memory(std::span<const std::byte>(), {}); });
}

TEST(SampleFramesErrors, NotAVideo) {
  const TemporaryDirectory directory;
  write_bytes(directory / "text.mp4", "This is not a video.\n");
  expect_refused(directory / "text.mp4", ErrorKind::kCorruptData, "not a video");
  write_bytes(directory / "zeros.mp4", std::string(100'000, '\0'));
  expect_refused(directory / "zeros.mp4", ErrorKind::kCorruptData, "not a video");
  std::string noise(100'000, '\0');
  std::uint32_t state = 1;
  for (char& byte : noise) byte = static_cast<char>((state = state * 1'664'525 + 1) >> 24);
  write_bytes(directory / "noise.mp4", noise);
  try {
    (void)sample_frames(directory / "noise.mp4", {});
    ADD_FAILURE() << "noise has no frames";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("noise.mp4"));
  }
}

TEST(SampleFramesErrors, SoundOnly) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.wav", wav_file());
  expect_refused(directory / "a.wav", ErrorKind::kInvalidInput, "sound only");
}

TEST(SampleFramesErrors, SoundWithACoverIsSoundOnly) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.mp3", mp3_file_with_cover());
  expect_refused(directory / "a.mp3", ErrorKind::kInvalidInput, "sound only");
}

TEST(SampleFramesErrors, PlaylistsDoNotOpenOtherFiles) {
  const TemporaryDirectory directory;
  testing::write_numbered_clip(directory / "a.ts", 10, {});
  testing::write_numbered_clip(directory / "a.mp4", 10, {});
  const std::string playlist =
      "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
      "#EXTINF:0.4,\n" +
      (directory / "a.ts").string() + "\n#EXT-X-ENDLIST\n";
  write_bytes(directory / "list.m3u8", playlist);
  write_bytes(directory / "list.mp4", playlist);
  write_bytes(directory / "list.ffconcat",
              "ffconcat version 1.0\nfile '" + (directory / "a.mp4").string() + "'\n");
  for (const char* name : {"list.m3u8", "list.mp4", "list.ffconcat"}) {
    try {
      (void)sample_frames(directory / name, {});
      ADD_FAILURE() << name << " was followed";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(name));
      EXPECT_NE(error.kind(), ErrorKind::kInternal);
    }
  }
}

TEST(SampleFramesErrors, ProtocolsAreOnlyNames) {
  expect_refused("http://127.0.0.1:1/a.mp4", ErrorKind::kNotFound, "No such file");
  expect_refused("concat:a.mp4|b.mp4", ErrorKind::kNotFound, "No such file");
  expect_refused("data:video/mp4;base64,AAAA", ErrorKind::kNotFound, "No such file");
}

TEST(SampleFramesErrors, TextIsNotDrawn) {
  // FFmpeg can draw text with terminal codes as pictures.
  const TemporaryDirectory directory;
  std::string text;
  for (int i = 0; i < 200; ++i) text += "\x1B[31mred\x1B[0m plain\x1B[2K\r\n";
  write_bytes(directory / "a.ans", text);
  try {
    (void)sample_frames(directory / "a.ans", {});
    ADD_FAILURE() << "text was drawn";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("a.ans"));
  }
}

TEST(SampleFramesErrors, ACodecWithoutADecoder) {
  const TemporaryDirectory directory;
  testing::write_numbered_clip(directory / "a.mkv", 10, {.codec = ClipCodec::kMjpeg});
  std::string bytes = testing::bytes_of(directory / "a.mkv");
  const std::size_t at = bytes.find("V_MJPEG");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 7, "V_XXXXX");
  write_bytes(directory / "a.mkv", bytes);
  expect_refused(directory / "a.mkv", ErrorKind::kUnsupported, "no decoder for its codec");
}

TEST(SampleFramesErrors, NoFrameThatDecodes) {
  const TemporaryDirectory directory;
  testing::write_numbered_clip(directory / "a.mkv", 10, {.gop_size = 5});
  std::string bytes = testing::bytes_of(directory / "a.mkv");
  // Everything from the first block on, its NAL units' lengths included.
  const std::size_t cluster = bytes.find("\x1F\x43\xB6\x75");
  ASSERT_NE(cluster, std::string::npos);
  for (std::size_t i = bytes.find('\xA3', cluster) + 8; i < bytes.size(); ++i) bytes[i] = '\x11';
  write_bytes(directory / "a.mkv", bytes);
  expect_refused(directory / "a.mkv", ErrorKind::kCorruptData, "damaged");
}

}  // namespace
}  // namespace mmra::media
