//! Tests of `wire/startup`.

use super::*;
use crate::client_facing::ClientFacing;
use crate::sqlstate::SqlState;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;
use std::hint::black_box;

fn startup_of(version: u32, parameters: &[(&str, &str)]) -> Result<StartupMessage, StartupError> {
    let mut out = Vec::new();
    startup_message(&mut out, parameters.iter().copied());
    out[4..8].copy_from_slice(&version.to_be_bytes());
    match parse(&out[4..])? {
        FirstPacket::Startup(startup) => Ok(startup),
        other => panic!("not a StartupMessage: {other:?}"),
    }
}

fn settings_of(options: &str) -> Result<Vec<(String, String)>, StartupError> {
    let startup = startup_of(3 << 16, &[("user", "u"), ("options", options)])?;
    Ok(startup.parameters.settings)
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|&(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

#[test]
fn a_startup_message_is_read_whole() {
    let startup = startup_of(
        3 << 16,
        &[
            ("user", "zoë"),
            ("application_name", "psql"),
            ("DateStyle", "ISO"),
            ("datestyle", "German"),
            ("x.y", "1"),
        ],
    )
    .unwrap();
    assert_eq!(
        startup.parameters,
        Parameters {
            user: "zoë".to_owned(),
            database: "zoë".to_owned(),
            application_name: "psql".to_owned(),
            settings: pairs(&[("datestyle", "German"), ("x.y", "1")]),
            replication: Replication::Off,
        }
    );
    let negotiated = startup.negotiate();
    assert_eq!(
        (negotiated.minor, negotiated.announce),
        (0, Announce::Nothing)
    );
}

#[test]
fn options_are_read_as_postgresql_reads_them() {
    for (options, expected) in [
        ("-c work_mem=1MB", &[("work_mem", "1MB")][..]),
        ("-cwork_mem=1MB", &[("work_mem", "1MB")]),
        ("--work-mem=1MB", &[("work_mem", "1MB")]),
        ("  -c\ta=b  --C-d=e=f ", &[("a", "b"), ("c_d", "e=f")]),
        (r"-c search_path=a,\ b\\c", &[("search_path", r"a, b\c")]),
        (r"-c a=\", &[("a", "")]),
        ("-c a=", &[("a", "")]),
        ("-c a=1 -c A=2", &[("a", "2")]),
        ("-eS 64", &[("datestyle", "euro"), ("work_mem", "64")]),
        (
            "-es -S64",
            &[
                ("datestyle", "euro"),
                ("log_statement_stats", "true"),
                ("work_mem", "64"),
            ],
        ),
        ("", &[]),
        ("   ", &[]),
    ] {
        assert_eq!(settings_of(options).unwrap(), pairs(expected), "{options}");
    }
    for wrong in [
        "a=b", "-", "--", "-c", "-c a", "--a", "-D /tmp", "-c a=b c", "-S", "-ø", "-c \"a=b",
        "-c =b",
    ] {
        let error = settings_of(wrong).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::SYNTAX_ERROR, "{wrong}");
    }
}

#[test]
fn the_packet_overrides_its_options_and_the_name_may_come_from_there() {
    let parameters = startup_of(
        3 << 16,
        &[
            ("user", "u"),
            ("work_mem", "2MB"),
            ("options", "-c work_mem=1MB -c application_name=a"),
        ],
    )
    .unwrap()
    .parameters;
    assert_eq!(parameters.settings, pairs(&[("work_mem", "2MB")]));
    assert_eq!(parameters.application_name, "a");
}

#[test]
fn newer_versions_and_unknown_extensions_are_negotiated() {
    for (minor, minor_expected, announce) in [
        (0, 0, Announce::Nothing),
        (2, 2, Announce::Nothing),
        (3, 2, Announce::Version),
        (9999, 2, Announce::Version),
    ] {
        let negotiated = startup_of(3 << 16 | minor, &[("user", "u")])
            .unwrap()
            .negotiate();
        assert_eq!(
            (negotiated.minor, negotiated.announce),
            (minor_expected, announce),
            "{minor}"
        );
    }
    let grease = startup_of(
        3 << 16,
        &[("user", "u"), ("_pq_.test_protocol_negotiation", "")],
    )
    .unwrap();
    let negotiated = grease.negotiate();
    assert_eq!(negotiated.announce, Announce::Version);
    let mut out = Vec::new();
    negotiate_protocol_version(&mut out, MINOR_NEWEST, &grease.extensions);
    assert_eq!(
        out,
        b"v\0\0\0\x2b\0\x03\0\x02\0\0\0\x01_pq_.test_protocol_negotiation\0"
    );
    for version in [2 << 16, 4 << 16, 0, u32::MAX] {
        let error = startup_of(version, &[("user", "u")]).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
    }
}

#[test]
fn replication_is_a_boolean_or_a_database() {
    for (value, expected) in [
        ("database", Some(Replication::Logical)),
        ("true", Some(Replication::Physical)),
        ("ON", Some(Replication::Physical)),
        ("t", Some(Replication::Physical)),
        ("of", Some(Replication::Off)),
        ("o", None),
        ("", None),
        ("2", None),
    ] {
        let got = startup_of(3 << 16, &[("user", "u"), ("replication", value)]);
        assert_eq!(
            got.ok().map(|startup| startup.parameters.replication),
            expected,
            "{value}"
        );
    }
}

#[test]
fn requests_and_keys_survive_the_round_trip() {
    let mut out = Vec::new();
    ssl_request(&mut out);
    assert_eq!(out, b"\0\0\0\x08\x04\xd2\x16\x2f");
    assert!(matches!(parse(&out[4..]), Ok(FirstPacket::SslRequest)));
    for secret in [&[7_u8; 4][..], &[7; 32], &[7; CANCEL_SECRET_BYTES_MAX]] {
        let key = CancelKey::new(-5, secret).unwrap();
        out.clear();
        cancel_request(&mut out, &key);
        let Ok(FirstPacket::Cancel(read)) = parse(&out[4..]) else {
            panic!("no cancel")
        };
        assert!(read.process_id == -5 && key.matches(read.secret()) && !key.matches(&[7; 5]));
        assert!(!format!("{key:?}").contains('7'));
    }
    assert!(CancelKey::new(1, &[1; 3]).is_none() && CancelKey::new(1, &[1; 257]).is_none());
}

#[test]
fn wrong_packets_are_refused() {
    for (field, right) in [
        (0, false),
        (7, false),
        (8, true),
        (10_000, true),
        (10_001, false),
        (0x4745_5420, false),
    ] {
        assert_eq!(length(u32::to_be_bytes(field)).is_ok(), right, "{field}");
    }
    for wrong in [
        &b""[..],
        b"\0\x03\0",
        b"\x04\xd2\x16\x2fx",
        b"\x04\xd2\x16\x2e\0\0\0\x01abc",
        b"\0\x03\0\0",
        b"\0\x03\0\0\0",
        b"\0\x03\0\0user\0u\0",
        b"\0\x03\0\0user\0u\0\0x",
        b"\0\x03\0\0user\0\xff\0\0",
        b"\0\x03\0\0user\0u\0a b\0x\0\0",
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_crash_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..300), version in any::<bool>()) {
        let mut packet = if version { vec![0, 3, 0, 0] } else { Vec::new() };
        packet.extend(bytes);
        black_box(parse(&packet)).ok();
    }

    #[test]
    fn no_command_line_crashes_the_parser(options in "[ -cSe=a.\\\\é]{0,30}") {
        black_box(settings_of(&options)).ok();
    }

    #[test]
    fn a_prefix_of_a_startup_message_is_never_one(value in "[^\0]{1,20}", cut in 1_usize..30) {
        let mut out = Vec::new();
        startup_message(&mut out, [("user", value.as_str()), ("database", "d")]);
        let cut = out.len().saturating_sub(cut).max(4);
        proptest::prop_assert!(parse(&out[4..cut]).is_err());
    }
}
