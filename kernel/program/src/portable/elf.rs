//! The dynamic section of programs and shared libraries: see `elf(5)`.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use object::elf;
use object::read::elf::{Dyn, FileHeader, SectionHeader};
use object::{Endianness, elf::FileHeader64};

/// Stands for the folder of the file itself in search paths: see `ld.so(8)`.
const ORIGIN: &str = "$ORIGIN";

/// The parts of a file's dynamic section that name libraries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dynamic {
    /// The names of the libraries that the file needs (`DT_NEEDED`).
    pub needed: Vec<String>,
    /// Where the loader looks for them (`DT_RPATH` and `DT_RUNPATH`).
    pub search_paths: Vec<SearchPath>,
}

/// A list of folders, separated by colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SearchPath {
    /// The list as it is in the file.
    pub text: String,
    /// The text's byte offset in the file.
    offset: u64,
}

impl Dynamic {
    /// Reads the dynamic section; empty for files without one, such as linker scripts.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is only read, and dropped at the end of this function. Package managers
        // and linkers replace libraries by renaming and do not truncate them in place, which would
        // end this process just as every process that has the library loaded.
        let data = unsafe { Mmap::map(&file)? };
        parse(&data).map_err(io::Error::other)
    }

    /// The folders in which the loader looks for the libraries that the file at `path` needs.
    pub(super) fn search_folders(&self, path: &Path) -> Vec<PathBuf> {
        let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        self.search_paths
            .iter()
            .flat_map(|search_path| search_path.text.split(':'))
            .map(|folder| PathBuf::from(folder.replace(ORIGIN, &origin)))
            .collect()
    }
}

/// Changes the search paths of a library to its own folder, unless all of them are relative to it
/// already.
pub(super) fn search_own_folder(path: &Path) -> io::Result<()> {
    let dynamic = Dynamic::read(path)?;
    for search_path in &dynamic.search_paths {
        if search_path
            .text
            .split(':')
            .all(|folder| folder.starts_with(ORIGIN))
        {
            continue;
        }
        if search_path.text.len() < ORIGIN.len() {
            let path = path.display();
            return Err(io::Error::other(format!(
                "the search path `{}` of {path} is too short to be replaced",
                search_path.text
            )));
        }
        // Overwrite in place, so that all strings of the table keep their offsets. The remainder of
        // the old text stays, because the linker may have let other strings share it.
        let mut file = File::options().write(true).open(path)?;
        file.seek(SeekFrom::Start(search_path.offset))?;
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
            Some(elf::DT_RPATH | elf::DT_RUNPATH) => dynamic.search_paths.push(SearchPath {
                text: text()?,
                offset: start + entry.d_val(endian),
            }),
            _ => {}
        }
    }
    Ok(dynamic)
}
