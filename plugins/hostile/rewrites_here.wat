;; Points at a sound answer frame that rewrites, which is not legal at this hook.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 64) "pga1\00\00\09\00\01\00\00\00" "\05\00\01\00\18\00\00\00\08\00\00\00" "SELECT 1")
  (func (export "authorize") (param i32 i32) (result i64) i64.const 0x4000000020)
)
