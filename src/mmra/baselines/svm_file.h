#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::baselines {

/// A support-vector regression with an RBF kernel: f(x) = Σ coefficient_i · exp(−γ|x − v_i|²) −
/// rho.
struct SupportVectors {
  double gamma = 0.0;
  double rho = 0.0;
  std::size_t width = 0;             ///< features
  std::vector<double> coefficients;  ///< [n]
  std::vector<float> vectors;        ///< row-major [n × width]

  [[nodiscard]] std::size_t size() const { return coefficients.size(); }
  /// f(x), x [width]. Thread-safe.
  [[nodiscard]] double evaluate(std::span<const float> x) const;
};

/// A model file of libsvm ("svm_type epsilon_svr", "kernel_type rbf"), whose vectors have indices
/// from 1 to `width`. libsvm's own reader trusts its input; this one does not. Throws
/// Error{kCorruptData} naming `origin`, line, expected and actual.
[[nodiscard]] SupportVectors parse_svm_file(std::string_view text, std::size_t width,
                                            const std::string& origin);

}  // namespace mmra::baselines
