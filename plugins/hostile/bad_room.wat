;; Asks for a field at a place where no memory is.
(module
  (import "pgwarden1" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    (drop (call $get (i32.const 1) (i32.const 0) (i32.const 0xfffffffe) (i32.const 5))) i64.const 1)
)
