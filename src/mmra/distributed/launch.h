#pragma once

#include <memory>

#include "mmra/distributed/communicator.h"

namespace mmra::distributed {

/// What the environment says of how this process was started: by mpirun, srun and the like, each of
/// which sets variables of its own.
struct Launch {
  int rank = 0;
  int size = 1;
};
/// Looks at the environment alone.
[[nodiscard]] Launch launch_of_environment();

/// The ranks that MPI started beside this one. Loads libmmra_mpi.so, which lies beside the program
/// or where MMRA_MPI_LIBRARY says, and starts MPI with the signal mask that the calling thread has.
/// Throws Error{kUnsupported} that says what to install where the library is not there.
[[nodiscard]] std::unique_ptr<Communicator> open_mpi();

}  // namespace mmra::distributed
