/// Hands the list of all host functions of ABI 0.2.1 to another macro.
///
/// A parameter is a `u32`, an `i32`, an `i64`, a `u64` or `Bytes` (a pointer and a length on the
/// wire). A result is a `u32`, a `u64` or a `Buffer` (bytes in memory that the host allocated in
/// this module). Every function also returns a status.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_host_function {
    ($then:path) => {
        $then! {
            proxy_log(level: u32, message: Bytes) -> ();
            proxy_get_log_level() -> (level: u32);
            proxy_get_current_time_nanoseconds() -> (time: u64);
            proxy_set_tick_period_milliseconds(period: u32) -> ();
            proxy_get_buffer_bytes(buffer_type: u32, start: u32, max_size: u32) -> (bytes: Buffer);
            proxy_set_buffer_bytes(buffer_type: u32, start: u32, size: u32, bytes: Bytes) -> ();
            proxy_get_buffer_status(buffer_type: u32) -> (size: u32, flags: u32);
            proxy_get_header_map_size(map_type: u32) -> (size: u32);
            proxy_get_header_map_pairs(map_type: u32) -> (pairs: Buffer);
            proxy_set_header_map_pairs(map_type: u32, pairs: Bytes) -> ();
            proxy_get_header_map_value(map_type: u32, name: Bytes) -> (value: Buffer);
            proxy_add_header_map_value(map_type: u32, name: Bytes, value: Bytes) -> ();
            proxy_replace_header_map_value(map_type: u32, name: Bytes, value: Bytes) -> ();
            proxy_remove_header_map_value(map_type: u32, name: Bytes) -> ();
            proxy_get_property(path: Bytes) -> (value: Buffer);
            proxy_set_property(path: Bytes, value: Bytes) -> ();
            proxy_continue_stream(stream_type: u32) -> ();
            proxy_close_stream(stream_type: u32) -> ();
            proxy_send_local_response(status_code: u32, details: Bytes, body: Bytes, headers: Bytes, grpc_status: i32) -> ();
            proxy_http_call(
                upstream: Bytes, headers: Bytes, body: Bytes, trailers: Bytes, timeout: u32) -> (token: u32);
            proxy_grpc_call(
                upstream: Bytes, service: Bytes, method: Bytes, metadata: Bytes, message: Bytes, timeout: u32) -> (token: u32);
            proxy_grpc_stream(upstream: Bytes, service: Bytes, method: Bytes, metadata: Bytes) -> (token: u32);
            proxy_grpc_send(token: u32, message: Bytes, end_of_stream: u32) -> ();
            proxy_grpc_cancel(token: u32) -> ();
            proxy_grpc_close(token: u32) -> ();
            proxy_get_status() -> (code: u32, message: Buffer);
            proxy_set_shared_data(key: Bytes, value: Bytes, cas: u32) -> ();
            proxy_get_shared_data(key: Bytes) -> (value: Buffer, cas: u32);
            proxy_register_shared_queue(name: Bytes) -> (queue: u32);
            proxy_resolve_shared_queue(vm_id: Bytes, name: Bytes) -> (queue: u32);
            proxy_enqueue_shared_queue(queue: u32, item: Bytes) -> ();
            proxy_dequeue_shared_queue(queue: u32) -> (item: Buffer);
            proxy_define_metric(metric_type: u32, name: Bytes) -> (metric: u32);
            proxy_increment_metric(metric: u32, offset: i64) -> ();
            proxy_record_metric(metric: u32, value: u64) -> ();
            proxy_get_metric(metric: u32) -> (value: u64);
            proxy_set_effective_context(context_id: u32) -> ();
            proxy_done() -> ();
            proxy_call_foreign_function(name: Bytes, argument: Bytes) -> (result: Buffer);
        }
    };
}
