;; Stores one random key after the other.
(module
  (import "pgwarden1" "random" (func $random (result i64)))
  (import "pgwarden1" "kv_set" (func $kv_set (param i32 i32 i32 i32 i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    (loop $again
      (i64.store (i32.const 16) (call $random))
      (drop (call $kv_set (i32.const 16) (i32.const 8) (i32.const 0x4000) (i32.const 256) (i64.const 0)))
      br $again)
    unreachable)
)
