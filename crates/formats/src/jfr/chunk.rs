//! One chunk: its header, and the way around in it.
//!
//! | offset | bytes, big-endian | what |
//! |---|---|---|
//! | 0 | 4 | `FLR\0` |
//! | 4 | 2 + 2 | version, major and minor |
//! | 8 | 8 | size of the chunk |
//! | 16 | 8 | offset of the last constant pool event |
//! | 24 | 8 | offset of the metadata event |
//! | 32 | 8 + 8 | start and duration, in nanoseconds |
//! | 48 | 8 + 8 | start in ticks, ticks a second |
//! | 64 | 4 | features; bit 0: integers are compressed |
//! | 68 | … | events: size, type, fields |

use flamestore_model::Fault;

use crate::jfr::cursor::Cursor;

const HEADER_BYTES: usize = 68;
const MAGIC: [u8; 4] = *b"FLR\0";

/// Why reading stops.
#[derive(Debug)]
pub(super) enum Broken {
    /// The bytes are not what they should be.
    Because(&'static str),
    /// They are, but they are too much.
    Refused(Fault),
}

/// A chunk with a header that can be true.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'a> {
    bytes: &'a [u8],
    pub(super) pools_at: usize,
    pub(super) metadata_at: usize,
    pub(super) ticks_per_second: i64,
}

/// The first chunk, and what stands behind it.
pub(super) fn split(recording: &[u8]) -> Result<(Chunk<'_>, &[u8]), Broken> {
    let (header, _) =
        recording.split_first_chunk::<HEADER_BYTES>().ok_or(Broken::Because("it is shorter than a header"))?;
    if !header.starts_with(&MAGIC) {
        return Err(Broken::Because("it does not begin with FLR"));
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 8).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        i64::from_be_bytes(bytes)
    };
    if !matches!(header.get(4..6), Some([0, 1 | 2])) {
        return Err(Broken::Because("its version is neither 1 nor 2"));
    }
    if header.get(67).is_none_or(|features| features & 1 == 0) {
        return Err(Broken::Because("its integers are not compressed: record with compressedIntegers=true"));
    }
    let size = usize::try_from(number(8)).ok().filter(|size| *size >= HEADER_BYTES);
    let (bytes, rest) = size
        .and_then(|size| recording.split_at_checked(size))
        .ok_or(Broken::Because("a chunk is cut short, or was not finished"))?;
    let offset = |at: usize| {
        let offset = usize::try_from(number(at)).ok().filter(|o| (HEADER_BYTES..bytes.len()).contains(o));
        offset.ok_or(Broken::Because("an offset in a header points outside of the chunk"))
    };
    let chunk = Chunk { bytes, pools_at: offset(16)?, metadata_at: offset(24)?, ticks_per_second: number(56).max(1) };
    Ok((chunk, rest))
}

/// From where another chunk may begin, behind the beginning of one whose size cannot be believed.
pub(super) fn next(recording: &[u8]) -> &[u8] {
    let behind = recording.get(1..).unwrap_or_default();
    memchr::memmem::find(behind, &MAGIC).and_then(|at| behind.get(at..)).unwrap_or_default()
}

impl<'a> Chunk<'a> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The event at an offset: its type, and a cursor over its fields.
    pub(super) fn event_at(&self, offset: usize) -> Result<(i64, Cursor<'a>), Broken> {
        let mut events = Events { cursor: Cursor::new(self.bytes.get(offset..).unwrap_or_default()) };
        events.next().unwrap_or(Err(Broken::Because("an offset points behind the end")))
    }

    /// All events, in order.
    pub(super) fn events(&self) -> Events<'a> {
        Events { cursor: Cursor::new(self.bytes.get(HEADER_BYTES..).unwrap_or_default()) }
    }
}

/// Walks from event to event by their sizes.
pub(super) struct Events<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Events<'a> {
    fn read(&mut self) -> Result<(i64, Cursor<'a>), Broken> {
        let left = self.cursor.left();
        let mut inside = self.cursor.clone();
        let size = usize::try_from(inside.number()?).unwrap_or(usize::MAX);
        let of_size = left - inside.left();
        // The size counts itself.
        let length = size.checked_sub(of_size).filter(|l| *l > 0).ok_or(Broken::Because("an event has no size"))?;
        self.cursor.take(of_size)?;
        let mut fields = Cursor::new(self.cursor.take(length)?);
        Ok((fields.number()?, fields))
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<(i64, Cursor<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.left() == 0 {
            return None;
        }
        let event = self.read();
        if event.is_err() {
            self.cursor = Cursor::new(&[]);
        }
        Some(event)
    }
}
