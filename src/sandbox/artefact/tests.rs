//! Plugins as they are handed over: modules, archives, signatures, and what is none of them.

use super::*;
use crate::digest::sha256_hex;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use serde_json::json;
use std::io::Write as _;
use zeroize::Zeroizing;

const MODULE_MAX: usize = 1 << 20;

/// A module that is nothing.
fn module() -> Vec<u8> {
    b"\0asm\x01\0\0\0".to_vec()
}

/// The same with a manifest of its own.
fn telling() -> Vec<u8> {
    let manifest = json!({ "name": "own", "version": "1.0.0", "abi": "pgwarden-1.0", "hooks": [] })
        .to_string();
    wat::parse_str(format!(
        "(module (@custom \"pgwarden:manifest\" {manifest:?}))"
    ))
    .unwrap()
}

fn header(name: &str, kind: u8, len: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{len:011o}").as_bytes());
    header[148..156].fill(b' ');
    header[156] = kind;
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn tar(files: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, kind, content) in files {
        tar.extend(header(name, *kind, content.len()));
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn gzip(bytes: &[u8]) -> Arc<[u8]> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

fn manifest(module: &[u8], mut more: Value) -> Vec<u8> {
    more["wasm_sha256"] = sha256_hex(module).into();
    more.to_string().into_bytes()
}

fn read(files: &[(&str, u8, &[u8])]) -> Result<Artefact, String> {
    Artefact::read(&gzip(&tar(files)), MODULE_MAX).map_err(|error| error.to_string())
}

#[test]
fn a_module_alone_is_an_artefact() {
    let read = Artefact::read(&module().into(), MODULE_MAX).unwrap();
    assert_eq!((&*read.module, read.packing), (&*module(), Packing::Module));
    assert!(read.manifest.is_none() && read.signature.is_none());
}

#[test]
fn an_archive_is_unpacked() {
    let secret = SecretKey::from_seed(Zeroizing::new([1; 32]));
    let signature = secret.sign(&module()).to_string();
    let about = json!({ "name": "old", "version": "0.4", "hooks": ["PreQuery"], "permissions": ["Network"], "max_memory": 65536, "x": 1 });
    let read = read(&[
        ("./", b'5', b""),
        ("x", b'x', b"30 mtime=1700000000.123456789\n"),
        ("./manifest.json", b'0', &manifest(&module(), about)),
        ("./plugin.wasm", 0, &module()),
        ("./plugin.sig", b'0', signature.as_bytes()),
    ])
    .unwrap();
    assert_eq!((&*read.module, read.packing), (&*module(), Packing::TarGz));
    let manifest = read.manifest.unwrap();
    assert_eq!(
        (
            &*manifest.name,
            manifest.abi_minor,
            manifest.memory_bytes_max
        ),
        ("old", None, Some(65_536))
    );
    assert_eq!(manifest.permissions, ["Network".into()]);
    assert!(
        secret
            .public()
            .has_signed(&read.module, &read.signature.unwrap())
    );
}

#[test]
fn the_modules_own_manifest_is_believed() {
    let telling = telling();
    let of = |about: Value| {
        let about = manifest(&telling, about);
        read(&[
            ("manifest.json", b'0', &about),
            ("plugin.wasm", b'0', &telling),
        ])
    };
    assert_eq!(&*of(json!({})).unwrap().manifest.unwrap().name, "own");
    assert_eq!(
        &*of(json!({ "version": "1.0.0" }))
            .unwrap()
            .manifest
            .unwrap()
            .name,
        "own"
    );
    let refused = of(json!({ "name": "other" })).unwrap_err();
    assert!(
        refused.contains("the module's own manifest says `own`"),
        "{refused}"
    );
}

#[test]
fn what_is_no_plugin_is_refused() {
    let about = manifest(&module(), json!({ "name": "a", "hooks": [] }));
    let wasm = ("plugin.wasm", b'0', &*module());
    let json = ("manifest.json", b'0', &*about);
    let wrong = json!({ "wasm_sha256": "00" }).to_string();
    type Members<'a> = &'a [(&'a str, u8, &'a [u8])];
    let cases: [(Members<'_>, &str); 13] = [
        (&[wasm], "holds no `manifest.json`"),
        (&[json], "holds no `plugin.wasm`"),
        (
            &[wasm, ("manifest.json", b'0', b"{}")],
            "missing field `wasm_sha256`",
        ),
        (
            &[wasm, ("manifest.json", b'0', b"[]")],
            "expected an object",
        ),
        (
            &[wasm, ("manifest.json", b'0', wrong.as_bytes())],
            "`wasm_sha256` is \"00\", and",
        ),
        (
            &[wasm, json, ("plugin.sig", b'0', b"?")],
            "holds `plugin.sig`: is not",
        ),
        (
            &[wasm, json, ("README", b'0', b"")],
            "holds `README`; there is room for",
        ),
        (&[wasm, json, json], "holds `manifest.json` twice"),
        (&[wasm, json, ("../x", b'0', b"")], "holds the name `../x`"),
        (
            &[wasm, json, ("/etc/passwd", b'0', b"")],
            "holds the name `/etc/passwd`",
        ),
        (
            &[wasm, json, ("l", b'2', b"")],
            "holds `l`, which is no plain file",
        ),
        (
            &[wasm, json, ("d", b'5', b"")],
            "holds `d`, which is no plain file",
        ),
        (
            &[("p", b'x', b"19 path=../../x.so\n"), wasm, json],
            "extended attribute `path`",
        ),
    ];
    for (files, said) in cases {
        let refused = read(files).unwrap_err();
        assert!(refused.contains(said), "{said}: {refused}");
    }
    let many: Vec<_> = (0..40).map(|_| ("./", b'5', &b""[..])).collect();
    assert!(read(&many).unwrap_err().contains("more than 32 entries"));
}

#[test]
fn an_archive_is_whole_and_bounded() {
    let about = manifest(&module(), json!({ "name": "a", "hooks": [] }));
    let whole = tar(&[
        ("manifest.json", b'0', &about),
        ("plugin.wasm", b'0', &module()),
    ]);
    let read = |bytes: &Arc<[u8]>| {
        let read = Artefact::read(bytes, 1_000);
        read.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(read(&gzip(&whole)), Ok(()));
    for len in [0, 100, 512, 600, 1_100, 1_536] {
        assert!(read(&gzip(&whole[..len])).is_err(), "{len}");
    }
    let packed = gzip(&whole);
    for len in 3..packed.len() {
        assert!(read(&packed[..len].into()).is_err(), "{len}");
    }
    let behind: Vec<u8> = packed.iter().copied().chain(*b"x").collect();
    assert!(
        read(&behind.into())
            .unwrap_err()
            .contains("goes on behind its end")
    );
    let bomb = gzip(&vec![0; BESIDE_BYTES_MAX + 1_001]);
    assert!(bomb.len() < 2_000);
    assert!(read(&bomb).unwrap_err().contains("inflates to more than"));
    let mut flipped = whole.clone();
    flipped[0] ^= 1;
    assert!(
        read(&gzip(&flipped))
            .unwrap_err()
            .contains("checksum is wrong")
    );
    let mut hidden = whole;
    *hidden.last_mut().unwrap() = 1;
    assert!(
        read(&gzip(&hidden))
            .unwrap_err()
            .contains("goes on behind its end")
    );
}
