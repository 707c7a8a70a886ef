;; Gives a host function a text of 4 GiB.
(module
  (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    (call $log (i32.const 2) (i32.const 16) (i32.const -1)) i64.const 1)
)
