//! Reads what `perf script` prints.
//!
//! Source of the form: the manual page perf-script(1) and its output. Each event is a line with the command, its process,
//! the time and the event's name, then one indented line for each frame, the leaf first, then an empty line.

use flamestore_pprof::encode::Writer;

/// Events of one kind.
#[derive(Debug)]
pub(crate) struct Script {
    /// The kinds of event, in the order in which they first come. Never empty.
    pub(crate) events: Vec<String>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// In `events`.
    event: usize,
    /// The command, then frames from the root.
    stack: Vec<String>,
}

/// How an event without a name is called.
const NAMELESS: &str = "samples";

/// `None`: the text is something else.
pub(crate) fn read(text: &str) -> Option<Script> {
    let mut script = Script { events: Vec::new(), samples: Vec::new() };
    let mut open: Option<Sample> = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            script.close(open.take());
        } else if line.starts_with([' ', '\t']) && open.as_ref().is_some_and(|_| frame(line).is_some()) {
            if let (Some(sample), Some(name)) = (&mut open, frame(line)) {
                sample.stack.push(name);
            }
        } else {
            script.close(open.take());
            let (command, event) = header(line)?;
            let known = script.events.iter().position(|known| known == event);
            let event = known.unwrap_or_else(|| {
                script.events.push(event.to_owned());
                script.events.len() - 1
            });
            open = Some(Sample { event, stack: vec![command] });
        }
    }
    script.close(open);
    (!script.samples.is_empty()).then_some(script)
}

impl Script {
    fn close(&mut self, sample: Option<Sample>) {
        if let Some(mut sample) = sample {
            // The command stays first; frames came leaf first.
            if let Some(frames) = sample.stack.get_mut(1..) {
                frames.reverse();
            }
            self.samples.push(sample);
        }
    }

    /// The stacks of one kind of event as a pprof, each event counted once.
    pub(crate) fn pprof(&self, event: usize) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.sample_type("samples", "count");
        for sample in self.samples.iter().filter(|sample| sample.event == event) {
            let locations: Vec<u64> = sample.stack.iter().rev().map(|name| writer.frame(name)).collect();
            writer.sample(&locations, &[1], &[]);
        }
        writer.finish()
    }
}

/// Seconds with a colon behind them.
fn is_time(word: &&str) -> bool {
    word.strip_suffix(':').is_some_and(|t| t.contains('.') && t.parse::<f64>().is_ok())
}

/// The command and the event of `command pid[/tid] [cpu] time: period event:`; the last three of them may be missing, but
/// for the time.
fn header(line: &str) -> Option<(String, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let time = words.iter().position(is_time)?;
    let mut before = words.get(..time)?;
    if let [rest @ .., cpu] = before
        && cpu.starts_with('[')
        && cpu.ends_with(']')
    {
        before = rest;
    }
    if let [rest @ .., pid] = before
        && !rest.is_empty()
        && pid.bytes().all(|c| c.is_ascii_digit() || c == b'/' || c == b'-')
    {
        before = rest;
    }
    if before.is_empty() {
        return None;
    }
    let mut after = words.get(time + 1..)?.iter();
    let mut event = after.next();
    if event.is_some_and(|word| word.bytes().all(|c| c.is_ascii_digit())) {
        event = after.next();
    }
    let event = event.map_or(NAMELESS, |word| word.trim_end_matches(':'));
    Some((before.join(" "), if event.is_empty() { NAMELESS } else { event }))
}

/// The name in `address symbol+0xoffset (binary)`. Without a symbol it is `binary+0xaddress`.
fn frame(line: &str) -> Option<String> {
    let (address, rest) = line.trim().split_once(char::is_whitespace)?;
    let address = address.trim_start_matches("0x");
    if address.is_empty() || !address.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let rest = rest.trim();
    let (symbol, binary) = match rest.rsplit_once(" (") {
        Some((symbol, binary)) => (symbol.trim(), binary.trim_end_matches(')')),
        // Nothing but the binary.
        None if rest.starts_with('(') => ("", rest.trim_matches(['(', ')'])),
        None => (rest, ""),
    };
    let symbol = match symbol.rsplit_once("+0x") {
        Some((name, offset)) if offset.bytes().all(|c| c.is_ascii_hexdigit()) => name,
        _ => symbol,
    };
    if symbol.is_empty() || symbol == "[unknown]" {
        let binary = binary.rsplit('/').next().filter(|b| !b.is_empty()).unwrap_or("unknown");
        return Some(format!("{binary}+0x{address}"));
    }
    Some(symbol.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# captured on: Sat Nov 21 2026
my server 12688/12764 [003] 6544038.708352:     250000 cycles:u:
\t    7f2a1c01 std::sort(int*, int*)+0x12 (/usr/lib/libwork.so.1)
\t    00401136 main (/usr/bin/server)

swapper     0 [000]  12.5: cpu-clock:
        ffffffff8104f45a native_write_msr ([kernel.kallsyms])
            7f00 [unknown] (/usr/lib/libc.so.6)

my server 12688 [003] 6544039.0: cycles:u:
            401136 main+0x4 (/usr/bin/server)
";

    #[test]
    fn events_are_told_apart_and_frames_named() {
        let script = read(TEXT).unwrap();
        assert_eq!(script.events, ["cycles:u", "cpu-clock"]);
        let stacks: Vec<_> = script.samples.iter().map(|s| (s.event, s.stack.join(";"))).collect();
        assert_eq!(
            stacks,
            [
                (0, "my server;main;std::sort(int*, int*)".to_owned()),
                (1, "swapper;libc.so.6+0x7f00;native_write_msr".to_owned()),
                (0, "my server;main".to_owned()),
            ]
        );
    }

    #[test]
    fn other_text_is_no_script() {
        for text in
            ["", "hello", "a;b 3\n", "# only a comment\n", "\n\n", "{}", "12.5: cycles:\n", "\t401136 main (x)\n"]
        {
            assert!(read(text).is_none(), "{text:?}");
        }
        let cut = TEXT.rsplit_once("6 main+0x4").unwrap().0;
        assert_eq!(read(cut).map(|s| s.samples.len()), None, "a cut line is told, not skipped");
    }
}
