//! Bytes at an address, as the smallest ELF file that says so.
//!
//! QEMU loads raw files only up to the size of a machine's RAM, which on small parts is less than the flash
//! that a device image lies in.

const HEADER: u16 = 52;
const PROGRAM_HEADER: u16 = 32;
/// Program and data of any processor: QEMU does not compare it with the machine's when no entry is asked of
/// the file.
const NO_MACHINE: u16 = 0;
const EXECUTABLE: u16 = 2;
const VERSION: u32 = 1;
const LOAD: u32 = 1;
const READABLE: u32 = 4;
const ALIGNMENT: u32 = 4;

/// An executable ELF file (32 bits, little-endian) of one segment and no code.
pub fn elf(address: u32, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let mut file = Vec::with_capacity(usize::from(HEADER + PROGRAM_HEADER) + bytes.len());
    // Identification: 32 bits, little-endian, version 1.
    file.extend(*b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
    for value in [EXECUTABLE, NO_MACHINE] {
        file.extend(value.to_le_bytes());
    }
    // Entry, place of the one program header, no section headers, no flags.
    for value in [VERSION, address, HEADER.into(), 0, 0] {
        file.extend(value.to_le_bytes());
    }
    for value in [HEADER, PROGRAM_HEADER, 1, 0, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    let start = u32::from(HEADER + PROGRAM_HEADER);
    for value in [LOAD, start, address, address, length, length, READABLE, ALIGNMENT] {
        file.extend(value.to_le_bytes());
    }
    file.extend(bytes);
    file
}

#[cfg(test)]
mod tests {
    use object::read::elf::{ElfFile32, FileHeader, ProgramHeader};

    #[test]
    fn a_reader_finds_the_bytes_at_their_address() {
        let file = super::elf(0x2050_0000, b"goldcrest");
        let elf = ElfFile32::<object::Endianness>::parse(&*file).unwrap();
        let headers = elf.elf_header().program_headers(elf.endian(), &*file).unwrap();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].p_paddr(elf.endian()), 0x2050_0000);
        assert_eq!(headers[0].data(elf.endian(), &*file), Ok(&b"goldcrest"[..]));
    }
}
