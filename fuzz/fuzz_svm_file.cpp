// A model file of libsvm of any bytes; the first byte is the number of features.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/baselines/svm_file.h"
#include "outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t width = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  static_cast<void>(mmra::fuzz::outcome_of([&] {
    const auto vectors = mmra::baselines::parse_svm_file(text, width, "f");
    mmra::fuzz::require(vectors.vectors.size() == vectors.size() * width,
                        "vectors of another width");
    const std::vector<float> x(width, 0.5F);
    return std::to_string(vectors.evaluate(x));
  }));
  return 0;
}
