//! Objects of a git repository, read from its folder: loose ones, and those in packs, deltas resolved. No program is run, so none that
//! the repository's configuration names. Owns no ref and no work tree.
//!
//! Source: gitformat-pack(5), gitrepository-layout(5). Hashes of 20 bytes and of 32 are the same here.

use crate::digest::hex;
use flate2::read::ZlibDecoder;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;

/// An object is not longer than this; neither is a policy's file.
const OBJECT_BYTES_MAX: u64 = 64 << 20;
/// Deltas upon deltas; git makes 50 at most unless it is told otherwise, and never more than this.
const DELTAS_MAX: usize = 4_095;
const DELTAS_BYTES_MAX: usize = 128 << 20;
/// An index of a pack is not longer than this: of some forty million objects.
const INDEX_BYTES_MAX: u64 = 1 << 30;
/// Repositories that this one borrows objects from.
const ALTERNATES_MAX: usize = 16;
const MAGIC: [u8; 8] = *b"\xfftOc\0\0\0\x02";
const FANOUT: usize = 256;

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

/// An object's content.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Where the objects of a repository lie.
#[derive(Debug)]
pub(super) struct Objects {
    folders: Vec<PathBuf>,
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Objects {
    /// Of the repository whose objects lie in `folder`, and of those it borrows from.
    pub(super) fn open(folder: PathBuf) -> Self {
        let mut folders = vec![folder];
        let mut next = 0;
        while next < folders.len() && folders.len() < ALTERNATES_MAX {
            let folder = folders[next].clone();
            let listed = std::fs::read_to_string(folder.join("info/alternates"));
            let listed = listed.unwrap_or_default();
            for line in listed.lines().filter(|line| !line.starts_with('#')) {
                let other = folder.join(line);
                if !folders.contains(&other) {
                    folders.push(other);
                }
            }
            next += 1;
        }
        Self { folders }
    }

    /// The object of that hash; an error where it is not there or cannot be read.
    pub(super) fn read(&self, id: &[u8]) -> io::Result<Object> {
        let (mut place, mut deltas, mut bytes) = (self.find(id)?, Vec::new(), 0);
        // From the outermost delta to what they all are of, then back.
        let mut object = loop {
            let (pack, offset) = match place {
                Place::Loose(object) => break object,
                Place::Pack(pack, offset) => (pack, offset),
            };
            let mut file = File::open(&pack)?;
            let delta = match Entry::read(&mut file, offset, id.len())? {
                Entry::Whole(object) => break object,
                Entry::DeltaOfOffset(base, delta) => {
                    place = Place::Pack(pack, base);
                    delta
                }
                Entry::DeltaOf(base, delta) => {
                    place = self.find(&base)?;
                    delta
                }
            };
            bytes += delta.len();
            deltas.push(delta);
            if DELTAS_MAX < deltas.len() || DELTAS_BYTES_MAX < bytes {
                return Err(broken("too many deltas"));
            }
        };
        while let Some(delta) = deltas.pop() {
            object.bytes = apply(&delta, &object.bytes)?;
        }
        Ok(object)
    }

    fn find(&self, id: &[u8]) -> io::Result<Place> {
        for folder in &self.folders {
            if let Some(object) = loose(folder, id)? {
                return Ok(Place::Loose(object));
            }
        }
        for folder in &self.folders {
            if let Some((pack, offset)) = packed(folder, id)? {
                return Ok(Place::Pack(pack, offset));
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no object of that hash",
        ))
    }
}

/// Where an object lies.
enum Place {
    Loose(Object),
    Pack(PathBuf, u64),
}

fn inflated(from: impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    whole(ZlibDecoder::new(from), bytes)
}

/// An object's content, which has that length.
fn whole(from: impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    if OBJECT_BYTES_MAX < bytes {
        return Err(broken("the object is too long"));
    }
    let mut content = Vec::new();
    from.take(bytes).read_to_end(&mut content)?;
    if u64::try_from(content.len()) != Ok(bytes) {
        return Err(broken("the object ends too early"));
    }
    Ok(content)
}

/// `KIND BYTES\0content`, deflated.
fn loose(folder: &Path, id: &[u8]) -> io::Result<Option<Object>> {
    const HEAD_BYTES_MAX: usize = 32;
    let name = hex(id);
    let Some((first, rest)) = name.split_at_checked(2) else {
        return Ok(None);
    };
    let file = match File::open(folder.join(first).join(rest)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = ZlibDecoder::new(BufReader::new(file));
    let mut head = Vec::new();
    let mut byte = [0];
    while head.len() < HEAD_BYTES_MAX {
        content.read_exact(&mut byte)?;
        if byte == [0] {
            break;
        }
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head);
    let kind = match head.split_once(' ') {
        Some(("commit", bytes)) => Some((Kind::Commit, bytes)),
        Some(("tree", bytes)) => Some((Kind::Tree, bytes)),
        Some(("blob", bytes)) => Some((Kind::Blob, bytes)),
        Some(("tag", bytes)) => Some((Kind::Tag, bytes)),
        _ => None,
    };
    let (kind, bytes) = kind.ok_or_else(|| broken("an object of no known kind"))?;
    let wanted: u64 = bytes
        .parse()
        .map_err(|_| broken("an object without length"))?;
    let bytes = whole(content, wanted)?;
    Ok(Some(Object { kind, bytes }))
}

/// The pack that has the object, and where.
fn packed(folder: &Path, id: &[u8]) -> io::Result<Option<(PathBuf, u64)>> {
    let packs = match std::fs::read_dir(folder.join("pack")) {
        Ok(packs) => packs,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for found in packs {
        let path = found?.path();
        if path.extension().is_some_and(|ending| ending == "idx")
            && let Some(offset) = Index::open(&path)?.find(id)?
        {
            return Ok(Some((path.with_extension("pack"), offset)));
        }
    }
    Ok(None)
}

/// The index of a pack, version 2, read where it is looked at.
struct Index {
    file: File,
    bytes: u64,
}

impl Index {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic)?;
        if magic != MAGIC || INDEX_BYTES_MAX < bytes {
            return Err(broken("an index of another version"));
        }
        Ok(Self { file, bytes })
    }

    fn at<const N: usize>(&mut self, offset: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn fanout(&mut self, byte: usize) -> io::Result<u64> {
        let offset = (MAGIC.len() + 4 * byte) as u64;
        Ok(u64::from(u32::from_be_bytes(self.at(offset)?)))
    }

    fn find(mut self, id: &[u8]) -> io::Result<Option<u64>> {
        let Some(first) = id.first().map(|byte| usize::from(*byte)) else {
            return Ok(None);
        };
        let objects = self.fanout(FANOUT - 1)?;
        let names = (MAGIC.len() + 4 * FANOUT) as u64;
        let hash_bytes = id.len() as u64;
        // Names, checksums of four bytes, offsets of four; hashes of another length are another repository's.
        if self.bytes < names + objects * (hash_bytes + 8) + 2 * hash_bytes {
            return Ok(None);
        }
        let (mut low, mut high) = match first {
            0 => (0, self.fanout(0)?),
            first => (self.fanout(first - 1)?, self.fanout(first)?),
        };
        let mut name = vec![0; id.len()];
        while low < high {
            let middle = low + (high - low) / 2;
            self.file
                .seek(SeekFrom::Start(names + middle * hash_bytes))?;
            self.file.read_exact(&mut name)?;
            match (*name).cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let offsets = names + objects * (hash_bytes + 4);
                    return self.offset(offsets, objects, middle).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Beyond two gigabytes the offset stands in a table of its own.
    fn offset(&mut self, offsets: u64, objects: u64, index: u64) -> io::Result<u64> {
        const FAR: u32 = 1 << 31;
        let offset = u32::from_be_bytes(self.at(offsets + index * 4)?);
        if offset & FAR == 0 {
            return Ok(u64::from(offset));
        }
        let far = offsets + objects * 4 + u64::from(offset & !FAR) * 8;
        Ok(u64::from_be_bytes(self.at(far)?))
    }
}

/// One entry of a pack.
enum Entry {
    Whole(Object),
    /// A delta of what lies at that offset.
    DeltaOfOffset(u64, Vec<u8>),
    /// A delta of the object of that hash.
    DeltaOf(Vec<u8>, Vec<u8>),
}

impl Entry {
    fn read(file: &mut File, offset: u64, hash_bytes: usize) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        let mut from = BufReader::new(file);
        let first = byte(&mut from)?;
        let mut bytes = u64::from(first & 0x0f);
        let (mut shift, mut more) = (4, first & 0x80 != 0);
        while more {
            let next = byte(&mut from)?;
            let part = u64::from(next & 0x7f).checked_shl(shift);
            bytes |= part.ok_or_else(|| broken("a length without end"))?;
            (shift, more) = (shift + 7, next & 0x80 != 0);
        }
        let kind = match first >> 4 & 0x07 {
            1 => Kind::Commit,
            2 => Kind::Tree,
            3 => Kind::Blob,
            4 => Kind::Tag,
            6 => {
                let back = back(&mut from)?;
                let base = offset.checked_sub(back).filter(|_| back != 0);
                let base = base.ok_or_else(|| broken("a delta of nothing"))?;
                return Ok(Self::DeltaOfOffset(base, inflated(from, bytes)?));
            }
            7 => {
                let mut base = vec![0; hash_bytes];
                from.read_exact(&mut base)?;
                return Ok(Self::DeltaOf(base, inflated(from, bytes)?));
            }
            _ => return Err(broken("an object of no known kind")),
        };
        let bytes = inflated(from, bytes)?;
        Ok(Self::Whole(Object { kind, bytes }))
    }
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// How far back the base of a delta lies.
fn back(from: &mut impl Read) -> io::Result<u64> {
    let mut next = byte(from)?;
    let mut back = u64::from(next & 0x7f);
    while next & 0x80 != 0 {
        next = byte(from)?;
        let more = back.checked_add(1).and_then(|back| back.checked_mul(128));
        back = more.ok_or_else(|| broken("a delta of nothing"))? | u64::from(next & 0x7f);
    }
    Ok(back)
}

/// What a delta makes of its base.
fn apply(delta: &[u8], base: &[u8]) -> io::Result<Vec<u8>> {
    let mut rest = delta;
    let short = || broken("a delta ends too early");
    let base_bytes = length(&mut rest)?;
    let bytes = length(&mut rest)?;
    if u64::try_from(base.len()) != Ok(base_bytes) || OBJECT_BYTES_MAX < bytes {
        return Err(broken("a delta of something else"));
    }
    let mut made = Vec::new();
    while let Some((&command, after)) = rest.split_first() {
        rest = after;
        if command & 0x80 == 0 {
            let (part, after) = rest
                .split_at_checked(usize::from(command))
                .filter(|_| command != 0)
                .ok_or_else(short)?;
            made.extend_from_slice(part);
            rest = after;
            continue;
        }
        let mut numbers = [0_usize; 2];
        for bit in 0..7 {
            if command & 1 << bit != 0 {
                let (&part, after) = rest.split_first().ok_or_else(short)?;
                rest = after;
                // Four bytes of the offset, three of the length, the lowest first.
                let (number, place) = if bit < 4 { (0, bit) } else { (1, bit - 4) };
                numbers[number] |= usize::from(part) << (8 * place);
            }
        }
        let [offset, length] = numbers;
        let length = if length == 0 { 0x1_0000 } else { length };
        let part = base.get(offset..offset.saturating_add(length));
        made.extend_from_slice(part.ok_or_else(short)?);
        if bytes < made.len() as u64 {
            return Err(broken("a delta makes too much"));
        }
    }
    if made.len() as u64 != bytes {
        return Err(short());
    }
    Ok(made)
}

fn length(rest: &mut &[u8]) -> io::Result<u64> {
    let (mut length, mut shift) = (0_u64, 0);
    loop {
        let next = byte(rest)?;
        let part = u64::from(next & 0x7f).checked_shl(shift);
        length |= part.ok_or_else(|| broken("a length without end"))?;
        if next & 0x80 == 0 {
            return Ok(length);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    proptest! {
        /// Whatever stands where a delta should: it is refused, or makes what it says.
        #[test]
        fn no_delta_makes_more_than_it_says(
            delta in proptest::collection::vec(any::<u8>(), 0..64),
            base in proptest::collection::vec(any::<u8>(), 0..64),
            made in 0_u8..100,
        ) {
            let sized = [&[base.len() as u8, made][..], &delta].concat();
            if let Ok(bytes) = apply(&sized, &base) {
                prop_assert_eq!(bytes.len(), usize::from(made));
            }
            prop_assert!(apply(&delta, &base).map_or(true, |bytes| bytes.len() < 1 << 26));
        }

        #[test]
        fn a_copy_and_an_insertion_are_what_git_means_by_them(
            base in proptest::collection::vec(any::<u8>(), 1..60),
            new in proptest::collection::vec(any::<u8>(), 1..60),
            at in 0_usize..60,
        ) {
            let at = at % base.len();
            let rest = base.len() - at;
            let head = [base.len() as u8, (rest + new.len()) as u8];
            // A copy of `rest` bytes from `at`: one byte of each; then the new bytes themselves.
            let copy = [0x91, at as u8, rest as u8];
            let delta = [&head[..], &copy, &[new.len() as u8], &new].concat();
            let made = apply(&delta, &base).unwrap();
            prop_assert_eq!(made, [&base[at..], &new].concat());
        }
    }
}
