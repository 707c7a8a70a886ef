//! A call of a host function, with its arguments and its result, as both engines make it. Owns no effect and no permission.

use super::super::Level;
use super::super::MetricOp;
use super::super::StoreError;
use super::super::turn::Turn;
use super::table::HostFunction;
use crate::hook::Rows;
use crate::hook::abi::Field;
use crate::statement::Name;
use std::sync::Arc;

use HostFunction as F;

/// A call, with its arguments.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    Log {
        level: Level,
        message: &'a [u8],
    },
    Get {
        field: Field,
        offset: usize,
        len: usize,
    },
    Contains {
        field: Field,
        needle: &'a [u8],
    },
    Config {
        path: &'a str,
    },
    KvGet {
        key: &'a [u8],
    },
    KvSet {
        key: &'a [u8],
        value: &'a [u8],
        ttl_ms: i64,
    },
    KvDelete {
        key: &'a [u8],
    },
    KvAdd {
        key: &'a [u8],
        delta: i64,
        ttl_ms: i64,
    },
    KvCompareAndSwap {
        key: &'a [u8],
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl_ms: i64,
    },
    Metric {
        op: MetricOp,
        name: &'a [u8],
        value: f64,
    },
    Now,
    Random,
    Sha256 {
        bytes: &'a [u8],
    },
    HmacSha256 {
        key: &'a [u8],
        bytes: &'a [u8],
    },
    ConstantTimeEqual {
        left: &'a [u8],
        right: &'a [u8],
    },
    Matches {
        field: Field,
        pattern: &'a str,
    },
    Fingerprint {
        text: &'a str,
    },
    Normalize {
        text: &'a str,
    },
    Tables {
        text: &'a str,
    },
    CacheGet {
        key: &'a [u8],
    },
    CachePut {
        key: &'a [u8],
        value: &'a [u8],
        ttl_ms: i64,
    },
    CacheDelete {
        key: &'a [u8],
    },
    AttributeSet {
        name: &'a str,
        value: &'a str,
    },
    Emit {
        name: &'a str,
        payload: &'a str,
    },
    Loaded {
        name: &'a str,
        offset: usize,
        len: usize,
    },
    Query {
        name: &'a str,
        args: &'a [u8],
    },
    Rows {
        offset: usize,
        len: usize,
    },
}

/// A call's result.
#[derive(Debug)]
pub(crate) enum Response {
    Nothing,
    /// There is no such value.
    Missing,
    Flag(bool),
    Number(i64),
    Bytes(Arc<[u8]>),
    Text(String),
    Names(Vec<Name>),
    /// A part of a field, `total` bytes long as a whole. The bytes are in the turn's frame.
    Part {
        field: Field,
        offset: usize,
        len: usize,
        total: usize,
    },
    Store(StoreError),
    /// A part of rows, `total` bytes long as a whole, as `Turn::encoded` gives them.
    PartOfRows {
        rows: Arc<Rows>,
        offset: usize,
        len: usize,
        total: usize,
    },
    /// The turn waits for rows; the engine stops here until they have come.
    Wait,
}

impl Request<'_> {
    pub(super) fn function(&self) -> HostFunction {
        match self {
            Self::Log { .. } => F::Log,
            Self::Get { .. } => F::Get,
            Self::Contains { .. } => F::Contains,
            Self::Config { .. } => F::Config,
            Self::KvGet { .. } => F::KvGet,
            Self::KvSet { .. } => F::KvSet,
            Self::KvDelete { .. } => F::KvDelete,
            Self::KvAdd { .. } => F::KvAdd,
            Self::KvCompareAndSwap { .. } => F::KvCompareAndSwap,
            Self::Metric {
                op: MetricOp::Add, ..
            } => F::MetricAdd,
            Self::Metric {
                op: MetricOp::Set, ..
            } => F::MetricSet,
            Self::Metric {
                op: MetricOp::Observe,
                ..
            } => F::MetricObserve,
            Self::Now => F::Now,
            Self::Random => F::Random,
            Self::Sha256 { .. } => F::Sha256,
            Self::HmacSha256 { .. } => F::HmacSha256,
            Self::ConstantTimeEqual { .. } => F::ConstantTimeEqual,
            Self::Matches { .. } => F::Matches,
            Self::Fingerprint { .. } => F::Fingerprint,
            Self::Normalize { .. } => F::Normalize,
            Self::Tables { .. } => F::Tables,
            Self::CacheGet { .. } => F::CacheGet,
            Self::CachePut { .. } => F::CachePut,
            Self::CacheDelete { .. } => F::CacheDelete,
            Self::AttributeSet { .. } => F::AttributeSet,
            Self::Emit { .. } => F::Emit,
            Self::Loaded { .. } => F::Loaded,
            Self::Query { .. } => F::Query,
            Self::Rows { .. } => F::Rows,
        }
    }

    /// Bytes that it is given.
    pub(super) fn given(&self) -> usize {
        match self {
            Self::Log { message, .. } => message.len(),
            Self::Contains { needle, .. } => needle.len(),
            Self::Config { path } => path.len(),
            Self::KvGet { key } | Self::KvDelete { key } | Self::KvAdd { key, .. } => key.len(),
            Self::KvSet { key, value, .. } => key.len() + value.len(),
            Self::KvCompareAndSwap {
                key,
                expected,
                value,
                ..
            } => key.len() + expected.map_or(0, <[u8]>::len) + value.len(),
            Self::Metric { name, .. } => name.len(),
            Self::Sha256 { bytes } => bytes.len(),
            Self::HmacSha256 { key, bytes } => key.len() + bytes.len(),
            Self::ConstantTimeEqual { left, right } => left.len() + right.len(),
            Self::Matches { pattern, .. } => pattern.len(),
            Self::Fingerprint { text } | Self::Normalize { text } | Self::Tables { text } => {
                text.len()
            }
            Self::CacheGet { key } | Self::CacheDelete { key } => key.len(),
            Self::CachePut { key, value, .. } => key.len() + value.len(),
            Self::AttributeSet { name, value } => name.len() + value.len(),
            Self::Emit { name, payload } => name.len() + payload.len(),
            Self::Loaded { name, .. } => name.len(),
            Self::Query { name, args } => name.len() + args.len(),
            Self::Get { .. } | Self::Rows { .. } | Self::Now | Self::Random => 0,
        }
    }

    /// Bytes of a field that it looks through.
    pub(super) fn looked_through(&self, turn: &Turn) -> usize {
        match self {
            Self::Contains { field, .. } | Self::Matches { field, .. } => {
                turn.frame.content(*field).map_or(0, <[u8]>::len)
            }
            _ => 0,
        }
    }
}

impl Response {
    /// Whether it is a part of something of which a guest can ask for more.
    pub(super) fn is_part(&self) -> bool {
        matches!(self, Self::Part { .. } | Self::PartOfRows { .. })
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Names(names) => names.iter().map(bytes_of_name).sum(),
            Self::Part { len, .. } | Self::PartOfRows { len, .. } => *len,
            _ => 0,
        }
    }
}

/// As it stands in a frame: two lengths and two texts.
fn bytes_of_name(name: &Name) -> usize {
    8 + name.schema.as_ref().map_or(0, |schema| schema.len()) + name.name.len()
}
