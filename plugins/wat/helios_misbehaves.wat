;; Made for heliosdb-proxy, and wrong at each hook in another way.
(module
  (memory (export "memory") 1)
  (data (i32.const 64) "continue")
  (func (export "alloc") (param i32) (result i32) i32.const 1024)
  ;; an answer where no memory is
  (func (export "pre_query") (param i32 i32) (result i64) i64.const 0x7fffffff00000010)
  ;; an answer longer than any may be
  (func (export "rewrite") (param i32 i32) (result i64) i64.const 0x00000040_7fffffff)
  ;; no JSON
  (func (export "authorize") (param i32 i32) (result i64) i64.const 0x00000040_00000008)
  ;; an answer that begins within the memory and ends outside
  (func (export "cache_get") (param i32 i32) (result i64) i64.const 0x0000fffc_00000008)
  (func (export "route") (param i32 i32) (result i64) unreachable)
  (func (export "authenticate") (param i32 i32) (result i64) (loop $again (br $again)) unreachable)
  ;; an empty answer, wherever it is said to be
  (func (export "custom_hook") (param i32 i32) (result i64) i64.const 0x7fffffff_00000000)
)
