;; Refuses with a code and a message of its own.
(module
  (memory (export "memory") 1)
  (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
  ;; header: magic, minor, kind 3 (block), two entries; then message (id 1) and code (id 2); then their bytes
  (data (i32.const 64) "pga1\00\00\03\00\02\00\00\00"
    "\01\00\01\00\29\00\00\00\0d\00\00\00"
    "\02\00\01\00\24\00\00\00\05\00\00\00"
    "42501not this time")
  (func (export "authorize") (param i32 i32) (result i64)
    i64.const 0x4000000036)
)
