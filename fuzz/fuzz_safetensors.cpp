// A safetensors file of any bytes, from memory and through a file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "mmra/core/safetensors.h"
#include "outcome.h"

namespace {

using mmra::fuzz::outcome_of;
using mmra::fuzz::report_finding;
using mmra::fuzz::require;

std::string read_from_memory(std::span<const std::byte> bytes) {
  return outcome_of([&] {
    const auto content = mmra::parse_safetensors(bytes, "f");
    std::string all;
    for (const auto& [name, view] : content.tensors) {
      require(view.bytes.empty() ||
                  (view.bytes.data() >= bytes.data() &&
                   view.bytes.data() + view.bytes.size() <= bytes.data() + bytes.size()),
              "a tensor outside the file");
      std::uint64_t elements = 1;
      for (const std::int64_t dimension : view.shape) {
        elements *= static_cast<std::uint64_t>(dimension);
      }
      require(elements * mmra::size_of(view.type) == view.bytes.size(),
              "a shape that does not fit its bytes");
      all += name + ' ' + std::to_string(elements) + '\n';
    }
    return all + std::to_string(content.metadata.size());
  });
}

/// Everything a user of the file does with it.
void read_from_file(std::span<const std::byte> bytes) {
  static const int kDescriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  if (kDescriptor < 0 || ::ftruncate(kDescriptor, 0) != 0 ||
      ::pwrite(kDescriptor, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    report_finding("no memory file; this is not the reader's fault");
  }
  static_cast<void>(outcome_of([&] {
    const mmra::SafetensorsFile file("/proc/self/fd/" + std::to_string(kDescriptor));
    for (const auto& [name, view] : file.tensors()) {
      static_cast<void>(outcome_of([&, &key = name, &tensor = view] {
        const auto values = file.floats(key, tensor.shape);
        require(static_cast<std::int64_t>(values.size()) == tensor.num_elements(),
                "another number of values");
        return std::string();
      }));
    }
    return std::string();
  }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  static_cast<void>(read_from_memory(bytes));
  read_from_file(bytes);
  return 0;
}
