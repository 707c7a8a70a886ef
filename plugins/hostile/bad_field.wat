;; Looks into a field that does not exist.
(module
  (import "pgwarden1" "contains" (func $contains (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    (drop (call $contains (i32.const 9999) (i32.const 16) (i32.const 1))) i64.const 1)
)
