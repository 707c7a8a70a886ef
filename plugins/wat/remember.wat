;; Counts its calls in a global and in its memory; allows the first it remembers, has nothing to say about the others.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (global $calls (mut i32) (i32.const 0))
  (func (export "authorize") (param i32 i32) (result i64)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (i64.extend_i32_u (i32.and (i32.eq (global.get $calls) (i32.const 1)) (i32.eq (i32.load (i32.const 16)) (i32.const 1)))))
)
