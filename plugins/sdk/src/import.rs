//! The imports of `pgwarden1`, each behind a function that takes slices. Owns the crate's calls into the host.

mod raw {
    #[link(wasm_import_module = "pgwarden1")]
    unsafe extern "C" {
        pub(super) fn log(level: i32, message: *const u8, len: usize);
        pub(super) fn get(field: i32, offset: usize, into: *mut u8, len: usize) -> i32;
        pub(super) fn contains(field: i32, needle: *const u8, len: usize) -> i32;
        pub(super) fn config(path: *const u8, path_len: usize, into: *mut u8, len: usize) -> i32;
        pub(super) fn kv_get(key: *const u8, key_len: usize, into: *mut u8, len: usize) -> i32;
        pub(super) fn kv_set(
            key: *const u8,
            key_len: usize,
            value: *const u8,
            len: usize,
            ttl_ms: i64,
        ) -> i32;
        pub(super) fn kv_delete(key: *const u8, key_len: usize) -> i32;
        pub(super) fn kv_add(
            key: *const u8,
            key_len: usize,
            delta: i64,
            ttl_ms: i64,
            sum: *mut u8,
        ) -> i32;
        pub(super) fn kv_cas(
            key: *const u8,
            key_len: usize,
            old: *const u8,
            old_len: i32,
            new: *const u8,
            new_len: usize,
            ttl_ms: i64,
        ) -> i32;
        pub(super) fn metric_add(name: *const u8, len: usize, value: f64);
        pub(super) fn metric_set(name: *const u8, len: usize, value: f64);
        pub(super) fn metric_observe(name: *const u8, len: usize, value: f64);
        pub(crate) safe fn now() -> i64;
        pub(crate) safe fn random() -> i64;
        pub(super) fn sha256(bytes: *const u8, len: usize, hex: *mut u8);
        pub(super) fn hmac_sha256(
            key: *const u8,
            key_len: usize,
            bytes: *const u8,
            len: usize,
            hex: *mut u8,
        );
        pub(super) fn ct_eq(
            left: *const u8,
            left_len: usize,
            right: *const u8,
            right_len: usize,
        ) -> i32;
        pub(super) fn matches(field: i32, pattern: *const u8, len: usize) -> i32;
        pub(super) fn fingerprint(text: *const u8, len: usize) -> i64;
        pub(super) fn normalize(text: *const u8, text_len: usize, into: *mut u8, len: usize)
        -> i32;
        pub(super) fn tables(text: *const u8, text_len: usize, into: *mut u8, len: usize) -> i32;
        pub(super) fn cache_get(key: *const u8, key_len: usize, into: *mut u8, len: usize) -> i32;
        pub(super) fn cache_put(
            key: *const u8,
            key_len: usize,
            value: *const u8,
            len: usize,
            ttl_ms: i64,
        ) -> i32;
        pub(super) fn cache_delete(key: *const u8, key_len: usize) -> i32;
        pub(super) fn attribute_set(name: *const u8, name_len: usize, value: *const u8, len: usize);
        pub(super) fn emit(name: *const u8, name_len: usize, payload: *const u8, len: usize);
        pub(super) fn loaded(
            name: *const u8,
            name_len: usize,
            offset: usize,
            into: *mut u8,
            len: usize,
        ) -> i32;
        pub(super) fn query(name: *const u8, name_len: usize, args: *const u8, len: usize) -> i32;
        pub(super) fn rows(offset: usize, into: *mut u8, len: usize) -> i32;
    }
}

pub(crate) use raw::now;
pub(crate) use raw::random;

// SAFETY of every block below: pointer and length come from one slice that lives until the call returns; the host reads or
// writes at most that many bytes and keeps no pointer.

pub(crate) fn log(level: i32, message: &[u8]) {
    unsafe { raw::log(level, message.as_ptr(), message.len()) }
}

pub(crate) fn get(field: i32, offset: usize, into: &mut [u8]) -> i32 {
    unsafe { raw::get(field, offset, into.as_mut_ptr(), into.len()) }
}

pub(crate) fn contains(field: i32, needle: &[u8]) -> i32 {
    unsafe { raw::contains(field, needle.as_ptr(), needle.len()) }
}

pub(crate) fn config(path: &[u8], into: &mut [u8]) -> i32 {
    unsafe { raw::config(path.as_ptr(), path.len(), into.as_mut_ptr(), into.len()) }
}

pub(crate) fn kv_get(key: &[u8], into: &mut [u8]) -> i32 {
    unsafe { raw::kv_get(key.as_ptr(), key.len(), into.as_mut_ptr(), into.len()) }
}

pub(crate) fn kv_set(key: &[u8], value: &[u8], ttl_ms: i64) -> i32 {
    unsafe { raw::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl_ms) }
}

pub(crate) fn kv_delete(key: &[u8]) -> i32 {
    unsafe { raw::kv_delete(key.as_ptr(), key.len()) }
}

pub(crate) fn kv_add(key: &[u8], delta: i64, ttl_ms: i64, sum: &mut [u8; 8]) -> i32 {
    unsafe { raw::kv_add(key.as_ptr(), key.len(), delta, ttl_ms, sum.as_mut_ptr()) }
}

pub(crate) fn kv_cas(key: &[u8], old: Option<&[u8]>, new: &[u8], ttl_ms: i64) -> i32 {
    let (old, old_len) = old.map_or((core::ptr::null(), -1), |old| {
        (old.as_ptr(), old.len() as i32)
    });
    unsafe {
        raw::kv_cas(
            key.as_ptr(),
            key.len(),
            old,
            old_len,
            new.as_ptr(),
            new.len(),
            ttl_ms,
        )
    }
}

pub(crate) fn metric_add(name: &[u8], value: f64) {
    unsafe { raw::metric_add(name.as_ptr(), name.len(), value) }
}

pub(crate) fn metric_set(name: &[u8], value: f64) {
    unsafe { raw::metric_set(name.as_ptr(), name.len(), value) }
}

pub(crate) fn metric_observe(name: &[u8], value: f64) {
    unsafe { raw::metric_observe(name.as_ptr(), name.len(), value) }
}

pub(crate) fn sha256(bytes: &[u8], hex: &mut [u8; 64]) {
    unsafe { raw::sha256(bytes.as_ptr(), bytes.len(), hex.as_mut_ptr()) }
}

pub(crate) fn hmac_sha256(key: &[u8], bytes: &[u8], hex: &mut [u8; 64]) {
    unsafe {
        raw::hmac_sha256(
            key.as_ptr(),
            key.len(),
            bytes.as_ptr(),
            bytes.len(),
            hex.as_mut_ptr(),
        )
    }
}

pub(crate) fn ct_eq(left: &[u8], right: &[u8]) -> i32 {
    unsafe { raw::ct_eq(left.as_ptr(), left.len(), right.as_ptr(), right.len()) }
}

pub(crate) fn matches(field: i32, pattern: &[u8]) -> i32 {
    unsafe { raw::matches(field, pattern.as_ptr(), pattern.len()) }
}

pub(crate) fn fingerprint(text: &[u8]) -> i64 {
    unsafe { raw::fingerprint(text.as_ptr(), text.len()) }
}

pub(crate) fn normalize(text: &[u8], into: &mut [u8]) -> i32 {
    unsafe { raw::normalize(text.as_ptr(), text.len(), into.as_mut_ptr(), into.len()) }
}

pub(crate) fn tables(text: &[u8], into: &mut [u8]) -> i32 {
    unsafe { raw::tables(text.as_ptr(), text.len(), into.as_mut_ptr(), into.len()) }
}

pub(crate) fn cache_get(key: &[u8], into: &mut [u8]) -> i32 {
    unsafe { raw::cache_get(key.as_ptr(), key.len(), into.as_mut_ptr(), into.len()) }
}

pub(crate) fn cache_put(key: &[u8], value: &[u8], ttl_ms: i64) -> i32 {
    unsafe { raw::cache_put(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl_ms) }
}

pub(crate) fn cache_delete(key: &[u8]) -> i32 {
    unsafe { raw::cache_delete(key.as_ptr(), key.len()) }
}

pub(crate) fn attribute_set(name: &[u8], value: &[u8]) {
    unsafe { raw::attribute_set(name.as_ptr(), name.len(), value.as_ptr(), value.len()) }
}

pub(crate) fn emit(name: &[u8], payload: &[u8]) {
    unsafe { raw::emit(name.as_ptr(), name.len(), payload.as_ptr(), payload.len()) }
}

pub(crate) fn loaded(name: &[u8], offset: usize, into: &mut [u8]) -> i32 {
    unsafe {
        raw::loaded(
            name.as_ptr(),
            name.len(),
            offset,
            into.as_mut_ptr(),
            into.len(),
        )
    }
}

pub(crate) fn query(name: &[u8], args: &[u8]) -> i32 {
    unsafe { raw::query(name.as_ptr(), name.len(), args.as_ptr(), args.len()) }
}

pub(crate) fn rows(offset: usize, into: &mut [u8]) -> i32 {
    unsafe { raw::rows(offset, into.as_mut_ptr(), into.len()) }
}
