#include "mmra/sandbox/confinement.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "mmra/core/error.h"
#include "mmra/core/sanitizer.h"

namespace mmra::sandbox {
namespace {

// What decoding in one thread needs.
constexpr const char* kAllowed[] = {"read",
                                    "write",
                                    "writev",
                                    "close",
                                    "fstat",
                                    "lseek",
                                    "munmap",
                                    "mremap",
                                    "madvise",
                                    "brk",
                                    "futex",
                                    "exit",
                                    "exit_group",
                                    "clock_gettime",
                                    "clock_getres",
                                    "gettimeofday",
                                    "clock_nanosleep",
                                    "nanosleep",
                                    "rt_sigaction",
                                    "rt_sigprocmask",
                                    "rt_sigreturn",
                                    "sigaltstack",
                                    "getpid",
                                    "gettid",
                                    "tgkill",
                                    "sched_yield",
                                    "sched_getaffinity",
                                    "getrandom",
                                    "restart_syscall",
                                    "set_robust_list",
                                    "rseq",
                                    "uname",
                                    "sysinfo",
                                    "getrusage",
                                    "times"};

#if MMRA_ADDRESS_SANITIZER
constexpr rlim_t kMaxDescriptors = 8;  // sanitizers ask a pipe whether memory can be read
#else
constexpr rlim_t kMaxDescriptors = 3;
#endif

// What libraries try and can do without.
struct Refused {
  const char* name;
  int error;
};
constexpr Refused kRefused[] = {
    // glibc starts threads with it and, told that there is none, with clone, whose flags a filter
    // can read. Here both fail: decoders are asked for one thread, and some would like another.
    {"clone3", ENOSYS},        {"clone", EAGAIN},
    {"open", EACCES},          {"openat", EACCES},
    {"access", EACCES},        {"faccessat", EACCES},
    {"faccessat2", EACCES},    {"readlink", EACCES},
    {"readlinkat", EACCES},    {"stat", EACCES},
    {"newfstatat", EACCES},    {"statx", EACCES},
    {"ioctl", ENOTTY},         {"prlimit64", EPERM},
    {"getcwd", EACCES},        {"sched_setaffinity", EPERM},
    {"sched_getparam", EPERM}, {"sched_getscheduler", EPERM},
    {"prctl", EPERM},          {"getuid", EPERM},
    {"geteuid", EPERM},        {"getgid", EPERM},
    {"getegid", EPERM},        {"membarrier", ENOSYS}};

[[noreturn]] void fail(const std::string& step, int error) {
  throw Error(ErrorKind::kUnsupported,
              "videos of strangers cannot be decoded safely here: " + step + " failed (error " +
                  std::to_string(error) + "); a kernel with seccomp is needed");
}

void limit(__rlimit_resource resource, const rlimit& limits, const char* name) {
  if (::setrlimit(resource, &limits) != 0) fail(name, errno);
}
void limit(__rlimit_resource resource, rlim_t value, const char* name) {
  limit(resource, rlimit{value, value}, name);
}

void set_limits(const ConfinementLimits& limits) {
#if !MMRA_ADDRESS_SANITIZER  // which reserves terabytes of addresses
  limit(RLIMIT_AS, static_cast<rlim_t>(limits.max_memory_bytes), "RLIMIT_AS");
#endif
  const auto seconds = static_cast<rlim_t>(limits.max_processor_s);
  limit(RLIMIT_CPU, {seconds, seconds + 1}, "RLIMIT_CPU");  // SIGXCPU says why, SIGKILL would not
  limit(RLIMIT_FSIZE, 0, "RLIMIT_FSIZE");
  limit(RLIMIT_CORE, 0, "RLIMIT_CORE");
  limit(RLIMIT_NOFILE, kMaxDescriptors, "RLIMIT_NOFILE");
}

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
    if (context_ == nullptr) fail("seccomp_init", 0);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter() { seccomp_release(context_); }

  /// A call that this architecture does not have is none to worry about.
  void add(std::uint32_t action, const char* name) const {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;
    const int code = seccomp_rule_add(context_, action, number, 0);
    if (code != 0 && code != -EDOM) fail(std::string("seccomp for ") + name, -code);
  }
  /// Allowed where the argument `index` asks for no executable memory.
  void allow_without_execution(const char* name, unsigned index) const {
    const int number = seccomp_syscall_resolve_name(name);
    const int code = seccomp_rule_add(context_, SCMP_ACT_ALLOW, number, 1,
                                      SCMP_CMP(index, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (code != 0) fail(std::string("seccomp for ") + name, -code);
  }
  void load() const {
    const int code = seccomp_load(context_);
    if (code != 0) fail("seccomp_load", -code);
  }

 private:
  scmp_filter_ctx context_;
};

}  // namespace

void confine_this_process(const ConfinementLimits& limits) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail("PR_SET_PDEATHSIG", errno);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("PR_SET_NO_NEW_PRIVS", errno);
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) fail("PR_SET_DUMPABLE", errno);
  const Filter filter;  // libseccomp allocates; the limits come after
  for (const char* name : kAllowed) filter.add(SCMP_ACT_ALLOW, name);
#if MMRA_ADDRESS_SANITIZER
  filter.add(SCMP_ACT_ALLOW, "pipe2");
#endif
  for (const Refused& refused : kRefused) {
    filter.add(SCMP_ACT_ERRNO(static_cast<std::uint16_t>(refused.error)), refused.name);
  }
  filter.allow_without_execution("mmap", 2);
  filter.allow_without_execution("mprotect", 2);
  set_limits(limits);
  filter.load();
}

}  // namespace mmra::sandbox
