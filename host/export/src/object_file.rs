//! Makes a library's one object fit for anybody's program: only its public names are visible, and nothing is
//! in it that they do not reach.

use std::collections::{BTreeMap, BTreeSet};

use object::build::Id;
use object::build::elf::{Builder, Relocation, SectionData, SectionId};
use object::elf;

/// What a linker must see in an object for Linux, lest it makes the stack executable.
const KEPT: &[u8] = b".note.GNU-stack";

/// Leaves in a relocatable ELF file the sections that symbols reach whose names `is_public`, and makes all
/// other names local. Debugging information, tables of unwinding and build attributes go: the last name a
/// floating-point convention, which code without floating point does not have, and extensions that older
/// linkers do not know.
///
/// # Errors
/// When the file cannot be read.
pub fn tidy(file: &[u8], is_public: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, object::build::Error> {
    let mut builder = Builder::read(file)?;
    let public: Vec<_> = builder
        .symbols
        .iter()
        .filter(|symbol| symbol.st_bind() != elf::STB_LOCAL && is_public(&symbol.name))
        .filter_map(|symbol| Some((symbol.id(), symbol.section?)))
        .collect();

    let (reached, named) = reached(&builder, public.iter().map(|&(_, section)| section).collect());
    for section in &mut builder.sections {
        let stays = match &section.data {
            SectionData::Relocation(_) => {
                section.sh_info_section.is_some_and(|of| reached.contains(&of.index()))
            }
            SectionData::Symbol
            | SectionData::SymbolSectionIndex
            | SectionData::String
            | SectionData::SectionString => true,
            _ => reached.contains(&section.id().index()) || section.name.as_slice() == KEPT,
        };
        section.delete = !stays;
    }
    for symbol in &mut builder.symbols {
        let is_public = public.iter().any(|&(public, _)| public == symbol.id());
        match symbol.section {
            Some(section) => symbol.delete = !reached.contains(&section.index()),
            None => symbol.delete = !named.contains(&symbol.id().index()),
        }
        if symbol.section.is_some() && !is_public && symbol.st_bind() != elf::STB_LOCAL {
            let kind = symbol.st_type();
            symbol.set_st_info(elf::STB_LOCAL, kind);
            symbol.st_other = elf::SymbolOther(0);
        }
    }
    // LLVM keeps the names of sections and symbols in one table, which the writer does not.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    builder.delete_orphans();
    let mut tidied = Vec::new();
    builder.write(&mut tidied)?;
    Ok(tidied)
}

/// Bytes of code and constants that the symbols of such names need: what a linker that leaves out what nobody
/// reaches keeps of the object.
///
/// # Errors
/// When the file cannot be read.
pub fn needed(file: &[u8], is_named: impl Fn(&[u8]) -> bool) -> Result<u64, object::build::Error> {
    let builder = Builder::read(file)?;
    let symbols = builder.symbols.iter().filter(|symbol| is_named(&symbol.name));
    let (reached, _) = reached(&builder, symbols.filter_map(|symbol| symbol.section).collect());
    let sections = builder.sections.iter().filter(|section| reached.contains(&section.id().index()));
    Ok(sections.map(|section| section.sh_size).sum())
}

/// The numbers of the sections that some sections lead to, themselves included, and of the symbols on the
/// way.
fn reached(builder: &Builder<'_>, mut left: Vec<SectionId>) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let mut references: BTreeMap<usize, &[Relocation]> = BTreeMap::new();
    for section in &builder.sections {
        if let (SectionData::Relocation(relocations), Some(of)) = (&section.data, section.sh_info_section) {
            references.insert(of.index(), relocations);
        }
    }
    let (mut reached, mut named) = (BTreeSet::new(), BTreeSet::new());
    while let Some(section) = left.pop() {
        if !reached.insert(section.index()) {
            continue;
        }
        let relocations = references.get(&section.index()).copied().unwrap_or_default();
        for symbol in relocations.iter().filter_map(|relocation| relocation.symbol) {
            named.insert(symbol.index());
            left.extend(builder.symbols.get(symbol).section);
        }
    }
    (reached, named)
}
