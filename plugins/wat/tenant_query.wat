;; Asks the declared statement `tenant_of` for the user's tenant, and lets it read `tenant_` and that name only. Refuses where
;; there is no answer or no tenant.
(module
  (import "pgwarden1" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "pgwarden1" "contains" (func $contains (param i32 i32 i32) (result i32)))
  (import "pgwarden1" "query" (func $query (param i32 i32 i32 i32) (result i32)))
  (import "pgwarden1" "rows" (func $rows (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "tenant_of")
  (data (i32.const 1000) "tenant_")
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 8192)
  (func (export "authorize") (param i32 i32) (result i64)
    (local $length i32) (local $value i32)
    ;; one argument: its length at 64, the field `user.name` (1) behind it
    (local.set $length (call $get (i32.const 1) (i32.const 0) (i32.const 68) (i32.const 256)))
    (i32.store (i32.const 64) (local.get $length))
    (local.set $length (call $query (i32.const 16) (i32.const 9)
      (i32.const 64) (i32.add (i32.const 4) (local.get $length))))
    (if (i32.lt_s (local.get $length) (i32.const 0)) (then (return (i64.const 3))))
    ;; at 2048: columns, rows, the column's name, the value
    (drop (call $rows (i32.const 0) (i32.const 2048) (i32.const 1024)))
    (if (i32.eqz (i32.load (i32.const 2052))) (then (return (i64.const 3))))
    (local.set $value (i32.add (i32.const 2060) (i32.load (i32.const 2056))))
    (local.set $length (i32.load (local.get $value)))
    (memory.copy (i32.const 1007) (i32.add (i32.const 4) (local.get $value)) (local.get $length))
    ;; 52 is the field `sql.tables`
    (select (i64.const 0) (i64.const 3)
      (i32.eq (call $contains (i32.const 52) (i32.const 1000) (i32.add (i32.const 7) (local.get $length))) (i32.const 1))))
)
