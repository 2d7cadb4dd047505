;; Reads shared data and queues of its `vm_id`. The header `name` of a request is `d` and a key, or
;; `q` and the name of a queue, all in hexadecimal digits. The response's body is the value, or the
;; items of the queue, each after its length as four bytes, little endian. The items stay in the
;; queue, in their order. The status is 404 if there is no such key or queue.
;;
;; Memory: 8 and 12 are the address and the size that a host function returns, 16 is the version of
;; a value or the number of a queue, 20 is an empty list of headers, and 24 the name of the header.
;; The rest is allocated from 64 on, without gaps, and again for each request.
(module
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $data (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_resolve_shared_queue" (func $resolve (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 24) "name")
  (global $next (mut i32) (i32.const 64))

  (func (export "proxy_abi_version_0_2_1"))

  (func $malloc (export "malloc") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (block $enough
      (loop $grow
        (br_if $enough (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $grow)))
    (local.get $at))

  ;; What a host function returns is empty if it returns nothing.
  (func $nothing
    (i32.store (i32.const 8) (i32.const 0))
    (i32.store (i32.const 12) (i32.const 0)))

  ;; The number of a hexadecimal digit: of `a` to `f`, the bits of 64 are set.
  (func $digit (param $at i32) (result i32)
    (i32.add
      (i32.and (i32.load8_u (local.get $at)) (i32.const 15))
      (i32.mul (i32.shr_u (i32.load8_u (local.get $at)) (i32.const 6)) (i32.const 9))))

  (func (export "proxy_on_request_headers") (param $context i32) (param $size i32) (param $end i32)
    (result i32)
    (local $key i32) (local $length i32) (local $status i32) (local $from i32) (local $slot i32)
    (global.set $next (i32.const 64))
    (call $nothing)
    (drop
      (call $header (i32.const 0) (i32.const 24) (i32.const 4) (i32.const 8) (i32.const 12)))
    (local.set $key (i32.load (i32.const 8)))
    (local.set $length (i32.shr_u (i32.load (i32.const 12)) (i32.const 1)))
    ;; The bytes are written in place of their digits.
    (local.set $slot (local.get $key))
    (local.set $from (local.get $key))
    (block $decoded
      (loop $decode
        (br_if $decoded
          (i32.ge_u
            (local.get $slot)
            (i32.add (local.get $key) (local.get $length))))
        (i32.store8 (local.get $slot)
          (i32.or
            (i32.shl (call $digit (local.get $from)) (i32.const 4))
            (call $digit (i32.add (local.get $from) (i32.const 1)))))
        (local.set $slot (i32.add (local.get $slot) (i32.const 1)))
        (local.set $from (i32.add (local.get $from) (i32.const 2)))
        (br $decode)))
    (local.set $key (i32.add (local.get $key) (i32.const 1)))
    (local.set $length (i32.sub (local.get $length) (i32.const 1)))
    (if (i32.eq (i32.load8_u (i32.sub (local.get $key) (i32.const 1))) (i32.const 100))
      (then
        (call $nothing)
        (local.set $status
          (call $data
            (local.get $key) (local.get $length) (i32.const 8) (i32.const 12) (i32.const 16)))
        (local.set $from (i32.load (i32.const 8)))
        (local.set $size (i32.load (i32.const 12))))
      (else
        (local.set $size (i32.const 0))
        (local.set $status
          (call $resolve
            (i32.const 0) (i32.const 0) (local.get $key) (local.get $length) (i32.const 16)))
        (local.set $from (global.get $next))
        (if (i32.eqz (local.get $status))
          (then
            (block $empty
              (loop $take
                (local.set $slot (call $malloc (i32.const 4)))
                (call $nothing)
                (br_if $empty
                  (call $dequeue (i32.load (i32.const 16)) (i32.const 8) (i32.const 12)))
                (i32.store (local.get $slot) (i32.load (i32.const 12)))
                (br $take)))
            ;; No item came after the last length.
            (global.set $next (local.get $slot))
            (local.set $size (i32.sub (local.get $slot) (local.get $from)))
            (local.set $slot (local.get $from))
            (block $all
              (loop $put
                (br_if $all (i32.eq (local.get $slot) (global.get $next)))
                (local.set $length (i32.load (local.get $slot)))
                (local.set $slot (i32.add (local.get $slot) (i32.const 4)))
                (drop
                  (call $enqueue
                    (i32.load (i32.const 16)) (local.get $slot) (local.get $length)))
                (local.set $slot (i32.add (local.get $slot) (local.get $length)))
                (br $put)))))))
    (drop
      (call $reply
        (select
          (i32.const 200)
          (select (i32.const 404) (i32.const 500) (i32.eq (local.get $status) (i32.const 1)))
          (i32.eqz (local.get $status)))
        (i32.const 0) (i32.const 0)
        (local.get $from) (local.get $size)
        (i32.const 20) (i32.const 4)
        (i32.const -1)))
    (i32.const 1)))
