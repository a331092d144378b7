//! What a program or shared library says about the libraries that it needs.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use object::elf;
use object::read::elf::{Dyn, FileHeader, SectionHeader};
use object::{Endianness, elf::FileHeader64};

/// The word for the folder of the file itself, in search paths.
const ORIGIN: &str = "$ORIGIN";

/// The dynamic section of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dynamic {
    /// Names of the libraries that it needs (`DT_NEEDED`).
    pub needed: Vec<String>,
    /// Where they are searched: `DT_RPATH` and `DT_RUNPATH`.
    pub search: Vec<SearchPath>,
}

/// A list of folders, separated by colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SearchPath {
    /// As written.
    pub text: String,
    /// Where in the file the text begins.
    offset: u64,
}

impl Dynamic {
    /// Reads it; a file without one, such as a linker script, has none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the file is only read here. Libraries are replaced by renaming, not rewritten;
        // one that is cut short meanwhile would end this process, as it would end any that runs
        // from it.
        let data = unsafe { Mmap::map(&file)? };
        parse(&data).map_err(io::Error::other)
    }

    /// The folders that a library at `path` has searched.
    pub fn folders(&self, path: &Path) -> Vec<PathBuf> {
        let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        self.search
            .iter()
            .flat_map(|search| search.text.split(':'))
            .map(|folder| PathBuf::from(folder.replace(ORIGIN, &origin)))
            .collect()
    }
}

/// Lets a library search the folder that it lies in, and no folder of this machine.
pub(crate) fn search_own_folder(path: &Path) -> io::Result<()> {
    let dynamic = Dynamic::read(path)?;
    for search in &dynamic.search {
        if search
            .text
            .split(':')
            .all(|folder| folder.starts_with(ORIGIN))
        {
            continue;
        }
        if search.text.len() < ORIGIN.len() {
            let path = path.display();
            return Err(io::Error::other(format!(
                "the search path `{}` of {path} is too short to be replaced",
                search.text
            )));
        }
        // In place: the table's strings keep their positions. What follows the end of the new
        // text stays, because other strings may share it.
        let mut file = File::options().write(true).open(path)?;
        file.seek(SeekFrom::Start(search.offset))?;
        file.write_all(format!("{ORIGIN}\0").as_bytes())?;
    }
    Ok(())
}

fn parse(data: &[u8]) -> Result<Dynamic, object::Error> {
    let mut dynamic = Dynamic::default();
    if !data.starts_with(b"\x7fELF") {
        return Ok(dynamic);
    }
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((entries, strings)) = sections.dynamic(endian, data)? else {
        return Ok(dynamic);
    };
    let table = sections.section(strings)?;
    let (start, _) = table.file_range(endian).unwrap_or_default();
    let strings = sections.strings(endian, data, strings)?;
    for entry in entries {
        let text = || {
            let text = entry.string(endian, strings)?;
            Ok::<_, object::Error>(String::from_utf8_lossy(text).into_owned())
        };
        match entry.tag32(endian) {
            Some(elf::DT_NEEDED) => dynamic.needed.push(text()?),
            Some(elf::DT_RPATH | elf::DT_RUNPATH) => dynamic.search.push(SearchPath {
                text: text()?,
                offset: start + entry.d_val(endian),
            }),
            _ => {}
        }
    }
    Ok(dynamic)
}
