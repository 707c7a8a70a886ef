;; Counts what it is asked and, when it goes, stores and logs that it went.
(module
    (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
    (import "pgwarden1" "kv_add" (func $add (param i32 i32 i64 i64 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "asked")
    (data (i32.const 32) "went")
    (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "authorize") (param i32 i32) (result i64)
        (drop (call $add (i32.const 16) (i32.const 5) (i64.const 1) (i64.const 0) (i32.const 64)))
        (i64.const 0))
    (func (export "on_unload")
        (drop (call $add (i32.const 32) (i32.const 4) (i64.const 1) (i64.const 0) (i32.const 64)))
        (call $log (i32.const 1) (i32.const 32) (i32.const 4))))
