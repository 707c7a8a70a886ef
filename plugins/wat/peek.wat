;; Looks for a text in the statement: refuses with it, has nothing to say without it or without permission to look.
(module
  (import "pgwarden1" "contains" (func $contains (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (data (i32.const 16) "secret")
  (func (export "authorize") (param i32 i32) (result i64)
    ;; 60 is the field `sql.text`; 3 is a refusal without a message
    (select (i64.const 3) (i64.const 0) (i32.eq (call $contains (i32.const 60) (i32.const 16) (i32.const 6)) (i32.const 1))))
)
