//! Keys differ by everything that can change an answer; stores keep to their bytes and times; what is written ends what reads it.

use super::*;
use crate::hook::AuthMethod;
use crate::hook::ClientAddress;
use crate::hook::Hook;
use crate::hook::Identity;
use crate::hook::SessionContext;
use crate::hook::StatementContext;
use crate::policy;
use crate::policy::Action;
use crate::policy::Cache;
use crate::policy::OneFile;
use crate::policy::Severity;
use crate::statement::Needs;
use crate::statement::analyze;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use uuid::Uuid;

const AT: fn(u64) -> Duration = Duration::from_secs;
const TEXT: &str = "SELECT * FROM shop.products WHERE id = $1";

/// What the policy makes of `cache = { .. }`.
fn rule(keys: &str) -> Arc<Cache> {
    let text = format!(
        "policy = 1\n[listener.l]\nbind = [\"127.0.0.1:1\"]\n[node.n]\nrole = \"primary\"\nhost = \"h\"\n\
         [pool.p]\ndatabase = \"*\"\nnodes = [\"n\"]\n[user.u]\ntrust = true\n\
         [stage.kept]\nhook = \"cache_get\"\ncache = {{ {keys} }}\n\
         [pipeline.default]\ncache_get = [\"kept\"]\notherwise = {{ authorize = \"allow\" }}\n"
    );
    let (policy, report) = policy::load(Path::new("policy.toml"), None, &OneFile(text));
    let errors = report.lines_of(Severity::Error);
    let policy = policy.unwrap_or_else(|_| panic!("{errors:?}"));
    match &policy.stages[0].action {
        Action::Cache(rule) => Arc::clone(rule),
        other => panic!("{other:?}"),
    }
}

fn session() -> SessionContext {
    let attributes = [("tenant".into(), "acme".into())].into_iter();
    SessionContext {
        client_id: Uuid::nil(),
        identity: Identity {
            user: "ana".into(),
            roles: vec!["analyst".into(), "app".into()],
            ..Identity::default()
        },
        database: "shop".into(),
        branch: None,
        app: "psql".into(),
        listener: "main".into(),
        client: ClientAddress::Unix,
        tls: false,
        auth_method: AuthMethod::Scram,
        attributes: attributes.collect::<BTreeMap<_, _>>(),
        learned: BTreeMap::new(),
    }
}

fn cacheable(
    store: &Arc<Store>,
    session: &SessionContext,
    text: &str,
) -> Result<Cacheable, &'static str> {
    let needs = Needs {
        parse: true,
        ..Needs::default()
    };
    let statement = StatementContext {
        facts: &analyze(text, needs),
        text,
        protocol: Protocol::Extended,
        in_transaction: false,
        tx_writes: false,
        statement_count: 1,
    };
    let input = Input {
        hook: Hook::CacheGet,
        request_id: Uuid::nil(),
        session,
        statement: Some(&statement),
        outcome: None,
        auth: None,
        custom: None,
        loaded: &[],
        now: None,
        lag: None,
    };
    Cacheable::of(&"kept".into(), store, &input)
}

fn store(keys: &str) -> Arc<Store> {
    Arc::new(Store::new(&rule(keys), &Arc::default()))
}

const HERE: Circumstances<'static> = Circumstances {
    database: "shop",
    origin: b"n",
    login: "proxy",
    settings: &[("datestyle", "ISO"), ("timezone", "UTC")],
};

const ASKED: Asked<'static> = Asked {
    text: TEXT.as_bytes(),
    types: b"\0\0",
};

fn cached(store: &Arc<Store>) -> Cacheable {
    cacheable(store, &session(), TEXT).unwrap()
}

#[test]
fn everything_that_can_change_an_answer_changes_its_key() {
    let cache = cached(&store("ttl = \"1s\""));
    let mut keys = BTreeSet::new();
    let mut other = |here: Circumstances<'_>, asked: Asked<'_>, bound: &[u8]| {
        assert!(keys.insert(cache.key(&here, asked, bound).0));
        keys.insert(cache.statement_key(&here, asked).0);
    };
    other(HERE, ASKED, b"\0\0\0\x01\0\0\0\x011\0\0");
    other(HERE, ASKED, b"\0\0\0\x01\0\0\0\x012\0\0");
    other(HERE, ASKED, b"\0\x01\0\x01\0\x01\0\0\0\x011\0\0");
    other(HERE, ASKED, b"\0\0\0\x01\0\0\0\x011\0\x01\0\x01");
    let typed = Asked {
        types: b"\0\x01\0\0\0\x17",
        ..ASKED
    };
    other(HERE, typed, b"");
    let text = Asked {
        text: b"SELECT * FROM shop.products WHERE id = $1 ",
        ..ASKED
    };
    other(HERE, text, b"");
    for here in [
        Circumstances {
            database: "shop2",
            ..HERE
        },
        Circumstances {
            origin: b"m",
            ..HERE
        },
        Circumstances {
            login: "other",
            ..HERE
        },
        Circumstances {
            settings: &[("datestyle", "German"), ("timezone", "UTC")],
            ..HERE
        },
        Circumstances {
            settings: &[("datestyle", "ISO")],
            ..HERE
        },
        Circumstances {
            settings: &[("datestyle", "ISOtimezone"), ("", "UTC")],
            ..HERE
        },
        Circumstances {
            settings: &[],
            ..HERE
        },
    ] {
        other(here, ASKED, b"");
    }
    assert_eq!(
        keys.len(),
        2 * 13 - 3,
        "a statement is the same whatever is bound to it"
    );
}

#[test]
fn answers_are_shared_by_those_that_vary_does_not_tell_apart() {
    type Change = (&'static str, fn(&mut SessionContext));
    let changes: [Change; 7] = [
        ("user", |session| session.identity.user = "bob".into()),
        ("role", |session| session.identity.roles.truncate(1)),
        ("database", |session| session.database = "other".into()),
        ("client", |session| {
            session.client = ClientAddress::Ip([10, 0, 0, 1].into(), 1);
        }),
        ("app", |session| session.app = "etl".into()),
        ("listener", |session| session.listener = "inner".into()),
        ("attr.tenant", |session| session.attributes.clear()),
    ];
    let key = |store: &Arc<Store>, session: &SessionContext| {
        let cache = cacheable(store, session, TEXT);
        cache.map(|cache| cache.key(&HERE, ASKED, b""))
    };
    for (vary, _) in changes {
        let store = store(&format!("ttl = \"1s\", vary = [\"{vary}\"]"));
        for (name, change) in changes {
            let mut changed = session();
            change(&mut changed);
            let same = key(&store, &session()) == key(&store, &changed);
            assert_eq!(same, name != vary, "vary by {vary}, another {name}");
        }
    }
    // Without a word, users are told apart; and the order of roles is none.
    let (by_default, by_role) = (
        store("ttl = \"1s\""),
        store("ttl = \"1s\", vary = \"role\""),
    );
    let mut changed = session();
    changed.identity.user = "bob".into();
    changed.identity.roles.reverse();
    assert_ne!(key(&by_default, &session()), key(&by_default, &changed));
    assert_eq!(key(&by_role, &session()), key(&by_role, &changed));
}

fn answer(bytes: usize) -> Answer {
    Answer {
        rows: vec![0; bytes].into(),
        count: 1,
        ..Answer::default()
    }
}

#[test]
fn an_answer_is_given_until_it_is_old_or_a_table_of_it_is_written() {
    let store = store("ttl = \"10s\"");
    let cache = cached(&store);
    let key = cache.key(&HERE, ASKED, b"");
    let get = |at: u64| cache.get(key, "shop", AT(at)).is_some();
    assert!(!get(0));
    cache.put(key, "shop", answer(9), cache.stamp(), AT(5));
    assert!(
        get(5) && get(14) && !get(15),
        "ten seconds from when it was sent"
    );
    let written = store.generations();
    cache.put(key, "shop", answer(9), cache.stamp(), AT(5));
    written.wrote("shop", ["orders"].into_iter());
    written.wrote_anything("other");
    assert!(get(6));
    written.wrote("shop", ["products"].into_iter());
    assert!(!get(6));
    // A read that began before the write, and is kept after it.
    let stamp = cache.stamp();
    written.wrote("shop", ["products"].into_iter());
    cache.put(key, "shop", answer(9), stamp, AT(5));
    assert!(!get(6));
    let figures = store.figures();
    assert_eq!((figures.hits, figures.misses), (3, 4));
    assert_eq!((figures.stored, figures.unfit), (2, 1));
    assert_eq!((figures.expired, figures.invalidated), (1, 1));
}

#[test]
fn what_ends_an_answer_is_what_the_policy_says() {
    for (invalidate, ends) in [
        ("on_write", [true, false, true]),
        ("on_any_write", [true, true, true]),
        ("never", [false, false, false]),
    ] {
        let writes: [fn(&Generations); 3] = [
            |written| written.wrote("shop", ["products"].into_iter()),
            |written| written.wrote("shop", ["orders"].into_iter()),
            |written| written.wrote_anything("shop"),
        ];
        for (write, ends) in writes.into_iter().zip(ends) {
            let store = store(&format!("ttl = \"10s\", invalidate = \"{invalidate}\""));
            let cache = cached(&store);
            let key = cache.key(&HERE, ASKED, b"");
            cache.put(key, "shop", answer(9), cache.stamp(), AT(0));
            write(store.generations());
            assert_eq!(
                cache.get(key, "shop", AT(1)).is_none(),
                ends,
                "{invalidate}"
            );
        }
    }
}

#[test]
fn a_store_keeps_to_its_bytes() {
    let store = store("ttl = \"1h\", max_bytes = \"64KiB\", max_entry = \"8KiB\"");
    let cache = cached(&store);
    let key = |number: u32| cache.key(&HERE, ASKED, &number.to_le_bytes());
    cache.put(key(0), "shop", answer(8193), cache.stamp(), AT(0));
    assert_eq!((store.figures().unfit, store.figures().entries), (1, 0));
    for number in 0..100 {
        cache.put(key(number), "shop", answer(8 * 1024), cache.stamp(), AT(0));
        assert!(store.figures().bytes <= 64 * 1024);
    }
    let figures = store.figures();
    assert_eq!(figures.stored, 100);
    assert!((4..=8).contains(&figures.entries), "{figures:?}");
    assert_eq!(figures.evicted + figures.entries, 100);
}

#[test]
fn stores_are_shared_by_revisions_that_mean_the_same_and_watch_while_they_live() {
    let stats = crate::pipeline::StatsRegistry::default();
    let of = |keys: &str| stats.cache(&"kept".into(), &rule(keys));
    assert!(!stats.generations().is_watched());
    let first = of("ttl = \"60s\"");
    assert!(stats.generations().is_watched());
    assert!(Arc::ptr_eq(&first, &of("ttl = \"1m\", vary = \"user\"")));
    let second = of("ttl = \"2m\"");
    assert!(!Arc::ptr_eq(&first, &second));
    // One that was refused after all changes nothing for the one in force.
    assert!(Arc::ptr_eq(&first, &of("ttl = \"1m\"")));
    drop((first, second));
    assert!(!stats.generations().is_watched());
}
