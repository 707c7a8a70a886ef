;; Points at an answer frame whose entry begins near 4 GiB and ends near 0.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 64) "pga1\00\00\03\00\01\00\00\00" "\01\00\01\00\f0\ff\ff\ff\20\00\00\00")
  (func (export "authorize") (param i32 i32) (result i64) i64.const 0x4000000018)
)
