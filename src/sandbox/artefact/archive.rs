//! The few files of a tar archive, borrowed from its bytes. Owns the format and what of it is refused: links, folders, devices, other
//! names than plain ones, and whatever a file says twice. Nothing is written to a disk, so no name can lead anywhere.
//!
//! Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format".

use super::is_file_name;

const BLOCK_BYTES: usize = 512;
/// Headers, those that only describe a file counted.
const ENTRIES_MAX: usize = 32;
/// Bytes of extended attributes of one file.
const EXTENDED_BYTES_MAX: usize = 16 << 10;

/// Name and content of each file, in their order.
pub(super) fn files(tar: &[u8]) -> Result<Vec<(&str, &[u8])>, String> {
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    let mut rest = tar;
    for _ in 0..ENTRIES_MAX {
        let Some((header, after)) = rest.split_first_chunk::<BLOCK_BYTES>() else {
            return Err("ends in the middle of a header".to_owned());
        };
        if header.iter().all(|byte| *byte == 0) {
            return match after.iter().all(|byte| *byte == 0) {
                true => Ok(files),
                false => Err("goes on behind its end".to_owned()),
            };
        }
        let entry = Entry::read(header)?;
        let (content, after) = after
            .split_at_checked(entry.len)
            .ok_or_else(|| format!("ends within `{}`", entry.name))?;
        let padding = entry.len.next_multiple_of(BLOCK_BYTES) - entry.len;
        rest = after
            .get(padding..)
            .ok_or_else(|| format!("ends within `{}`", entry.name))?;
        match entry.kind {
            b'0' | 0 => (),
            b'5' if entry.name.is_empty() => continue,
            b'x' | b'g' => {
                extended(content)?;
                continue;
            }
            _ => {
                return Err(format!(
                    "holds `{}`, which is no plain file",
                    entry.name.escape_debug()
                ));
            }
        }
        plain(entry.name)?;
        if files.iter().any(|(name, _)| *name == entry.name) {
            return Err(format!("holds `{}` twice", entry.name));
        }
        files.push((entry.name, content));
    }
    Err(format!("has more than {ENTRIES_MAX} entries"))
}

struct Entry<'a> {
    /// Without a leading `./`; empty for the folder everything lies in.
    name: &'a str,
    len: usize,
    kind: u8,
}

impl<'a> Entry<'a> {
    fn read(header: &'a [u8; BLOCK_BYTES]) -> Result<Self, String> {
        let unsigned: u64 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| match at {
                148..156 => u64::from(b' '),
                _ => u64::from(*byte),
            })
            .sum();
        if octal(&header[148..156]) != Some(unsigned) {
            return Err("is no tar archive: a header's checksum is wrong".to_owned());
        }
        if header[345..500].iter().any(|byte| *byte != 0) && &header[257..262] == b"ustar" {
            return Err("holds a name of more than 100 bytes".to_owned());
        }
        let name = until_zero(&header[..100]);
        let name = std::str::from_utf8(name).map_err(|_| "holds a name that is not UTF-8")?;
        let len = octal(&header[124..136])
            .and_then(|len| usize::try_from(len).ok())
            .ok_or("holds a file whose length cannot be read")?;
        Ok(Self {
            name: name.strip_prefix("./").unwrap_or(name),
            len,
            kind: header[156],
        })
    }
}

/// A file lies in the archive's only folder and is called by letters.
fn plain(name: &str) -> Result<(), String> {
    if !is_file_name(name) {
        return Err(format!("holds the name `{}`", name.escape_debug()));
    }
    Ok(())
}

/// Extended attributes tell times and owners, which are nothing to us; one that changes a name or a length is refused.
fn extended(records: &[u8]) -> Result<(), String> {
    if EXTENDED_BYTES_MAX < records.len() {
        return Err("has too many extended attributes".to_owned());
    }
    let names_more = |word: &str| {
        records
            .windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    match [" path=", " linkpath=", " size=", " GNU.sparse."]
        .into_iter()
        .find(|word| names_more(word))
    {
        Some(word) => Err(format!(
            "has the extended attribute `{}`",
            word.trim_matches([' ', '='])
        )),
        None => Ok(()),
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

/// Octal digits between blanks and zero bytes.
fn octal(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(until_zero(bytes)).ok()?.trim();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}
