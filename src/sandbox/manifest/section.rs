//! Finds a custom section of a module without running or compiling anything of it. Owns the walk over sections, no content.
//!
//! Source: WebAssembly Core Specification, "Binary Format / Modules".

/// Magic and version of a module.
const PREAMBLE_BYTES: usize = 8;
const CUSTOM: u8 = 0;
/// What every module begins with.
pub(super) const MAGIC: &[u8] = b"\0asm";

/// The content of the first custom section of that name. `Err` where the bytes are no sequence of sections.
pub(super) fn custom<'a>(module: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, &'static str> {
    let mut rest = module
        .get(PREAMBLE_BYTES..)
        .filter(|_| module.starts_with(MAGIC))
        .ok_or("not a WebAssembly module")?;
    let mut found = None;
    while let Some((id, after)) = rest.split_first() {
        let (len, after) = length(after).ok_or("a section's length cannot be read")?;
        let (content, after) = after
            .split_at_checked(len)
            .ok_or("a section is longer than the module")?;
        rest = after;
        if *id != CUSTOM {
            continue;
        }
        let (len, after) = length(content).ok_or("a section's name cannot be read")?;
        let (name, content) = after
            .split_at_checked(len)
            .ok_or("a section's name is longer than the section")?;
        if name != wanted.as_bytes() {
            continue;
        }
        if found.replace(content).is_some() {
            return Err("there are two manifests");
        }
    }
    Ok(found)
}

/// The module with a custom section more, behind all others.
pub(super) fn with_custom(module: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut named = leb128(name.len());
    named.extend_from_slice(name.as_bytes());
    named.extend_from_slice(content);
    let mut longer = module.to_vec();
    longer.push(CUSTOM);
    longer.extend(leb128(named.len()));
    longer.extend(named);
    longer
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// An unsigned LEB128 of 32 bits.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((value as usize, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        for (name, content) in sections {
            bytes.push(CUSTOM);
            bytes.push(u8::try_from(1 + name.len() + content.len()).unwrap());
            bytes.push(u8::try_from(name.len()).unwrap());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    #[test]
    fn the_section_of_that_name_is_found() {
        let bytes = module(&[("name", b"x"), ("m", b"{}"), ("other", b"")]);
        assert_eq!(custom(&bytes, "m"), Ok(Some(&b"{}"[..])));
        assert_eq!(custom(&bytes, "n"), Ok(None));
        assert!(custom(&module(&[("m", b"1"), ("m", b"2")]), "m").is_err());
    }

    #[test]
    fn a_section_that_was_added_is_found() {
        for len in [0, 1, 127, 128, 20_000] {
            let content = vec![b'x'; len];
            let bytes = with_custom(&module(&[("a", b"")]), "m", &content);
            assert_eq!(custom(&bytes, "m"), Ok(Some(&*content)), "{len}");
            assert_eq!(custom(&bytes, "a"), Ok(Some(&b""[..])), "{len}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_never_read_beyond_its_end() {
        assert!(custom(b"", "m").is_err());
        assert!(custom(b"\0asm", "m").is_err());
        let whole = module(&[("m", b"{}")]);
        for len in 9..whole.len() {
            assert!(custom(&whole[..len], "m").is_err(), "{len}");
        }
        assert!(custom(b"\0asm\x01\0\0\0\0\xff\xff\xff\xff\xff\x01", "m").is_err());
    }
}
