#pragma once

#include <string>

#include "mmra/distributed/communicator.h"

namespace mmra::distributed {

// What libmmra_mpi.so exports by C names. An object of C++ crosses here, so both sides must have
// been compiled from the same headers.

/// Raise the number when Communicator changes.
[[nodiscard]] inline std::string mpi_abi() { return "2"; }

inline constexpr char kMpiAbiSymbol[] = "mmra_mpi_abi";
inline constexpr char kMpiOpenSymbol[] = "mmra_mpi_open";

/// The library's mpi_abi(), static storage.
using MpiAbiFunction = const char* (*)();
/// Starts MPI, which goes once in a process; the caller deletes the object, which ends it. Throws
/// mmra::Error.
using MpiOpenFunction = Communicator* (*)();

}  // namespace mmra::distributed
