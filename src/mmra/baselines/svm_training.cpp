#include "mmra/baselines/svm_training.h"

#include <libsvm/svm.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::baselines {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(10);
constexpr double kMaxCacheMb = 1024.0;
constexpr double kTolerance = 1e-3;  // of the optimality conditions; scikit-learn's

/// The rows as libsvm wants them: pairs of index and value, zeros left out.
class Problem {
 public:
  Problem(const FeatureMatrix& rows, const std::vector<float>& targets)
      : targets_(targets.begin(), targets.end()) {
    const auto not_zero = [](float value) { return value != 0.0F; };
    const auto count = std::count_if(rows.values.begin(), rows.values.end(), not_zero);
    nodes_.reserve(static_cast<std::size_t>(count) + rows.num_rows);
    for (std::size_t i = 0; i < rows.num_rows; ++i) {
      starts_.push_back(nodes_.data() + nodes_.size());
      const auto row = rows.row(i);
      for (std::size_t j = 0; j < row.size(); ++j) {
        if (row[j] != 0.0F) nodes_.push_back({static_cast<int>(j) + 1, row[j]});
      }
      nodes_.push_back({-1, 0.0});
    }
    problem_ = {static_cast<int>(rows.num_rows), targets_.data(), starts_.data()};
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  [[nodiscard]] const svm_problem& get() const { return problem_; }

 private:
  std::vector<double> targets_;
  std::vector<svm_node> nodes_;  // never grows beyond what was reserved: starts_ points into it
  std::vector<svm_node*> starts_;
  svm_problem problem_{};
};

svm_parameter to_parameter(const SvrSettings& settings, std::size_t num_rows) {
  svm_parameter parameter{};
  parameter.svm_type = EPSILON_SVR;
  parameter.kernel_type = RBF;
  parameter.gamma = settings.gamma;
  parameter.C = settings.c;
  parameter.p = settings.epsilon;
  parameter.eps = kTolerance;
  parameter.shrinking = 1;
  const double rows = static_cast<double>(num_rows);
  parameter.cache_size = std::clamp(rows * (rows + 64.0) * 4.0 / (1 << 20), 16.0, kMaxCacheMb);
  return parameter;
}

/// Anonymous memory that has a name for as long as it is open.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("model.svm", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw system_error("make", "a file in memory", errno);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// A process that does not outlive this object.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  /// True when it has ended; `status` is then what waitpid says.
  bool has_ended(int& status) {
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
    if (ended < 0) status = 0;  // somebody else has waited: the file will tell
    pid_ = 0;
    return true;
  }

 private:
  pid_t pid_;
};

/// What the child does. Nothing of the parent's is unwound here.
[[noreturn]] void train_and_exit(const svm_problem& problem, const svm_parameter& parameter,
                                 const std::string& path) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  svm_set_print_string_function([](const char*) {});
  const svm_model* model = svm_train(&problem, &parameter);
  ::_exit(model != nullptr && svm_save_model(path.c_str(), model) == 0 ? 0 : 1);
}

}  // namespace

double gamma_scale(const FeatureMatrix& rows) {
  const auto count = static_cast<double>(rows.values.size());
  double sum = 0.0;
  for (const float value : rows.values) sum += value;
  const double mean = sum / count;
  double squares = 0.0;
  for (const float value : rows.values) squares += (value - mean) * (value - mean);
  const double variance = squares / count;
  return 1.0 / (static_cast<double>(rows.width) * (variance > 0.0 ? variance : 1.0));
}

std::string train_svr(const FeatureMatrix& rows, const std::vector<float>& targets,
                      const SvrSettings& settings, const std::stop_token& stop) {
  // Few rows are learned before the loop below looks once.
  if (stop.stop_requested()) throw Interrupted();
  const Problem problem(rows, targets);
  const svm_parameter parameter = to_parameter(settings, rows.num_rows);
  if (const char* fault = svm_check_parameter(&problem.get(), &parameter); fault != nullptr) {
    throw Error(ErrorKind::kInvalidInput, std::string("libsvm refuses the settings: ") + fault);
  }
  const MemoryFile file;
  const std::string path = file.path();
  const pid_t pid = ::fork();
  if (pid < 0) throw system_error("start", "a process for libsvm", errno);
  if (pid == 0) train_and_exit(problem.get(), parameter, path);
  Child child(pid);
  int status = 0;
  while (!child.has_ended(status)) {
    if (stop.stop_requested()) throw Interrupted();
    std::this_thread::sleep_for(kPoll);
  }
  if (status != 0) {
    throw Error(ErrorKind::kInternal,
                "libsvm failed on " + std::to_string(rows.num_rows) + " rows of " +
                    std::to_string(rows.width) + " features (its process ended with " +
                    std::to_string(status) + "); it may have been out of memory");
  }
  return read_file(path);
}

}  // namespace mmra::baselines
