;; Writes as many and as long log lines as a call may, and then refuses.
(module
  (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64) (local $lines i32)
    (memory.fill (i32.const 0x4000) (i32.const 120) (i32.const 1024))
    (loop $again
      (call $log (i32.const 2) (i32.const 0x4000) (i32.const 1024))
      (br_if $again (i32.lt_u (local.tee $lines (i32.add (local.get $lines) (i32.const 1))) (i32.const 16))))
    i64.const 3)
)
