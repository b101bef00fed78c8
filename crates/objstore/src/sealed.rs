//! JSON objects with a checksum as their last field, so that damage is noticed and not read as something else.

use flamestore_model::Fault;
use serde::de::DeserializeOwned;

const FIELD: &[u8] = b",\"crc32c\":\"";
const END: &[u8] = b"\"}";
const DIGITS: usize = 8;

/// Adds the field `crc32c` to a JSON object that has others: the CRC-32C, as eight hexadecimal digits, of every byte before
/// the comma in front of it. What is no such object is left as it is.
pub fn seal(mut json: Vec<u8>) -> Vec<u8> {
    if json.len() > 2 && json.last() == Some(&b'}') {
        json.pop();
        let sum = crc32c::crc32c(&json);
        json.extend_from_slice(FIELD);
        json.extend_from_slice(format!("{sum:08x}").as_bytes());
        json.extend_from_slice(END);
    }
    json
}

/// Compares the checksum with the rest. An object without one is from before there were any, and passes; so does one whose
/// damage is in the name of the field, since everything else then stands.
pub fn check(json: &[u8]) -> Result<(), Fault> {
    let Some(sealed) = json.strip_suffix(END) else { return Ok(()) };
    let Some((rest, digits)) = sealed.len().checked_sub(DIGITS).map(|at| sealed.split_at(at)) else { return Ok(()) };
    let Some(content) = rest.strip_suffix(FIELD) else { return Ok(()) };
    let told = std::str::from_utf8(digits).ok().and_then(|d| u32::from_str_radix(d, 16).ok());
    let found = crc32c::crc32c(content);
    if told == Some(found) {
        return Ok(());
    }
    let told = String::from_utf8_lossy(digits);
    Err(Fault::corrupt(format!("its checksum is {found:08x} where {told:?} was written")))
}

/// The value that an object holds, once its checksum is right.
pub fn open<T: DeserializeOwned>(json: &[u8]) -> Result<T, Fault> {
    check(json)?;
    serde_json::from_slice(json).map_err(|e| Fault::corrupt("it is not the JSON that was expected").caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[u8] = br#"{"a":1,"b":[{"c":"d"}]}"#;

    #[test]
    fn a_seal_is_one_more_field_and_every_flip_of_content_breaks_it() {
        let sealed = seal(JSON.to_vec());
        assert_eq!(sealed.len(), JSON.len() + FIELD.len() + DIGITS + 1);
        check(&sealed).unwrap();
        for at in 0..JSON.len() - 1 {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(check(&broken).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_opened_is_sound_and_of_the_right_shape() {
        #[derive(serde::Deserialize)]
        struct Small {
            a: u32,
        }
        let sealed = seal(JSON.to_vec());
        assert_eq!(open::<Small>(&sealed).unwrap().a, 1);
        let mut broken = sealed;
        broken[5] ^= 1;
        assert!(open::<Small>(&broken).is_err_and(|fault| fault.to_string().contains("checksum")));
        assert!(open::<Vec<u32>>(JSON).is_err());
    }

    #[test]
    fn what_has_no_seal_passes_and_what_is_no_object_gets_none() {
        for plain in [JSON, b"{}", b"[]", b"", b"\"}"] {
            check(plain).unwrap();
        }
        assert_eq!(seal(b"[1]".to_vec()), b"[1]");
        assert_eq!(seal(b"{}".to_vec()), b"{}");
    }
}
