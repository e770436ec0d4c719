#include "mmra/core/resource_error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <optional>

#include "expect_error.h"

namespace mmra {
namespace {

std::optional<ResourceError::Resource> resource_of(int error_number) {
  try {
    throw_system_error("write", "a/file", error_number);
  } catch (const ResourceError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_EQ(std::string(error.what()), system_error("write", "a/file", error_number).what());
    return error.resource();
  } catch (const Error&) {
    return std::nullopt;
  }
}

TEST(ResourceError, IsWhatCanSucceedLater) {
  EXPECT_EQ(resource_of(ENOSPC), ResourceError::Resource::kDisk);
  EXPECT_EQ(resource_of(EDQUOT), ResourceError::Resource::kDisk);
  EXPECT_EQ(resource_of(EFBIG), ResourceError::Resource::kDisk);
  EXPECT_EQ(resource_of(EMFILE), ResourceError::Resource::kProcess);
  EXPECT_EQ(resource_of(EAGAIN), ResourceError::Resource::kProcess);
  EXPECT_EQ(resource_of(EACCES), std::nullopt);
  mmra::testing::expect_error(ErrorKind::kNotFound, "a/file",
                              [] { throw_system_error("read", "a/file", ENOENT); });
}

}  // namespace
}  // namespace mmra
