;; Made for heliosdb-proxy: stores what it is told under the key `in`. None of its hooks has a result.
(module
  (import "env" "kv_set" (func $kv_set (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "in")
  (func (export "alloc") (param i32) (result i32) i32.const 1024)
  (func (export "dealloc") (param i32 i32))
  (func (export "on_connect") (export "authenticate") (export "pre_query") (export "rewrite") (export "authorize")
        (export "cache_get") (export "route") (export "cache_set") (export "post_query") (export "metrics")
        (export "on_disconnect") (export "custom_hook") (param i32 i32)
    (call $kv_set (i32.const 16) (i32.const 2) (local.get 0) (local.get 1)))
)
