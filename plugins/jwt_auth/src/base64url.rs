//! base64url without padding (RFC 4648, 5, and RFC 7515, 2), strictly: one text for one sequence of bytes.

/// Decodes into `out`; the number of bytes. `None` where it is not base64url, not the only spelling, or does not fit.
pub(crate) fn decode(text: &str, out: &mut [u8]) -> Option<usize> {
    let (mut bits, mut have, mut len) = (0_u32, 0, 0);
    for byte in text.bytes() {
        bits = bits << 6 | u32::from(digit(byte)?);
        have += 6;
        if 8 <= have {
            have -= 8;
            *out.get_mut(len)? = (bits >> have) as u8;
            bits &= (1 << have) - 1;
            len += 1;
        }
    }
    // A digit that carries no whole byte, or bits that no byte has.
    (have < 6 && bits == 0).then_some(len)
}

fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = [0; 16];
        let len = decode(text, &mut out)?;
        Some(out[..len].to_vec())
    }

    #[test]
    fn the_vectors_of_rfc_4648_hold_without_padding() {
        for (text, bytes) in [
            ("", ""),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmE", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decoded("-_-_"), Some(vec![0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn there_is_one_spelling() {
        for text in [
            "Z", "Zm9vY", "Zg==", "Zh", "Zm9", "Zm 8", "Zm+8", "Zm/8", "Zm8\n", "Zmé",
        ] {
            assert_eq!(decoded(text), None, "{text}");
        }
        assert_eq!(decoded(&"A".repeat(40)), None, "longer than the room");
    }
}
