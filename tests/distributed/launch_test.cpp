#include "mmra/distributed/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "expect_error.h"

namespace mmra::distributed {
namespace {

class LaunchOfEnvironment : public ::testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void set(const char* name, const char* value) { ::setenv(name, value, 1); }

 private:
  static void clear() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE",
                             "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "MMRA_MPI_LIBRARY"}) {
      ::unsetenv(name);
    }
  }
};

TEST_F(LaunchOfEnvironment, IsOneProcessWhereNothingIsSet) {
  EXPECT_EQ(launch_of_environment().rank, 0);
  EXPECT_EQ(launch_of_environment().size, 1);
}

TEST_F(LaunchOfEnvironment, KnowsTheLaunchers) {
  set("PMIX_RANK", "1");
  set("SLURM_STEP_NUM_TASKS", "8");
  EXPECT_EQ(launch_of_environment().size, 8);
  EXPECT_EQ(launch_of_environment().rank, 1);
  set("PMI_RANK", "2");
  set("PMI_SIZE", "3");
  EXPECT_EQ(launch_of_environment().rank, 2);
  set("OMPI_COMM_WORLD_RANK", "4");
  set("OMPI_COMM_WORLD_SIZE", "6");
  EXPECT_EQ(launch_of_environment().rank, 4);
  EXPECT_EQ(launch_of_environment().size, 6);
}

TEST_F(LaunchOfEnvironment, IgnoresWhatIsNoNumberOrMakesNoSense) {
  set("OMPI_COMM_WORLD_RANK", "x");
  set("OMPI_COMM_WORLD_SIZE", "2");
  EXPECT_EQ(launch_of_environment().size, 1);
  set("OMPI_COMM_WORLD_RANK", "2");
  EXPECT_EQ(launch_of_environment().size, 1);
  set("OMPI_COMM_WORLD_RANK", "-1");
  EXPECT_EQ(launch_of_environment().size, 1);
  set("OMPI_COMM_WORLD_RANK", "1 ");
  EXPECT_EQ(launch_of_environment().size, 1);
}

TEST_F(LaunchOfEnvironment, SaysWhatMpiNeeds) {
  set("MMRA_MPI_LIBRARY", "/nowhere/libmmra_mpi.so");
  testing::expect_error(ErrorKind::kUnsupported, "libopenmpi-dev", [] { (void)open_mpi(); });
}

}  // namespace
}  // namespace mmra::distributed
