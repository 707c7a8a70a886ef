;; Raises events until it is stopped.
(module
  (import "pgwarden1" "emit" (func $emit (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 16) "boom")
  (func (export "authorize") (param i32 i32) (result i64)
    (loop $again (call $emit (i32.const 16) (i32.const 4) (i32.const 0x4000) (i32.const 1024)) br $again) unreachable)
)
