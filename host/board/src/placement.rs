//! Whether a firmware lies where the part has memory, and starts: what is looked at before a flash is
//! written.

use std::fs;
use std::ops::Range;

use object::read::elf::{ElfFile32, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection};

use super::boot::BootError;
use super::firmware::Firmware;
use super::table::{Board, Flash};

/// A piece of a firmware's flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First address in flash, as the processor sees it. On Espressif's parts also in RAM: their tool lays
    /// out the flash.
    pub address: u32,
    /// What is written there.
    pub bytes: Vec<u8>,
}

/// Where a firmware lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// What is written, by address.
    pub segments: Vec<Segment>,
    /// Where the processor starts.
    pub entry: u32,
    /// First address above the stack; none where the startup code sets it, as on RISC-V.
    pub stack: Option<u32>,
    /// Addresses of variables.
    pub variables: Range<u32>,
}

/// What is wrong with a firmware, or with a row of the table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// The board is only emulated.
    #[error("{board} is only emulated")]
    NoFlash {
        /// The board.
        board: &'static str,
    },
    /// No ELF file.
    #[error("{path}: {problem}")]
    Elf {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something lies elsewhere.
    #[error("{what} lies at {:#010x}..{:#010x}, outside {place} at {:#010x}..{:#010x}",
        .found.start, .found.end, .allowed.start, .allowed.end)]
    Outside {
        /// What.
        what: &'static str,
        /// Its addresses.
        found: Range<u64>,
        /// Name of the memory.
        place: &'static str,
        /// Its addresses.
        allowed: Range<u64>,
    },
    /// The first vector.
    #[error("the initial stack pointer is {stack:#010x}, which is not a multiple of 8 in the RAM at \
         {:#010x}..{:#010x}",
        .ram.start, .ram.end)]
    Stack {
        /// The vector.
        stack: u32,
        /// The part's RAM.
        ram: Range<u64>,
    },
    /// The second vector.
    #[error(
        "the reset vector is {vector:#010x}; it must be odd (Thumb), lie in the firmware and be the entry \
         {entry:#010x}"
    )]
    Reset {
        /// The vector.
        vector: u32,
        /// The ELF file's entry.
        entry: u32,
    },
    /// The boot ROM would not start it.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A slot shares a sector with something else.
    #[error("the slot at {:#010x}..{:#010x} does not begin and end with sectors of the \
         flash", .slot.start, .slot.end)]
    Sectors {
        /// The slot.
        slot: Range<u64>,
    },
}

impl Flash {
    /// The first addresses of all sectors, and the end of the last.
    fn boundaries(&self) -> Vec<u64> {
        let mut boundaries = vec![u64::from(self.start)];
        let mut end = u64::from(self.start);
        for &(count, bytes) in self.sectors {
            for _ in 0..count {
                end += u64::from(bytes);
                boundaries.push(end);
            }
        }
        boundaries
    }
}

fn range(start: u32, bytes: u32) -> Range<u64> {
    u64::from(start)..u64::from(start) + u64::from(bytes)
}

fn within(
    what: &'static str,
    found: Range<u64>,
    place: &'static str,
    allowed: &Range<u64>,
) -> Result<(), PlacementError> {
    if found.start >= allowed.start && found.end <= allowed.end {
        return Ok(());
    }
    Err(PlacementError::Outside { what, found, place, allowed: allowed.clone() })
}

/// Checks a firmware against the part of its board: every byte in flash below the slots, variables and stack
/// in RAM, and on Arm the two vectors that the processor starts with.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(board: &Board, firmware: &Firmware) -> Result<Placement, PlacementError> {
    let flash = board.flash.as_ref().ok_or(PlacementError::NoFlash { board: board.name })?;
    let problem = |problem: String| PlacementError::Elf { path: firmware.elf.display().to_string(), problem };
    let bytes = fs::read(&firmware.elf).map_err(|error| problem(error.to_string()))?;
    let elf = ElfFile32::<Endianness>::parse(&*bytes).map_err(|error| problem(error.to_string()))?;
    let endian = elf.endian();
    let (all_flash, ram) = (range(flash.start, board.flash_bytes), range(flash.ram_start, board.ram_bytes));
    let boundaries = flash.boundaries();
    for start in firmware.slots() {
        let slot = start..start + firmware.slot_bytes;
        within("a slot", slot.clone(), "flash", &all_flash)?;
        if !boundaries.contains(&slot.start) || !boundaries.contains(&slot.end) {
            return Err(PlacementError::Sectors { slot });
        }
    }
    let program = all_flash.start..firmware.slot_start;
    let places = flash.boot.places(&program, &ram);
    let mut segments = Vec::new();
    // Nothing yet: any address lies before its start and behind its end.
    let mut variables = Range { start: u32::MAX, end: 0 };
    let headers = elf.elf_header().program_headers(endian, &*bytes);
    for header in headers.map_err(|error| problem(error.to_string()))? {
        let (load, place) = (header.p_paddr(endian), header.p_vaddr(endian));
        let (written, size) = (header.p_filesz(endian), header.p_memsz(endian));
        if header.p_type(endian) != object::elf::PT_LOAD || size == 0 {
            continue;
        }
        let in_ram = ram.contains(&u64::from(place));
        if written > 0 {
            let found = range(load, written);
            let fitting =
                places.iter().find(|allowed| found.start >= allowed.start && found.end <= allowed.end);
            within("a segment", found, "the firmware's flash", fitting.unwrap_or(&program))?;
            let bytes = header.data(endian, &*bytes).map_err(|()| problem("is truncated".into()))?.to_vec();
            segments.push(Segment { address: load, bytes });
        }
        // Espressif's linker script keeps addresses free where a part of the flash is seen again.
        let kept_free =
            written == 0 && !in_ram && places.iter().any(|range| range.contains(&u64::from(place)));
        if (written == 0 || place != load || in_ram) && !kept_free {
            within("a variable", range(place, size), "RAM", &ram)?;
            variables = variables.start.min(place)..variables.end.max(place + size);
        }
    }
    segments.sort_by_key(|segment| segment.address);
    let entry = elf.elf_header().e_entry(endian);
    let stack = match elf.section_by_name(".vector_table") {
        Some(table) => Some(vectors(table.data().unwrap_or_default(), entry, &program, &ram)?),
        None => {
            let seen = places.iter().find(|allowed| allowed.contains(&u64::from(entry)));
            within("the entry", range(entry, 2), "the firmware's flash", seen.unwrap_or(&program))?;
            None
        }
    };
    flash.boot.check(flash.start, &segments)?;
    Ok(Placement { segments, entry, stack, variables })
}

/// The initial stack pointer of a vector table (Armv6-M, Armv7-M and Armv8-M manuals, "Exception model").
fn vectors(table: &[u8], entry: u32, program: &Range<u64>, ram: &Range<u64>) -> Result<u32, PlacementError> {
    let word = |index: usize| {
        let bytes = table.get(4 * index..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let (stack, vector) = (word(0), word(1));
    let inside = u64::from(stack) > ram.start && u64::from(stack) <= ram.end;
    if !inside || !stack.is_multiple_of(8) {
        return Err(PlacementError::Stack { stack, ram: ram.clone() });
    }
    if vector % 2 == 0 || vector != entry || !program.contains(&u64::from(vector)) {
        return Err(PlacementError::Reset { vector, entry });
    }
    Ok(stack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_must_point_into_ram_and_into_the_firmware() {
        let table = |stack: u32, reset: u32| [stack.to_le_bytes(), reset.to_le_bytes()].concat();
        let (program, ram) = (0x0800_0000..0x0804_0000, 0x2000_0000..0x2002_0000);
        let check = |stack, reset, entry| vectors(&table(stack, reset), entry, &program, &ram);
        assert_eq!(check(0x2002_0000, 0x0800_0101, 0x0800_0101), Ok(0x2002_0000));
        for stack in [0x2000_0000, 0x2002_0008, 0x2000_1004, 0] {
            let error = PlacementError::Stack { stack, ram: ram.clone() };
            assert_eq!(check(stack, 0x0800_0101, 0x0800_0101), Err(error));
        }
        // Even, another than the entry, outside the firmware.
        for (vector, entry) in
            [(0x0800_0100, 0x0800_0100), (0x0800_0101, 0x0800_0103), (0x0804_0001, 0x0804_0001)]
        {
            assert_eq!(check(0x2002_0000, vector, entry), Err(PlacementError::Reset { vector, entry }));
        }
        let empty = vectors(&[], 0x0800_0101, &program, &ram);
        assert_eq!(empty, Err(PlacementError::Stack { stack: 0, ram }));
    }

    #[test]
    fn sectors_of_unequal_size_add_up() {
        let board = crate::table::find("nucleo-f446re").unwrap();
        let boundaries = board.flash.as_ref().unwrap().boundaries();
        assert_eq!(boundaries[4..7], [0x0801_0000, 0x0802_0000, 0x0804_0000]);
        assert_eq!(boundaries.last(), Some(&(0x0800_0000 + u64::from(board.flash_bytes))));
    }
}
