;; {{name}}: refuses what may change data, unless the user has the role `writer`.
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "writer")

  ;; The host writes what it tells behind the first 1024 bytes.
  (func (export "pgw_alloc") (param $len i32) (result i32)
    (if (i32.gt_u (local.get $len) (i32.const 64512)) (then (return (i32.const 0))))
    (i32.const 1024))

  ;; The entry of a field in the frame, or 0.
  (func $entry (param $frame i32) (param $id i32) (result i32)
    (local $at i32) (local $left i32)
    (local.set $left (i32.load16_u offset=8 (local.get $frame)))
    (local.set $at (i32.add (local.get $frame) (i32.const 12)))
    (loop $next (result i32)
      (if (i32.eqz (local.get $left)) (then (return (i32.const 0))))
      (if (i32.eq (i32.load16_u (local.get $at)) (local.get $id)) (then (return (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 12)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))

  ;; Where a field's bytes begin.
  (func $bytes (param $frame i32) (param $entry i32) (result i32)
    (i32.add (local.get $frame) (i32.load offset=4 (local.get $entry))))

  ;; Whether six bytes are `writer`.
  (func $is_writer (param $at i32) (result i32)
    (i32.and
      (i32.eq (i32.load (local.get $at)) (i32.load (i32.const 0)))
      (i32.eq (i32.load16_u offset=4 (local.get $at)) (i32.load16_u (i32.const 4)))))

  ;; Whether `user.roles` (field 3: lengths and texts in turn) holds `writer`.
  (func $may_write (param $frame i32) (result i32)
    (local $entry i32) (local $at i32) (local $end i32) (local $len i32)
    (local.set $entry (call $entry (local.get $frame) (i32.const 3)))
    (if (i32.eqz (local.get $entry)) (then (return (i32.const 0))))
    (local.set $at (call $bytes (local.get $frame) (local.get $entry)))
    (local.set $end (i32.add (local.get $at) (i32.load offset=8 (local.get $entry))))
    (loop $next (result i32)
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const 0))))
      (local.set $len (i32.load (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (if (i32.eq (local.get $len) (i32.const 6))
        (then (if (call $is_writer (local.get $at)) (then (return (i32.const 1))))))
      (local.set $at (i32.add (local.get $at) (local.get $len)))
      (br $next)))

  ;; 0: nothing to say. 3: refused. Field 42 is `sql.read_only`.
  (func (export "authorize") (param $frame i32) (param $len i32) (result i64)
    (local $entry i32)
    (local.set $entry (call $entry (local.get $frame) (i32.const 42)))
    (if (local.get $entry)
      (then
        (if (i32.load8_u (call $bytes (local.get $frame) (local.get $entry))) (then (return (i64.const 0))))))
    (if (call $may_write (local.get $frame)) (then (return (i64.const 0))))
    (i64.const 3)))
