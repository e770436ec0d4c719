#include "mmra/distributed/launch.h"

#include <dlfcn.h>

#include <charconv>
#include <filesystem>
#include <string>
#include <vector>

#include "mmra/core/environment.h"
#include "mmra/core/error.h"
#include "mmra/distributed/mpi_abi.h"

namespace mmra::distributed {
namespace {

namespace fs = std::filesystem;

constexpr char kFileName[] = "libmmra_mpi.so";

/// Open MPI's mpirun, then MPICH's and Intel's, then srun with either protocol.
constexpr struct {
  const char* rank;
  const char* size;
} kVariables[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                  {"PMI_RANK", "PMI_SIZE"},
                  {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"}};

std::optional<int> number_in(const char* variable) {
  const std::string digits = environment_variable(variable);
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

/// In the order in which they are tried: beside the running program, where the user says, where the
/// system's loader looks.
std::vector<std::string> candidates() {
  if (std::string given = environment_variable("MMRA_MPI_LIBRARY"); !given.empty()) return {given};
  std::vector<std::string> paths;
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  if (!code) paths.push_back((program.parent_path().parent_path() / "lib" / kFileName).string());
  paths.emplace_back(kFileName);
  return paths;
}

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::kUnsupported,
              "MPI cannot be used (" + why +
                  "); install libopenmpi-dev and openmpi-bin (bash scripts/setup.sh --extras) and "
                  "build again, or start the program without mpirun (docs/distributed.md)");
}

void* open_library() {
  std::string why;
  for (const std::string& path : candidates()) {
    // Open MPI loads parts of itself later, which look for its symbols among the global ones. Never
    // closed: MPI cannot be started twice.
    if (void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL); handle != nullptr) {
      return handle;
    }
    if (why.empty()) why = ::dlerror();
  }
  refuse(why);
}

void* symbol(void* handle, const char* name) {
  void* address = ::dlsym(handle, name);
  if (address == nullptr) refuse(std::string(kFileName) + " has no " + name);
  return address;
}

}  // namespace

Launch launch_of_environment() {
  for (const auto& variables : kVariables) {
    const auto rank = number_in(variables.rank);
    const auto size = number_in(variables.size);
    if (rank && size && *rank >= 0 && *rank < *size) return {*rank, *size};
  }
  return {};
}

std::unique_ptr<Communicator> open_mpi() {
  void* handle = open_library();
  const auto abi = reinterpret_cast<MpiAbiFunction>(symbol(handle, kMpiAbiSymbol));
  if (abi() != mpi_abi()) refuse("the library was built from other sources than this program");
  const auto open = reinterpret_cast<MpiOpenFunction>(symbol(handle, kMpiOpenSymbol));
  return std::unique_ptr<Communicator>(open());
}

}  // namespace mmra::distributed
