//! A checked view of an ELF shared object: the few tables that loading the runtime looks at.

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, Rela, SectionHeader, SectionTable, Sym};
use object::{LittleEndian, SectionIndex};

type Header = FileHeader64<LittleEndian>;

const E: LittleEndian = LittleEndian;

/// A 64-bit little-endian shared object for this processor.
pub struct SharedObject<'a> {
    data: &'a [u8],
    header: &'a Header,
    sections: SectionTable<'a, Header>,
}

/// A `R_X86_64_RELATIVE` relocation: the loader writes `target` (plus the load address) at `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relative {
    pub slot: u64,
    pub target: u64,
}

impl<'a> SharedObject<'a> {
    /// Checks the header and the section table; the error says what the file is instead.
    pub fn parse(data: &'a [u8]) -> Result<Self, String> {
        if data.len() < 64 {
            return Err(format!("{} bytes are too few for an ELF file", data.len()));
        }
        if data[..4] != elf::ELFMAG {
            return Err("no ELF file".into());
        }
        if data[4] != 2 || data[5] != 1 {
            return Err("not a 64-bit little-endian ELF file".into());
        }
        let header = Header::parse(data).map_err(|error| error.to_string())?;
        let machine = header.e_machine(E);
        if machine != host_machine() {
            return Err(format!("it is for {}, this is {}", machine_name(machine), std::env::consts::ARCH));
        }
        if header.e_type(E) != elf::ET_DYN {
            return Err("an ELF file, but no shared object".into());
        }
        let sections = header.sections(E, data).map_err(|error| format!("{error} (is it truncated?)"))?;
        Ok(Self { data, header, sections })
    }

    /// File offsets of the `st_info` bytes of global, undefined dynamic symbols whose name
    /// `matches`.
    pub fn undefined_globals(&self, matches: impl Fn(&[u8]) -> bool) -> Result<Vec<usize>, String> {
        let symbols = self.dynamic_symbols()?;
        let table = self.section(symbols.section())?.sh_offset(E) as usize;
        let mut offsets = Vec::new();
        for (index, symbol) in symbols.enumerate() {
            if symbol.is_undefined(E)
                && symbol.st_bind() == elf::STB_GLOBAL
                && matches(symbols.symbol_name(E, symbol).map_err(|error| error.to_string())?)
            {
                offsets.push(
                    table
                        + index.0 * size_of_val(symbol)
                        + std::mem::offset_of!(elf::Sym64<LittleEndian>, st_info),
                );
            }
        }
        Ok(offsets)
    }

    /// Name and address of the first defined dynamic symbol whose name starts with `prefix`.
    pub fn exported(&self, prefix: &str) -> Result<Option<(Vec<u8>, u64)>, String> {
        let symbols = self.dynamic_symbols()?;
        for symbol in symbols.iter() {
            let name = symbols.symbol_name(E, symbol).map_err(|error| error.to_string())?;
            if !symbol.is_undefined(E) && name.starts_with(prefix.as_bytes()) {
                return Ok(Some((name.to_vec(), symbol.st_value(E))));
            }
        }
        Ok(None)
    }

    /// All relocations that add only the load address.
    pub fn relative_relocations(&self) -> Result<Vec<Relative>, String> {
        let mut found = Vec::new();
        for section in self.sections.iter() {
            let Some((relocations, _)) = section.rela(E, self.data).map_err(|error| error.to_string())?
            else {
                continue;
            };
            found.extend(
                relocations
                    .iter()
                    .filter(|rela| rela.r_type(E, false) == elf::R_X86_64_RELATIVE)
                    .map(|rela| Relative { slot: rela.r_offset(E), target: rela.r_addend(E) as u64 }),
            );
        }
        Ok(found)
    }

    /// The bytes from an address to the end of its loaded segment.
    pub fn bytes_at(&self, address: u64) -> Option<&'a [u8]> {
        let segments = self.header.program_headers(E, self.data).ok()?;
        segments.iter().filter(|segment| segment.p_type(E) == elf::PT_LOAD).find_map(|segment| {
            let offset = address.checked_sub(segment.p_vaddr(E))?;
            let bytes = segment.data(E, self.data).ok()?;
            bytes.get(usize::try_from(offset).ok()?..).filter(|bytes| !bytes.is_empty())
        })
    }

    fn dynamic_symbols(&self) -> Result<object::read::elf::SymbolTable<'a, Header>, String> {
        self.sections.symbols(E, self.data, elf::SHT_DYNSYM).map_err(|error| error.to_string())
    }

    fn section(&self, index: SectionIndex) -> Result<&'a elf::SectionHeader64<LittleEndian>, String> {
        self.sections.section(index).map_err(|error| error.to_string())
    }
}

fn host_machine() -> elf::Machine {
    if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 }
}

fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".into(),
        elf::EM_AARCH64 => "aarch64".into(),
        elf::EM_ARM => "arm".into(),
        elf::EM_RISCV => "riscv".into(),
        other => format!("another processor ({})", other.0),
    }
}
