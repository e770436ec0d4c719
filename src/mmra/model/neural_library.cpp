#include "mmra/model/neural_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/model/neural_abi.h"

namespace mmra::model {
namespace {

namespace fs = std::filesystem;

constexpr char kFileName[] = "libmmra_neural.so";

struct NeuralLibrary {
  MakeFunction make = nullptr;
  LoadFunction load = nullptr;
  MakeBaselineFunction make_baseline = nullptr;
  LoadFunction load_baseline = nullptr;
};

/// In the order in which they are tried: beside the running program, where the user says, where the
/// system's loader looks.
std::vector<std::string> candidates() {
  std::vector<std::string> paths;
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  if (!code) paths.push_back((program.parent_path().parent_path() / "lib" / kFileName).string());
  if (const char* given = std::getenv("MMRA_NEURAL_LIBRARY"); given != nullptr && *given != '\0') {
    paths.emplace_back(given);
  }
  paths.emplace_back(kFileName);
  return paths;
}

void* symbol(void* handle, const char* name, const std::string& path) {
  void* address = ::dlsym(handle, name);
  if (address == nullptr) {
    throw Error(ErrorKind::kUnsupported, path + " is not mmra's neural library: it has no " + name);
  }
  return address;
}

NeuralLibrary open_library(void* handle, const std::string& path) {
  const auto abi = reinterpret_cast<AbiFunction>(symbol(handle, kAbiSymbol, path));
  if (abi() != neural_abi()) {
    throw Error(ErrorKind::kUnsupported,
                path + " was built from other sources than this program (" + abi() + ", expected " +
                    neural_abi() + "); build both again");
  }
  return {reinterpret_cast<MakeFunction>(symbol(handle, kMakeSymbol, path)),
          reinterpret_cast<LoadFunction>(symbol(handle, kLoadSymbol, path)),
          reinterpret_cast<MakeBaselineFunction>(symbol(handle, kMakeBaselineSymbol, path)),
          reinterpret_cast<LoadFunction>(symbol(handle, kLoadBaselineSymbol, path))};
}

NeuralLibrary find_library() {
  std::string tried;
  for (const std::string& path : candidates()) {
    // Never closed: LibTorch cannot be unloaded.
    if (void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); handle != nullptr) {
      return open_library(handle, path);
    }
    tried += (tried.empty() ? "" : "; ") + std::string(::dlerror());
  }
  throw Error(ErrorKind::kUnsupported,
              "the neural network's library cannot be loaded (" + tried +
                  "); build with MMRA_NEURAL=ON, or set MMRA_NEURAL_LIBRARY to its path");
}

const NeuralLibrary& library() {
  static std::mutex mutex;
  static NeuralLibrary loaded;
  const std::scoped_lock lock(mutex);
  if (loaded.make == nullptr) loaded = find_library();
  return loaded;
}

}  // namespace

std::unique_ptr<IterativePredictor> make_mmra(const MmraConfig& config, int num_threads) {
  validate_config(config);
  return std::unique_ptr<IterativePredictor>(library().make(config, num_threads));
}

std::unique_ptr<Predictor> load_mmra(const std::filesystem::path& directory, int num_threads) {
  return std::unique_ptr<Predictor>(library().load(directory, num_threads));
}

std::unique_ptr<IterativePredictor> make_neural_baseline(const NeuralBaselineConfig& config,
                                                         int num_threads) {
  validate_config(config);
  return std::unique_ptr<IterativePredictor>(library().make_baseline(config, num_threads));
}

std::unique_ptr<Predictor> load_neural_baseline(const std::filesystem::path& directory,
                                                int num_threads) {
  return std::unique_ptr<Predictor>(library().load_baseline(directory, num_threads));
}

}  // namespace mmra::model
