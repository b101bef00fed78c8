//! Where an answer goes: standard output, or a file that appears only when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// An open output. Without [`Output::finish`] a file is not left behind.
pub(crate) struct Output {
    writer: Box<dyn Write>,
    /// The unfinished file, and what it will be called.
    part: Option<(PathBuf, PathBuf)>,
}

impl Output {
    /// Standard output, or a file.
    pub(crate) fn open(path: Option<&Path>) -> Result<Output, Failure> {
        let Some(path) = path else {
            return Ok(Output { writer: Box::new(BufWriter::new(io::stdout().lock())), part: None });
        };
        let named = |e: io::Error| Failure::file(&path.display().to_string(), &e);
        // A pipe or a device cannot be put in place later.
        let is_special = fs::metadata(path).is_ok_and(|m| !m.is_file());
        let part = (!is_special).then(|| (part_path(path), path.to_owned()));
        let open = part.as_ref().map_or(path, |(part, _)| part);
        let file = if is_special { File::options().write(true).open(open) } else { File::create(open) };
        Ok(Output { writer: Box::new(BufWriter::new(file.map_err(named)?)), part })
    }

    /// The same for bytes that a terminal cannot show.
    pub(crate) fn open_binary(path: Option<&Path>, what: &str) -> Result<Output, Failure> {
        if path.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage(format!("{what} is binary: name a file with --file, or pipe it on")));
        }
        Output::open(path)
    }

    /// Writes what is left, and gives the file its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.writer.flush()?;
        if let Some((part, path)) = self.part.take() {
            fs::rename(&part, &path).map_err(|e| Failure::file(&path.display().to_string(), &e))?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.part {
            // It is unfinished; where it cannot be removed there is nothing more to do.
            let _ = fs::remove_file(part);
        }
    }
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        let dir = std::env::temp_dir().join(format!("flamectl-output-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("x.pb.gz");
        let mut given_up = Output::open(Some(&path)).unwrap();
        given_up.write_all(b"half").unwrap();
        drop(given_up);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        let mut finished = Output::open(Some(&path)).unwrap();
        finished.write_all(b"whole").unwrap();
        finished.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        fs::remove_dir_all(&dir).unwrap();
    }
}
