// x265 3.5 and x264 (where it refuses what was asked of it) lose memory of their own; our code and
// FFmpeg's decoders stay under LeakSanitizer's eye.
extern "C" const char* __lsan_default_suppressions();   // NOLINT
extern "C" const char* __lsan_default_suppressions() {  // NOLINT
  return "leak:libx265\nleak:libx264\n";
}
