//! Bytes at an address, as the smallest ELF file that says so.
//!
//! QEMU loads raw files only up to the size of a machine's RAM, which on small parts is less than the flash
//! that a device image lies in.

const HEADER: u16 = 52;
const PROGRAM_HEADER: u16 = 32;
/// Program and data of any processor: QEMU does not compare it with the machine's when no entry is asked of
/// the file.
const NO_MACHINE: u16 = 0;

/// An executable ELF file (32 bits, little-endian) of one segment and no code.
pub fn elf(address: u32, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let mut file = Vec::with_capacity(usize::from(HEADER + PROGRAM_HEADER) + bytes.len());
    // Identification: 32 bits, little-endian, version 1.
    file.extend(*b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
    let mut half = |value: u16| file.extend(value.to_le_bytes());
    half(object::elf::ET_EXEC);
    half(NO_MACHINE);
    let mut word = |value: u32| file.extend(value.to_le_bytes());
    word(object::elf::EV_CURRENT.into());
    word(address);
    word(HEADER.into());
    word(0);
    word(0);
    for value in [HEADER, PROGRAM_HEADER, 1, 0, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    let start = u32::from(HEADER + PROGRAM_HEADER);
    let flags = object::elf::PF_R;
    for value in [object::elf::PT_LOAD, start, address, address, length, length, flags, 4] {
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
