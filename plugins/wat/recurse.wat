;; Calls itself.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func $self (param i32) (result i32) (i32.add (call $self (local.get 0)) (i32.const 1)))
  (func (export "authorize") (param i32 i32) (result i64)
    (i64.extend_i32_u (call $self (i32.const 0))))
)
