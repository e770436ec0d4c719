// mmra-decoder: standard input (a video file) to frames on standard output (sandbox/clip_stream.h),
// for mmra serve. It gives up everything else before it looks at the first byte.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>

#include "mmra/core/error.h"
#include "mmra/core/sanitizer.h"
#include "mmra/media/sample_frames.h"
#include "mmra/sandbox/clip_stream.h"
#include "mmra/sandbox/confinement.h"

namespace {

using mmra::Error;
using mmra::ErrorKind;

constexpr int kWrongUsage = 2;

void write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw Error(ErrorKind::kIo, "nobody reads the answer");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

std::span<const std::byte> map_input() {
  struct stat status {};
  if (::fstat(STDIN_FILENO, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kInvalidInput, "standard input is no file");
  }
  if (status.st_size == 0) throw Error(ErrorKind::kCorruptData, "the video is empty");
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
  if (address == MAP_FAILED) throw Error(ErrorKind::kIo, "the video cannot be mapped");
  return {static_cast<const std::byte*>(address), size};
}

/// media/ names the bytes it reads; here that name says nothing.
std::string without_name(std::string message) {
  const std::string name = " (bytes in memory)";
  for (std::size_t at = message.find(name); at != std::string::npos; at = message.find(name)) {
    message.erase(at, name.size());
  }
  return message;
}

void run(char** argv) {
  mmra::media::SampleOptions options;
  options.num_frames = std::atoi(argv[1]);
  options.max_side_px = std::atoi(argv[2]);
  options.max_decode_s = std::atof(argv[3]);
  options.max_pixels = std::atoll(argv[4]);
  const std::span<const std::byte> video = map_input();
  mmra::sandbox::ConfinementLimits limits;
  limits.max_memory_bytes = std::atoll(argv[5]) + static_cast<std::int64_t>(video.size());
  limits.max_processor_s = static_cast<int>(options.max_decode_s) + 2;
  mmra::sandbox::confine_this_process(limits);
  mmra::sandbox::write_clip(mmra::media::sample_frames_from_memory(video, options), write_all);
}

}  // namespace

#if MMRA_ADDRESS_SANITIZER
// Looking for leaks at the end needs what the filter takes away.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }
#endif

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fputs("error: mmra-decoder is started by mmra serve, not by people\n", stderr);
    return kWrongUsage;
  }
  try {
    try {
      run(argv);
    } catch (const Error& error) {
      mmra::sandbox::write_error(Error(error.kind(), without_name(error.what())), write_all);
    }
  } catch (const std::bad_alloc&) {
    return mmra::sandbox::kOutOfMemoryStatus;
  } catch (const std::exception&) {  // nobody reads
    return EXIT_FAILURE;
  }
  // What was allocated goes with the process.
  ::_exit(EXIT_SUCCESS);
}
