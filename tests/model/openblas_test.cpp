#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <link.h>

#include <string>
#include <vector>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural_library.h"

namespace mmra::model {
namespace {

std::vector<std::string> loaded_openblas() {
  std::vector<std::string> paths;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* into) {
        const std::string path = info->dlpi_name;
        if (path.find("libopenblas") != std::string::npos) {
          static_cast<std::vector<std::string>*>(into)->push_back(path);
        }
        return 0;
      },
      &paths);
  return paths;
}

// Whatever BLAS the system has chosen: two kinds of threads that wait for each other by spinning
// were measured at six times the time of a step.
TEST(OpenBlas, TheOneOnOpenMpThreadsIsLoaded) {
  MmraConfig config;
  config.text_dim = 4;
  config.width = 4;
  (void)make_mmra(config, 1);
  EXPECT_THAT(loaded_openblas(), testing::ElementsAre(testing::HasSubstr("openblas-openmp")));
}

}  // namespace
}  // namespace mmra::model
