;; Points one byte into a sound answer frame.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 64) "pga1\00\00\03\00\01\00\00\00" "\01\00\01\00\18\00\00\00\02\00\00\00" "no")
  (func (export "authorize") (param i32 i32) (result i64) i64.const 0x410000001a)
)
