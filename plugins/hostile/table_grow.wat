;; Wants a hundred table entries, and a hundred more, and a hundred more.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  (table $table 1 funcref)
  (func (export "authorize") (param i32 i32) (result i64)
    (loop $again (drop (table.grow $table (ref.null func) (i32.const 100))) br $again) unreachable)
)
