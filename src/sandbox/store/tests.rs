//! What a namespace holds, for how long, and what a store over another shows of it.

use super::*;

const QUOTA: Quota = Quota {
    keys_max: 3,
    bytes_max: 400,
};

fn namespace() -> Arc<str> {
    Arc::from("n")
}

#[test]
fn values_end_with_their_ttl() {
    let (store, n) = (Store::default(), namespace());
    store.set(&n, QUOTA, b"a", b"1", Some(10), 100).unwrap();
    assert_eq!(store.get("n", b"a", 109).as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get("n", b"a", 110), None);
    assert_eq!(store.usage("n"), (0, 0));
}

#[test]
fn a_namespace_is_bounded_by_keys_and_by_bytes() {
    let (store, n) = (Store::default(), namespace());
    for key in [b"a", b"b", b"c"] {
        store.set(&n, QUOTA, key, b"1", None, 0).unwrap();
    }
    assert_eq!(
        store.set(&n, QUOTA, b"d", b"1", None, 0),
        Err(StoreError::Full)
    );
    store.set(&n, QUOTA, b"a", b"2", None, 0).unwrap();
    assert_eq!(
        store.set(&n, QUOTA, b"a", &[0; 400], None, 0),
        Err(StoreError::Full)
    );
    assert_eq!(
        store.get("n", b"a", 0).as_deref(),
        Some(&b"2"[..]),
        "a refused write leaves the old value"
    );
    assert!(store.delete("n", b"b", 0));
    assert!(!store.delete("n", b"b", 0));
    store.set(&n, QUOTA, b"d", b"1", None, 0).unwrap();
}

#[test]
fn a_full_namespace_makes_room_from_what_has_expired() {
    let (store, n) = (Store::default(), namespace());
    for key in [b"a", b"b", b"c"] {
        store.set(&n, QUOTA, key, b"1", Some(10), 0).unwrap();
    }
    assert_eq!(
        store.set(&n, QUOTA, b"d", b"1", None, 9),
        Err(StoreError::Full)
    );
    store.set(&n, QUOTA, b"d", b"1", None, 10).unwrap();
    assert_eq!(store.usage("n").0, 1);
}

#[test]
fn add_keeps_the_window_of_its_first_call() {
    let (store, n) = (Store::default(), namespace());
    assert_eq!(store.add(&n, QUOTA, b"a", 2, Some(10), 0), Ok(2));
    assert_eq!(store.add(&n, QUOTA, b"a", 3, Some(10), 9), Ok(5));
    assert_eq!(store.add(&n, QUOTA, b"a", 1, Some(10), 10), Ok(1));
    store.set(&n, QUOTA, b"a", b"x", None, 11).unwrap();
    assert_eq!(
        store.add(&n, QUOTA, b"a", 1, None, 11),
        Err(StoreError::NotANumber)
    );
    store
        .set(&n, QUOTA, b"a", i64::MAX.to_string().as_bytes(), None, 11)
        .unwrap();
    assert_eq!(
        store.add(&n, QUOTA, b"a", 1, None, 11),
        Err(StoreError::NotANumber)
    );
}

#[test]
fn a_store_over_another_reads_it_and_changes_nothing_of_it() {
    let (beneath, n) = (Arc::new(Store::default()), namespace());
    for key in [b"a", b"b"] {
        beneath.set(&n, QUOTA, key, b"5", Some(10), 0).unwrap();
    }
    let over = Store::over(Arc::clone(&beneath));
    let both = |key: &[u8]| [&over, &*beneath].map(|store| store.get("n", key, 1));
    let five: Arc<[u8]> = Arc::from(&b"5"[..]);
    assert_eq!(
        both(b"a"),
        [Some(Arc::clone(&five)), Some(Arc::clone(&five))]
    );
    assert_eq!(over.add(&n, QUOTA, b"a", 2, None, 1), Ok(7));
    assert_eq!(
        both(b"a"),
        [Some(Arc::from(&b"7"[..])), Some(Arc::clone(&five))]
    );
    assert_eq!(
        over.get("n", b"a", 10),
        None,
        "the window is that of the value beneath"
    );
    assert_eq!(
        over.compare_and_swap(&n, QUOTA, b"b", Some(b"5"), b"6", None, 1),
        Ok(true)
    );
    assert!(over.delete("n", b"b", 1));
    assert!(!over.delete("n", b"b", 1));
    assert_eq!(both(b"b"), [None, Some(Arc::clone(&five))]);
    assert_eq!(
        over.compare_and_swap(&n, QUOTA, b"b", None, b"1", None, 1),
        Ok(true)
    );
    assert_eq!(both(b"b"), [Some(Arc::from(&b"1"[..])), Some(five)]);
    over.set(&n, QUOTA, b"c", b"1", None, 1).unwrap();
    assert_eq!(both(b"c"), [Some(Arc::from(&b"1"[..])), None]);
    beneath.set(&n, QUOTA, b"d", b"late", None, 1).unwrap();
    assert_eq!(over.get("n", b"d", 1).as_deref(), Some(&b"late"[..]));
}

#[test]
fn a_swap_happens_only_on_the_expected_value() {
    let (store, n) = (Store::default(), namespace());
    assert_eq!(
        store.compare_and_swap(&n, QUOTA, b"a", Some(b"1"), b"2", None, 0),
        Ok(false)
    );
    assert_eq!(
        store.compare_and_swap(&n, QUOTA, b"a", None, b"1", None, 0),
        Ok(true)
    );
    assert_eq!(
        store.compare_and_swap(&n, QUOTA, b"a", None, b"2", None, 0),
        Ok(false)
    );
    assert_eq!(
        store.compare_and_swap(&n, QUOTA, b"a", Some(b"1"), b"2", None, 0),
        Ok(true)
    );
    assert_eq!(store.get("other", b"a", 0), None);
}
