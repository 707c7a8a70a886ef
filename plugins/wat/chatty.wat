;; Logs until its fuel is gone.
(module
  (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 16) "hello")
  (func (export "authorize") (param i32 i32) (result i64)
    (loop $again (call $log (i32.const 1) (i32.const 16) (i32.const 5)) br $again) unreachable)
)
