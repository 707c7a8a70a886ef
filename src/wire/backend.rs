//! The little a proxy reads of backend messages: how a command ended and how many rows it touched.

/// Rows that a CommandComplete body reports: the number at its end, or 0 (`BEGIN`, `CREATE TABLE`).
#[must_use]
pub fn command_rows(body: &[u8]) -> u64 {
    let tag = body.strip_suffix(&[0]).unwrap_or(body);
    let digits = tag
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    tag[tag.len() - digits..].iter().fold(0_u64, |sum, digit| {
        sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_the_count() {
        for (body, rows) in [
            (&b"SELECT 12\0"[..], 12),
            (b"INSERT 0 3\0", 3),
            (b"BEGIN\0", 0),
            (b"COPY 7", 7),
            (b"", 0),
        ] {
            assert_eq!(command_rows(body), rows);
        }
    }
}
