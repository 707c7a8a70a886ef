;; Writes over its megabyte of memory again and again: much time for little fuel.
(module
  (memory (export "memory") 16)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64)
    (loop $again (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x100000)) br $again) unreachable)
)
