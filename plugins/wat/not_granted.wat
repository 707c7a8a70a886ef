;; Imports what the standard permissions do not grant, something that does not exist, and something with a wrong type.
(module
  (import "pgwarden1" "kv_set" (func (param i32 i32 i32 i32 i64) (result i32)))
  (import "pgwarden1" "kv_gt" (func (param i32 i32 i32 i32) (result i32)))
  (import "pgwarden1" "log" (func (param i32)))
  (import "env" "exit" (func))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    i64.const 0)
)
