#include "mmra/core/scratch_directory.h"

#include <gtest/gtest.h>

#include "mmra/core/files.h"

namespace mmra {
namespace {

TEST(ScratchDirectory, IsEmptyAndGoesWithWhatIsInIt) {
  std::filesystem::path path;
  {
    const ScratchDirectory first("test");
    const ScratchDirectory second("test");
    EXPECT_NE(first.path(), second.path());
    EXPECT_TRUE(std::filesystem::is_empty(first.path()));
    path = first.path();
    make_directories(path / "below");
    write_file_atomically(path / "below/file", "x");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace mmra
