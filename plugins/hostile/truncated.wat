;; Points at an answer frame of five entries that ends behind its header.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 64) "pga1\00\00\03\00\05\00\00\00")
  (func (export "authorize") (param i32 i32) (result i64) i64.const 0x400000000c)
)
