// calibration.json of a model directory, of any bytes, and the intervals that come of it.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/training/calibration.h"
#include "outcome.h"

namespace {

using mmra::fuzz::outcome_of;
using mmra::fuzz::require;
using mmra::training::Calibration;
using mmra::training::ErrorScale;
using mmra::training::ErrorSignals;

/// What a query may bring: nothing unusual, and far beyond what any scale was fitted to.
constexpr std::array<double, 3> kSignals = {0.0, -1e6, 1e6};
constexpr std::array<double, 4> kDifferences = {0.0, 1e-9, 1.0, 1e6};

void check_intervals(const Calibration& calibration) {
  for (const double value : kSignals) {
    ErrorSignals signals{};
    signals.fill(value);
    const double scale = calibration.error_scale(signals);
    require(scale >= ErrorScale::kLowest && scale <= ErrorScale::kHighest,
            "a scale of errors out of its bounds");
    require(calibration.half_width(signals) >= 0.0, "an interval of a negative width, or none");
    for (const double difference : kDifferences) {
      const auto confidence = calibration.sign_confidence(difference, scale);
      require(confidence.has_value() == !calibration.error_quantiles.empty(),
              "a confidence without errors, or errors without one");
      require(!confidence || (*confidence >= 0.5 && *confidence < 1.0),
              "a confidence that is none");
    }
  }
}

}  // namespace

/// What was read comes back from what is written of it, and gives intervals for any query.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(outcome_of([&] {
    const Calibration calibration = mmra::training::parse_calibration(text, "f");
    check_intervals(calibration);
    std::string written = mmra::training::calibration_to_json(calibration);
    require(mmra::training::calibration_to_json(mmra::training::parse_calibration(written, "f")) ==
                written,
            "a calibration that changes when it is written");
    return written;
  }));
  return 0;
}
