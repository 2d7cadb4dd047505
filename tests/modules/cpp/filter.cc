// A filter in C++, for WASI and the ABI 0.2.1. `../README.md` says what it does.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unistd.h>
#include <unordered_map>

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))
#define IMPORT(name) extern "C" __attribute__((import_module("env"), import_name(#name)))

namespace {
enum class Map : int32_t { request_headers = 0, response_headers = 2 };
constexpr int32_t plugin_configuration = 7;
constexpr int32_t carry_on = 0;
}

IMPORT(proxy_get_buffer_bytes)
int32_t proxy_get_buffer_bytes(int32_t buffer, size_t start, size_t size, char **bytes, size_t *length);
IMPORT(proxy_get_header_map_value)
int32_t proxy_get_header_map_value(Map map, const char *name, size_t name_size, char **value, size_t *size);
IMPORT(proxy_add_header_map_value)
int32_t proxy_add_header_map_value(Map map, const char *name, size_t name_size, const char *value, size_t size);

namespace {
// Bytes that the host has put into the module's memory.
class Received {
  public:
    char **bytes() { return &bytes_; }
    size_t *size() { return &size_; }
    std::string text() const { return bytes_ == nullptr ? std::string() : std::string(bytes_, size_); }
    ~Received() { std::free(bytes_); }

  private:
    char *bytes_ = nullptr;
    size_t size_ = 0;
};

std::string request_header(std::string_view name) {
    Received value;
    const auto status = proxy_get_header_map_value(Map::request_headers, name.data(), name.size(), value.bytes(), value.size());
    return status == 0 ? value.text() : std::string();
}

void add(Map map, std::string_view name, std::string_view value) {
    if (proxy_add_header_map_value(map, name.data(), name.size(), value.data(), value.size()) != 0) std::abort();
}

void print(std::FILE *file, const std::string &line) {
    std::fprintf(file, "%s\n", line.c_str());
    std::fflush(file);
}

// Made by the constructors that run before any callback.
struct Names {
    std::unordered_map<std::string, std::string> headers = {{"greeting", "x-greeting"}, {"language", "x-language"}};
};
const Names names;

// What is known of each stream.
std::unordered_map<int32_t, std::unique_ptr<size_t>> received;
}

EXPORT(proxy_abi_version_0_2_1) void marker() {}

EXPORT(proxy_on_memory_allocate) void *allocate(size_t size) { return std::malloc(size); }

EXPORT(proxy_on_vm_start) int32_t on_start(int32_t, int32_t) {
    uint64_t drawn[2] = {0, 0};
    if (getentropy(drawn, sizeof drawn) != 0 || (drawn[0] == 0 && drawn[1] == 0)) std::abort();
    const auto first = std::chrono::steady_clock::now();
    if (std::chrono::steady_clock::now() < first) std::abort();
    if (std::chrono::system_clock::now().time_since_epoch() < std::chrono::hours(24 * 365 * 50)) std::abort();
    print(stdout, "C++ starts");
    return 1;
}

EXPORT(proxy_on_configure) int32_t on_configure(int32_t, size_t size) {
    Received configuration;
    if (proxy_get_buffer_bytes(plugin_configuration, 0, size, configuration.bytes(), configuration.size()) != 0) return 0;
    print(stdout, "configured with " + configuration.text());
    return 1;
}

EXPORT(proxy_on_request_headers) int32_t on_request_headers(int32_t context, int32_t, int32_t) {
    if (request_header(":path") == "/fail") {
        print(stderr, "no way on");
        std::abort();
    }
    received[context] = std::make_unique<size_t>(0);
    const char *greeting = std::getenv("GREETING");
    add(Map::request_headers, names.headers.at("greeting"), std::string(greeting == nullptr ? "nothing" : greeting) + " " + request_header("x-name"));
    return carry_on;
}

EXPORT(proxy_on_request_body) int32_t on_request_body(int32_t context, int32_t size, int32_t) {
    *received.at(context) += size;
    print(stderr, std::to_string(size) + " bytes");
    return carry_on;
}

EXPORT(proxy_on_response_headers) int32_t on_response_headers(int32_t, int32_t, int32_t) {
    add(Map::response_headers, names.headers.at("language"), "C++");
    return carry_on;
}

EXPORT(proxy_on_delete) void on_delete(int32_t context) { received.erase(context); }
