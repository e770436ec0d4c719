#include "mmra/baselines/svm_file.h"

#include <Eigen/Core>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "mmra/core/error.h"

namespace mmra::baselines {
namespace {

constexpr std::size_t kMaxQuoted = 40;  // of a damaged line, in a message

/// Goes through the text line by line, and through a line word by word.
class Reader {
 public:
  Reader(std::string_view text, std::string origin) : rest_(text), origin_(std::move(origin)) {}

  [[nodiscard]] bool next_line() {
    if (rest_.empty()) return false;
    ++line_number_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) fail("does not end: the file is cut off");
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }
  /// The next word of the line; empty at its end.
  [[nodiscard]] std::string_view word() {
    line_.remove_prefix(std::min(line_.find_first_not_of(' '), line_.size()));
    const std::string_view word = line_.substr(0, line_.find(' '));
    line_.remove_prefix(word.size());
    return word;
  }
  template <typename Number>
  [[nodiscard]] Number number(std::string_view word) const {
    Number value{};
    const auto result = std::from_chars(word.data(), word.data() + word.size(), value);
    if (result.ec != std::errc() || result.ptr != word.data() + word.size()) {
      fail("has \"" + std::string(word.substr(0, kMaxQuoted)) + "\" where a number is expected");
    }
    if constexpr (std::is_floating_point_v<Number>) {
      if (!std::isfinite(value)) fail("has a number that is not finite");
    }
    return value;
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kCorruptData, origin_ + ": line " + std::to_string(line_number_) + " " +
                                             what + "; train the model again");
  }
  [[nodiscard]] std::size_t bytes_left() const { return rest_.size(); }

 private:
  std::string_view rest_;
  std::string_view line_;
  std::string origin_;
  std::size_t line_number_ = 0;
};

struct Header {
  std::optional<double> gamma;
  std::optional<double> rho;
  std::optional<std::size_t> num_vectors;
  bool is_svr = false;
  bool is_rbf = false;
};

/// Up to the line "SV".
Header read_header(Reader& reader) {
  Header header;
  while (reader.next_line()) {
    const std::string key(reader.word());
    if (key == "SV") return header;
    const std::string_view value = reader.word();
    if (key == "svm_type") {
      header.is_svr = value == "epsilon_svr";
    } else if (key == "kernel_type") {
      header.is_rbf = value == "rbf";
    } else if (key == "gamma") {
      header.gamma = reader.number<double>(value);
    } else if (key == "rho") {
      header.rho = reader.number<double>(value);
    } else if (key == "total_sv") {
      header.num_vectors = reader.number<std::size_t>(value);
    } else if (key != "nr_class") {
      reader.fail("has the unknown key \"" + key.substr(0, kMaxQuoted) + "\"");
    }
  }
  reader.fail("is the last one, and there were no support vectors");
}

/// "coefficient index:value index:value …", indices rising; what is not named is 0.
void read_vector(Reader& reader, SupportVectors& vectors) {
  vectors.coefficients.push_back(reader.number<double>(reader.word()));
  const std::size_t begin = vectors.vectors.size();
  vectors.vectors.resize(begin + vectors.width, 0.0F);
  std::size_t previous = 0;
  for (std::string_view word = reader.word(); !word.empty(); word = reader.word()) {
    const std::size_t colon = word.find(':');
    if (colon == std::string_view::npos) reader.fail("has a value without its index");
    const auto index = reader.number<std::size_t>(word.substr(0, colon));
    if (index <= previous || index > vectors.width) {
      reader.fail("has the index " + std::to_string(index) + ", expected one above " +
                  std::to_string(previous) + ", up to " + std::to_string(vectors.width));
    }
    vectors.vectors[begin + index - 1] =
        static_cast<float>(reader.number<double>(word.substr(colon + 1)));
    previous = index;
  }
}

}  // namespace

double SupportVectors::evaluate(std::span<const float> x) const {
  const auto n = static_cast<Eigen::Index>(width);
  const Eigen::Map<const Eigen::ArrayXf> query(x.data(), n);
  double sum = -rho;
  for (std::size_t i = 0; i < size(); ++i) {
    const Eigen::Map<const Eigen::ArrayXf> vector(vectors.data() + i * width, n);
    sum +=
        coefficients[i] * std::exp(-gamma * static_cast<double>((query - vector).square().sum()));
  }
  return sum;
}

SupportVectors parse_svm_file(std::string_view text, std::size_t width, const std::string& origin) {
  Reader reader(text, origin);
  const Header header = read_header(reader);
  if (!header.is_svr || !header.is_rbf || !header.gamma || !header.rho || !header.num_vectors) {
    reader.fail(
        "ends a header that is not one of epsilon_svr with an rbf kernel, gamma, rho and total_sv");
  }
  // Each vector takes two bytes or more: a number that the file cannot hold allocates nothing.
  if (*header.num_vectors > reader.bytes_left() / 2) {
    reader.fail("promises " + std::to_string(*header.num_vectors) + " support vectors, there are " +
                std::to_string(reader.bytes_left()) + " bytes left");
  }
  SupportVectors vectors;
  vectors.gamma = *header.gamma;
  vectors.rho = *header.rho;
  vectors.width = width;
  while (reader.next_line()) read_vector(reader, vectors);
  if (vectors.size() != *header.num_vectors) {
    reader.fail("is the last of " + std::to_string(vectors.size()) + " support vectors, expected " +
                std::to_string(*header.num_vectors));
  }
  return vectors;
}

}  // namespace mmra::baselines
