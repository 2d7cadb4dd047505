// A filter in C, for WASI and the ABI 0.2.1. `../README.md` says what it does.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2, PLUGIN_CONFIGURATION = 7, CONTINUE = 0 };

IMPORT(proxy_get_buffer_bytes)
int32_t proxy_get_buffer_bytes(int32_t buffer, size_t start, size_t size, char **bytes, size_t *length);
IMPORT(proxy_get_header_map_value)
int32_t proxy_get_header_map_value(int32_t map, const char *name, size_t name_size, char **value, size_t *size);
IMPORT(proxy_add_header_map_value)
int32_t proxy_add_header_map_value(int32_t map, const char *name, size_t name_size, const char *value, size_t size);

static void add(int32_t map, const char *name, const char *value) {
    if (proxy_add_header_map_value(map, name, strlen(name), value, strlen(value)) != 0) abort();
}

// The value of a request header, or nothing. It is for the caller to free.
static char *request_header(const char *name) {
    char *value = NULL;
    size_t size = 0;
    if (proxy_get_header_map_value(REQUEST_HEADERS, name, strlen(name), &value, &size) != 0 || value == NULL) return strdup("");
    char *text = strndup(value, size);
    free(value);
    return text;
}

EXPORT(proxy_abi_version_0_2_1) void marker(void) {}

EXPORT(proxy_on_memory_allocate) void *allocate(size_t size) { return malloc(size); }

EXPORT(proxy_on_vm_start) int32_t on_start(int32_t root, int32_t size) {
    uint8_t drawn[16] = {0};
    uint8_t none[16] = {0};
    if (getentropy(drawn, sizeof drawn) != 0 || memcmp(drawn, none, sizeof none) == 0) abort();
    struct timespec first, second;
    if (clock_gettime(CLOCK_MONOTONIC, &first) != 0 || clock_gettime(CLOCK_MONOTONIC, &second) != 0) abort();
    if (second.tv_sec < first.tv_sec || time(NULL) < 1600000000) abort();
    printf("C starts\n");
    fflush(stdout);
    return 1;
}

EXPORT(proxy_on_configure) int32_t on_configure(int32_t root, size_t size) {
    char *configuration = NULL;
    size_t length = 0;
    if (proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &configuration, &length) != 0) return 0;
    printf("configured with %.*s\n", (int)length, configuration);
    fflush(stdout);
    free(configuration);
    return 1;
}

EXPORT(proxy_on_request_headers) int32_t on_request_headers(int32_t context, int32_t count, int32_t end_of_stream) {
    char *path = request_header(":path");
    if (strcmp(path, "/fail") == 0) {
        fprintf(stderr, "no way on\n");
        abort();
    }
    free(path);
    char *name = request_header("x-name");
    const char *greeting = getenv("GREETING");
    char text[256];
    snprintf(text, sizeof text, "%s %s", greeting == NULL ? "nothing" : greeting, name);
    free(name);
    add(REQUEST_HEADERS, "x-greeting", text);
    return CONTINUE;
}

EXPORT(proxy_on_request_body) int32_t on_request_body(int32_t context, int32_t size, int32_t end_of_stream) {
    fprintf(stderr, "%d bytes\n", (int)size);
    return CONTINUE;
}

EXPORT(proxy_on_response_headers) int32_t on_response_headers(int32_t context, int32_t count, int32_t end_of_stream) {
    add(RESPONSE_HEADERS, "x-language", "C");
    return CONTINUE;
}
