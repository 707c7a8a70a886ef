;; Never gives room for its input.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) (loop $again br $again) unreachable)
  (func (export "authorize") (param i32 i32) (result i64) i64.const 1)
)
