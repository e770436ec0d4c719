#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>
#include <thread>

#include "command.h"
#include "interrupt.h"
#include "mmra/core/error.h"
#include "mmra/core/timestamp.h"
#include "mmra/serving/http_server.h"
#include "mmra/serving/service.h"

namespace mmra::app {
namespace {

// Descriptors for what is no connection: LMDB, libraries, uploads, pipes to decoders.
constexpr rlim_t kOtherDescriptors = 256;

struct ServeFlags {
  serving::ServiceOptions service;
  serving::HttpServerOptions http;
  std::string tokens_file;
  std::string make_token;
  bool open_to_all = false;
  double deadline_s = 60.0;
  double client_s = 10.0;
  double decode_s = 30.0;
  std::uint64_t max_upload_mb = 200;
  std::uint64_t decoder_memory_mb = 1024;
};

void log_line(const std::string& line) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const Timestamp time{std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
  std::fprintf(stderr, "%s %s\n", format_timestamp(time).c_str(), line.c_str());
}

int print_token(const std::string& access) {
  const serving::NewToken made =
      serving::make_token(access == "write" ? serving::Access::kWrite : serving::Access::kRead);
  std::printf("%s\n", made.token.c_str());
  std::fprintf(
      stderr,
      "That is the token; it is shown this once. Put this line into the file that --tokens "
      "names:\n%s\n",
      made.line.c_str());
  return 0;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

/// As many connections as the system lets this process have.
void fit_connections(serving::HttpServerOptions& http) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
  const rlim_t room = limit.rlim_cur > 2 * kOtherDescriptors ? limit.rlim_cur - kOtherDescriptors
                                                             : limit.rlim_cur / 2;
  if (room < http.max_connections) http.max_connections = static_cast<std::size_t>(room);
}

/// SIGHUP asks for the model anew. Must be made before any other thread; the signal stays blocked.
class ReloadSignal {
 public:
  ReloadSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  void call(std::function<void()> action) {
    thread_ = std::jthread([this, action = std::move(action)](const std::stop_token& stop) {
      const timespec poll{0, 200'000'000};
      while (!stop.stop_requested()) {
        if (::sigtimedwait(&signals_, nullptr, &poll) == SIGHUP) action();
      }
    });
  }

 private:
  sigset_t signals_{};
  std::jthread thread_;
};

/// From how long a client may take for its headers follows what else it may take.
void set_client_times(double seconds, serving::HttpServerOptions& http) {
  const auto times = [&](double factor) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * factor * 1000.0));
  };
  http.header_timeout = times(1.0);
  http.body_grace = times(2.0);
  http.write_timeout = times(3.0);
  http.idle_timeout = times(6.0);
}

void check_exposure(const ServeFlags& flags) {
  if (is_loopback(flags.http.host) || !flags.tokens_file.empty() || flags.open_to_all) return;
  throw Error(ErrorKind::kInvalidInput,
              "with --host " + flags.http.host +
                  " others can reach this server: name who may ask with --tokens FILE "
                  "(--make-token makes one), or let everybody with --open-to-all");
}

int run_serve(const ServeFlags& flags, const CommonOptions& common) {
  if (!flags.make_token.empty()) return print_token(flags.make_token);
  if (flags.service.bank_directory.empty() || flags.service.model_directory.empty()) {
    std::fprintf(stderr, "error: --bank and --model are needed (mmra serve --help explains)\n");
    return 2;
  }
  check_exposure(flags);
  ReloadSignal reload_signal;
  const std::stop_token stop = stop_on_interrupt();
  serving::ServiceOptions options = flags.service;
  options.num_threads = common.threads();
  options.log = log_line;
  options.decoder_program = sandbox::ClipDecoder::program_beside_this();
  options.decoder_limits.max_time =
      std::chrono::milliseconds(static_cast<std::int64_t>(flags.decode_s * 1000.0));
  options.decoder_limits.max_memory_bytes =
      static_cast<std::int64_t>(flags.decoder_memory_mb << 20U);
  options.max_upload_bytes = flags.max_upload_mb << 20U;
  if (!flags.tokens_file.empty()) options.tokens = serving::TokenList::load(flags.tokens_file);
  if (is_loopback(flags.http.host) || !options.allowed_hosts.empty()) {
    for (const char* name : {"localhost", "127.0.0.1", "[::1]"}) {
      options.allowed_hosts.emplace_back(name);
    }
    options.allowed_hosts.push_back(flags.http.host);
  }
  serving::HttpServerOptions http = flags.http;
  http.deadline = std::chrono::milliseconds(static_cast<std::int64_t>(flags.deadline_s * 1000.0));
  set_client_times(flags.client_s, http);
  if (http.upload_directory.empty()) {
    http.upload_directory = std::filesystem::temp_directory_path();
  }
  fit_connections(http);

  serving::Service service(options);
  serving::HttpServer server(http, service);
  service.set_connection_counts([&] { return server.counts(); });
  const std::stop_callback on_stop(stop, [&] { service.begin_stop(); });
  reload_signal.call([&] { service.reload(); });
  std::printf("listening on http://%s:%u\n", http.host.c_str(),
              static_cast<unsigned>(server.port()));
  std::fflush(stdout);
  server.run(stop);
  service.finish();
  service.set_connection_counts({});
  return 0;
}

void add_limit_flags(CLI::App& command, ServeFlags& flags) {
  const char* group = "Limits";
  command.add_option("--max-upload", flags.max_upload_mb, "Largest upload, in MiB")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command
      .add_option("--upload-dir", flags.http.upload_directory,
                  "Where uploads lie while they are needed [the system's temporary directory]")
      ->group(group);
  command
      .add_option("--max-uploads", flags.service.max_uploads,
                  "Uploads under way or at work at once; more are told to come again")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command
      .add_option("--max-queued", flags.service.max_queued,
                  "Requests that may wait for the model; more are told to come again")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command.add_option("--max-connections", flags.http.max_connections, "Open at once")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command.add_option("--deadline", flags.deadline_s, "Seconds until an answer must be there")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group(group);
  command
      .add_option("--client-time", flags.client_s,
                  "Seconds for a client's headers; twice that for the start of a body, which must "
                  "then come at 16 KiB a second, three times to take an answer, six times between "
                  "requests")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group(group);
  command
      .add_option("--decoders", flags.service.num_decoders,
                  "Uploaded clips that are decoded at once, each in a process of its own")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command.add_option("--decode-time", flags.decode_s, "Seconds that decoding a clip may take")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group(group);
  command
      .add_option("--decode-memory", flags.decoder_memory_mb,
                  "MiB that decoding a clip may take, beside the clip itself")
      ->capture_default_str()
      ->check(at_least(64))
      ->group(group);
}

}  // namespace

void add_serve_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command =
      app.add_subcommand("serve", "Serve a bank and a model over HTTP, with a page for people");
  command->add_option("--bank", flags->service.bank_directory, kBankHelp);
  command->add_option("--model", flags->service.model_directory, "The model (a directory)");
  command->add_option("--host", flags->http.host, "The address to listen on")
      ->capture_default_str();
  command->add_option("--port", flags->http.port, "The port to listen on; 0: one that is free")
      ->capture_default_str();
  command->add_flag("--read-only", flags->service.read_only,
                    "Never change the bank; another process may then, and is seen");
  const char* group = "Who may ask";
  command
      ->add_option(
          "--tokens", flags->tokens_file,
          "A file of bearer tokens' hashes; without one everybody who can reach the server "
          "may ask")
      ->group(group);
  command
      ->add_option(
          "--make-token", flags->make_token,
          "Print a new token (standard output) and its line for that file (standard error)")
      ->check(CLI::IsMember({"read", "write"}))
      ->group(group);
  command
      ->add_option(
          "--allow-host", flags->service.allowed_hosts,
          "A name under which this server is asked (repeatable); the loopback names always "
          "are")
      ->allow_extra_args(false)
      ->group(group);
  command
      ->add_flag("--open-to-all", flags->open_to_all, "Listen beyond this machine without tokens")
      ->group(group);
  add_limit_flags(*command, *flags);
  add_common_flags(*command, common);
  add_precision_flag(*command, flags->service.precision);
  command->footer(
      "\nSIGHUP, or POST /v1/reload, loads the model anew. Ctrl-C or SIGTERM stops it when what it "
      "has "
      "taken is answered.\n\nExample: mmra serve --bank my.bank --model my.model");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_serve(*flags, common); }; });
}

}  // namespace mmra::app
