;; Says that its answer is a gigabyte long.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    i64.const 0x4040000000)
)
