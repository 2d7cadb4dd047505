// A filter in AssemblyScript, for WASI and the ABI 0.2.1. `../README.md` says what it does.

const REQUEST_HEADERS: i32 = 0;
const RESPONSE_HEADERS: i32 = 2;
const PLUGIN_CONFIGURATION: i32 = 7;
const CONTINUE: i32 = 0;

const STDOUT: i32 = 1;
const STDERR: i32 = 2;

@external("env", "proxy_get_buffer_bytes")
declare function getBufferBytes(buffer: i32, start: usize, size: usize, bytes: usize, length: usize): i32;
@external("env", "proxy_get_header_map_value")
declare function getHeaderMapValue(map: i32, name: usize, nameSize: usize, value: usize, size: usize): i32;
@external("env", "proxy_add_header_map_value")
declare function addHeaderMapValue(map: i32, name: usize, nameSize: usize, value: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "fd_write")
declare function fdWrite(file: i32, list: usize, count: usize, written: usize): i32;
@external("wasi_snapshot_preview1", "environ_sizes_get")
declare function environSizesGet(count: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "environ_get")
declare function environGet(list: usize, bytes: usize): i32;
@external("wasi_snapshot_preview1", "random_get")
declare function randomGet(bytes: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "clock_time_get")
declare function clockTimeGet(clock: i32, precision: u64, time: usize): i32;
@external("wasi_snapshot_preview1", "proc_exit")
declare function procExit(code: i32): void;

// Two words that host functions write their results into.
const OUTS: usize = memory.data(16);

function check(error: i32): void {
  if (error != 0) unreachable();
}

function print(file: i32, line: string): void {
  const bytes = String.UTF8.encode(line + "\n");
  store<usize>(OUTS, changetype<usize>(bytes));
  store<usize>(OUTS, bytes.byteLength, 4);
  check(fdWrite(file, OUTS, 1, OUTS + 8));
}

// What `assert` and errors come to: `--use abort=filter/abort`.
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  print(STDERR, "abort: " + (message === null ? "" : message));
  procExit(255);
  // Envoy goes on after an exit.
  unreachable();
}

function taken(): string {
  const place = load<usize>(OUTS);
  const text = String.UTF8.decodeUnsafe(place, load<usize>(OUTS, 4));
  if (place != 0) heap.free(place);
  return text;
}

function requestHeader(name: string): string {
  const bytes = String.UTF8.encode(name);
  if (getHeaderMapValue(REQUEST_HEADERS, changetype<usize>(bytes), bytes.byteLength, OUTS, OUTS + 4) != 0) return "";
  return taken();
}

function add(map: i32, name: string, value: string): void {
  const first = String.UTF8.encode(name);
  const second = String.UTF8.encode(value);
  check(addHeaderMapValue(map, changetype<usize>(first), first.byteLength, changetype<usize>(second), second.byteLength));
}

function environment(name: string): string {
  check(environSizesGet(OUTS, OUTS + 4));
  const count = load<u32>(OUTS);
  const list = heap.alloc(4 * count);
  const bytes = heap.alloc(load<usize>(OUTS, 4));
  check(environGet(list, bytes));
  let value = "";
  for (let index: u32 = 0; index < count; index++) {
    const place = load<usize>(list + 4 * index);
    let end = place;
    while (load<u8>(end) != 0) end++;
    const variable = String.UTF8.decodeUnsafe(place, end - place);
    if (variable.startsWith(name + "=")) value = variable.slice(name.length + 1);
  }
  heap.free(list);
  heap.free(bytes);
  return value;
}

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: usize): usize {
  return heap.alloc(size);
}

export function proxy_on_vm_start(root: i32, size: i32): i32 {
  check(randomGet(OUTS, 16));
  assert(load<u64>(OUTS) != 0 || load<u64>(OUTS, 8) != 0, "no random bytes");
  check(clockTimeGet(0, 0, OUTS));
  assert(load<u64>(OUTS) > 1600000000000000000, "no clock");
  print(STDOUT, "AssemblyScript starts");
  return 1;
}

export function proxy_on_configure(root: i32, size: usize): i32 {
  if (getBufferBytes(PLUGIN_CONFIGURATION, 0, size, OUTS, OUTS + 4) != 0) return 0;
  print(STDOUT, "configured with " + taken());
  return 1;
}

export function proxy_on_request_headers(context: i32, count: i32, endOfStream: i32): i32 {
  if (requestHeader(":path") == "/fail") throw new Error("no way on");
  add(REQUEST_HEADERS, "x-greeting", environment("GREETING") + " " + requestHeader("x-name"));
  return CONTINUE;
}

export function proxy_on_request_body(context: i32, size: i32, endOfStream: i32): i32 {
  print(STDERR, size.toString() + " bytes");
  return CONTINUE;
}

export function proxy_on_response_headers(context: i32, count: i32, endOfStream: i32): i32 {
  add(RESPONSE_HEADERS, "x-language", "AssemblyScript");
  return CONTINUE;
}
