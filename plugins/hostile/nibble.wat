;; Uses less fuel than makes a call a long one, and then refuses: it stays with the messages.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "authorize") (param i32 i32) (result i64) (local $rounds i32)
    (local.set $rounds (i32.const 3000))
    (loop $again (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    i64.const 3)
)
