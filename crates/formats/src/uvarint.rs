//! Unsigned LEB128 numbers and the texts they announce, read one after another.

use flamestore_model::Fault;

/// Reads from the front of some bytes; `what` names them in errors.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Cursor { rest: bytes, what }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn number(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(|| self.broken("ends in the middle of a node"))?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.broken("has a number of more than 64 bits"))
    }

    /// A length and as many bytes.
    pub(crate) fn text(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.number()?;
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (text, rest) = split.ok_or_else(|| self.broken("ends in the middle of a node"))?;
        self.rest = rest;
        Ok(text)
    }

    fn broken(&self, how: &str) -> Fault {
        Fault::unprocessable(format!("the {} {how}: it is cut short, or in another format", self.what))
    }
}
