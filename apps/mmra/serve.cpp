#include <cstdio>

#include "command.h"
#include "interrupt.h"
#include "mmra/serving/http_server.h"
#include "mmra/serving/service.h"

namespace mmra::app {
namespace {

struct ServeFlags {
  serving::ServiceOptions service;
  serving::HttpServerOptions http;
};

int run_serve(const ServeFlags& flags, const CommonOptions& common) {
  const std::stop_token stop = stop_on_interrupt();
  serving::ServiceOptions service_options = flags.service;
  service_options.num_threads = common.threads();
  service_options.log = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  serving::HttpServerOptions http = flags.http;
  http.upload_directory = std::filesystem::temp_directory_path();

  serving::Service service(service_options);
  serving::HttpServer server(http, service);
  const std::stop_callback on_stop(stop, [&] { service.begin_stop(); });
  std::printf("listening on http://%s:%u\n", http.host.c_str(),
              static_cast<unsigned>(server.port()));
  std::fflush(stdout);
  server.run(stop);
  service.finish();
  return 0;
}

}  // namespace

void add_serve_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command =
      app.add_subcommand("serve", "Serve a bank and a model over HTTP, with a page for people");
  command->add_option("--bank", flags->service.bank_directory, "The memory bank (a directory)")
      ->required();
  command->add_option("--model", flags->service.model_directory, "The model (a directory)")
      ->required();
  command->add_option("--host", flags->http.host, "The address to listen on")
      ->capture_default_str();
  command->add_option("--port", flags->http.port, "The port to listen on; 0: one that is free")
      ->capture_default_str();
  add_common_flags(*command, common);
  add_precision_flag(*command, flags->service.precision);
  command->footer("\nExample: mmra serve --bank my.bank --model my.model");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_serve(*flags, common); }; });
}

}  // namespace mmra::app
