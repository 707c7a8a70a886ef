//! Rows for a plugin's tests. Owns the layout only; `plugins/README.md` has it in prose.

/// Rows as the host lays them out.
#[must_use]
pub fn rows(columns: &[&str], rows: &[&[Option<&str>]]) -> Vec<u8> {
    let mut out = Vec::new();
    for count in [columns.len(), rows.len()] {
        out.extend_from_slice(&(count as u32).to_le_bytes());
    }
    let names = columns.iter().map(|name| Some(*name));
    for item in names.chain(rows.iter().copied().flatten().copied()) {
        let len = item.map_or(u32::MAX, |item| item.len() as u32);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(item.unwrap_or_default().as_bytes());
    }
    out
}
