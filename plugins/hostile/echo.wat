;; Raises as many events as a call may, and then refuses.
(module
  (import "pgwarden1" "emit" (func $emit (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 16) "boom")
  (func (export "authorize") (param i32 i32) (result i64) (local $events i32)
    (loop $again
      (call $emit (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4))
      (br_if $again (i32.lt_u (local.tee $events (i32.add (local.get $events) (i32.const 1))) (i32.const 16))))
    i64.const 3)
)
