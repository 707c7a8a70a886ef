;; Counts its calls in the store; allows the first, has nothing to say about the others.
(module
  (import "pgwarden1" "kv_add" (func $kv_add (param i32 i32 i64 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 16) "calls")
  (func (export "authorize") (param i32 i32) (result i64)
    (drop (call $kv_add (i32.const 16) (i32.const 5) (i64.const 1) (i64.const 0) (i32.const 32)))
    (i64.extend_i32_u (i64.eq (i64.load (i32.const 32)) (i64.const 1))))
)
