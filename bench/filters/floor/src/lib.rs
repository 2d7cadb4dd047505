//! What the bench filters by hand share: the smallest module a host accepts. Each example is one
//! filter.
//!
//! This is the floor that the SDK is compared with: hand-written code against the ABI that is
//! optimised for speed only. Panics are not logged, failures have no policy, and nothing checks
//! what goes onto the wire.
#![cfg_attr(target_family = "wasm", no_std)]
#![cfg(target_family = "wasm")]
#![allow(
    unsafe_code,
    reason = "host functions are foreign functions, and the memory the host asks for comes from here"
)]

use core::arch::wasm32;
use core::panic::PanicInfo;
use core::ptr::null_mut;
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The return value that forwards the message.
pub const CONTINUE: u32 = 0;
/// The return value that pauses the message.
pub const STOP: u32 = 1;
/// The map of the request's headers.
pub const REQUEST_HEADERS: u32 = 0;
/// The map of the response's headers.
pub const RESPONSE_HEADERS: u32 = 2;
/// The map of the headers of a call's response.
pub const RESPONSE_OF_CALL: u32 = 6;

const OK: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const INFO: u32 = 2;
const PAGE: usize = 65_536;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *mut *const u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, pairs: *mut *const u8, size: *mut usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_set_buffer_bytes(buffer: u32, start: usize, length: usize, bytes: *const u8, size: usize) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// The end of the memory in use. A module has one thread: no ordering is needed, and on wasm a
/// relaxed access is a plain one.
static END: AtomicUsize = AtomicUsize::new(0);

/// Where the memory for the host starts: behind data and stack.
fn base() -> usize {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    (&raw const __heap_base).addr()
}

/// Frees everything that was allocated. A callback in which the host allocates calls this first.
///
/// That is safe as long as no such callback runs inside another and none keeps what it got: these
/// filters have one, or two of which neither makes the host enter the module.
pub fn release_all() {
    END.store(base(), Relaxed);
}

/// Gives the host memory until the next [`release_all`]; null when there is none.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let start = END.load(Relaxed);
    let Some(end) = start.checked_add(size) else { return null_mut() };
    let missing = end.div_ceil(PAGE).saturating_sub(wasm32::memory_size(0));
    if missing > 0 && wasm32::memory_grow(0, missing) == usize::MAX {
        return null_mut();
    }
    END.store(end, Relaxed);
    core::ptr::with_exposed_provenance_mut(start)
}

/// The value of a header; empty if there is none. Valid until the next [`release_all`].
pub fn header(map: u32, name: &str) -> &'static [u8] {
    let (mut value, mut size) = (core::ptr::null(), 0);
    // SAFETY: the pointers come from a live slice and live locals. What the host returns with Ok is
    // memory it got from `proxy_on_memory_allocate`, which nothing else uses before `release_all`.
    unsafe {
        if proxy_get_header_map_value(map, name.as_ptr(), name.len(), &raw mut value, &raw mut size) != OK || size == 0
        {
            return &[];
        }
        slice::from_raw_parts(value, size)
    }
}

/// Adds a header.
pub fn add(map: u32, name: &str, value: &[u8]) {
    // SAFETY: the pointers come from live slices.
    unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Gives a header this value.
pub fn replace(map: u32, name: &str, value: &[u8]) {
    // SAFETY: the pointers come from live slices.
    unsafe { proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Removes a header.
pub fn remove(map: u32, name: &str) {
    // SAFETY: the pointer comes from a live slice.
    unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) };
}

/// Puts `bytes` in the place of the first `length` of the response's body.
pub fn replace_body(length: u32, bytes: &[u8]) {
    // SAFETY: the pointer comes from a live slice.
    unsafe { proxy_set_buffer_bytes(RESPONSE_BODY, 0, length as usize, bytes.as_ptr(), bytes.len()) };
}

/// Calls another service: the number of the call. Headers that do not fit into 512 bytes are not
/// sent.
pub fn http_call(cluster: &str, headers: &[(&[u8], &[u8])], timeout: u32) -> Option<u32> {
    let mut map = Writer { bytes: [0; 512], length: 0 };
    map.word(headers.len());
    for (name, value) in headers {
        map.word(name.len());
        map.word(value.len());
    }
    for (name, value) in headers {
        map.text(name);
        map.text(value);
    }
    let mut token = 0;
    // SAFETY: the pointers come from live slices and a live local.
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            map.bytes.as_ptr(),
            map.length.min(map.bytes.len()),
            map.bytes.as_ptr(),
            0,
            map.bytes.as_ptr(),
            0,
            timeout,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// An encoded map that is being written.
struct Writer {
    bytes: [u8; 512],
    length: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.length += bytes.len();
    }

    fn word(&mut self, number: usize) {
        self.put(&number.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.put(text);
        self.put(b"\0");
    }
}

/// Makes the following calls act on this stream.
pub fn act_on(id: u32) {
    // SAFETY: an integer is passed.
    unsafe { proxy_set_effective_context(id) };
}

/// Resumes the request.
pub fn continue_request() {
    // SAFETY: an integer is passed.
    unsafe { proxy_continue_stream(0) };
}

/// Sends a local reply. `headers` is an encoded map.
pub fn reply(status: u32, headers: &[u8], body: &str) {
    // SAFETY: the pointers come from live slices.
    unsafe {
        proxy_send_local_response(
            status,
            body.as_ptr(),
            0,
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    };
}

/// Logs every field of a map as `name: value`.
pub fn log_all(map: u32) {
    let (mut pairs, mut size) = (core::ptr::null(), 0);
    // SAFETY: as in `header`. The lengths in an encoded map add up to its size: the host is trusted
    // with that. A line is written behind the map, into memory that is given back after the line.
    unsafe {
        if proxy_get_header_map_pairs(map, &raw mut pairs, &raw mut size) != OK || size == 0 {
            return;
        }
        let end = END.load(Relaxed);
        let line = proxy_on_memory_allocate(size);
        if line.is_null() {
            return;
        }
        let mut lengths = pairs.cast::<u32>();
        let count = lengths.read_unaligned() as usize;
        lengths = lengths.add(1);
        let mut text = lengths.add(2 * count).cast::<u8>();
        for _ in 0..count {
            let name = lengths.read_unaligned() as usize;
            let value = lengths.add(1).read_unaligned() as usize;
            lengths = lengths.add(2);
            line.copy_from_nonoverlapping(text, name);
            line.add(name).write(b':');
            line.add(name + 1).write(b' ');
            line.add(name + 2).copy_from_nonoverlapping(text.add(name + 1), value);
            proxy_log(INFO, line, name + 2 + value);
            text = text.add(name + value + 2);
        }
        END.store(end, Relaxed);
    }
}
