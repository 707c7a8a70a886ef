;; Misspells a hook and gives `pgw_alloc` another type.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i64) (result i32) i32.const 1024)
  (func (export "autorize") (param i32 i32) (result i64) i64.const 0)
)
