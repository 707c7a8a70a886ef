;; Counts under one random name after the other.
(module
  (import "pgwarden1" "random" (func $random (result i64)))
  (import "pgwarden1" "metric_add" (func $metric_add (param i32 i32 f64)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    (loop $again
      ;; eight letters from a to p
      (i64.store (i32.const 16) (i64.add (i64.and (call $random) (i64.const 0x0f0f0f0f0f0f0f0f)) (i64.const 0x6161616161616161)))
      (call $metric_add (i32.const 16) (i32.const 8) (f64.const 1))
      br $again)
    unreachable)
)
