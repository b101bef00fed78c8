//! MD5 (RFC 1321), only because Prometheus' `hashmod` is defined by it. Not for secrets.

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The last eight bytes of the sum as a big-endian number.
pub(super) fn last_eight(message: &[u8]) -> u64 {
    let [_, _, c, d] = sum(message);
    (u64::from(c.swap_bytes()) << 32) | u64::from(d.swap_bytes())
}

fn sum(message: &[u8]) -> [u32; 4] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64).wrapping_mul(8).to_le_bytes());

    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        let mut words = [0u32; 16];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().rev().fold(0, |w, b| (w << 8) | u32::from(*b));
        }
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (mixed, at) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            // RFC 1321 defines the constants by the sine of whole radians.
            let constant = (((i + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let turned =
                a.wrapping_add(mixed).wrapping_add(constant).wrapping_add(words[at]).rotate_left(SHIFTS[i / 16][i % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        for (s, add) in state.iter_mut().zip([a, b, c, d]) {
            *s = s.wrapping_add(add);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_the_rfc_come_out() {
        for (text, hex) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
            ("x".repeat(55).as_str(), "04364420e25c512fd958a70738aa8f72"),
            ("x".repeat(56).as_str(), "668a72d5ba17f08e62dabcafad6db14b"),
            ("x".repeat(63).as_str(), "7dc2ca208106a2f703567bdff99d8981"),
            ("x".repeat(64).as_str(), "c1bb4f81d892b2d57947682aeb252456"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
        ] {
            let bytes: String = sum(text.as_bytes()).iter().map(|w| format!("{:08x}", w.swap_bytes())).collect();
            assert_eq!(bytes, hex, "{text:?}");
            assert_eq!(format!("{:016x}", last_eight(text.as_bytes())), hex[16..]);
        }
    }
}
