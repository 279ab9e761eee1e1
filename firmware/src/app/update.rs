//! A new model: received into the slot that is not in use, checked there, then made current.
//!
//! ```text
//! slot: | device image ... unused ... | record |
//! ```
//!
//! The record is written last, into the slot's last bytes. It says that the device image in front of it
//! passed its self-test here, counts the updates, and keeps the version of the model. At every start the slot
//! with the higher count runs, if record and device image are whole; so power may fail at any moment: until
//! the record is whole the old model is the current one, from then on the new one, and the slot in use is
//! never written. A device image that a programmer put into the first slot has no record; it runs while no
//! slot has one, and its version is that of the manifest behind it.
//!
//! A firmware with a key takes an update only after a [`Manifest`] that the key signed, for this board and
//! for a later version of the model than the one in use. Until then nothing is erased.

use embedded_storage::nor_flash::NorFlash;
use goldcrest_engine::kernels::Family;
use goldcrest_engine::{Engine, Image, SelfTestError};
use goldcrest_link::message::Updates;
use goldcrest_link::pieces::GRANULE;
use goldcrest_link::{CRC, Manifest, ModelInfo, Pieces, Refusal};

use super::model::{self, describe};
use super::signature;
use crate::kernels::KERNELS;

/// A slot for a device image: flash that the processor also sees in its memory.
pub trait Slot: NorFlash {
    /// The whole slot as it is now; starts at a multiple of 4.
    fn memory(&self) -> &[u8];
}

/// What a slot's last bytes say when its device image passed its self-test.
struct Record {
    /// Updates so far, wrapping.
    count: u32,
    /// The device image's checksum.
    image: u32,
    /// Version of the model; 0: it came without a manifest.
    version: u32,
}

impl Record {
    const BYTES: usize = 2 * GRANULE;
    const MAGIC: [u8; 4] = *b"GCR\x02";

    fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers = [self.count, self.image, self.version].map(u32::to_le_bytes);
        let fields = [[Self::MAGIC].as_slice(), &numbers].into_iter().flatten();
        bytes.iter_mut().zip(fields.flatten()).for_each(|(place, &byte)| *place = byte);
        let (body, crc) = bytes.split_at_mut(Self::BYTES - 4);
        crc.copy_from_slice(&CRC.checksum(body).to_le_bytes());
        bytes
    }

    fn read(slot: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::BYTES] = *slot.last_chunk()?;
        let ([magic, count, image, version, ..], []) = bytes.as_chunks::<4>() else {
            return None;
        };
        let [count, image, version] = [count, image, version].map(|&bytes| u32::from_le_bytes(bytes));
        let record = Self { count, image, version };
        (*magic == Self::MAGIC && record.to_bytes() == bytes).then_some(record)
    }
}

/// Updates that led to the device image in a slot, if it is whole and passed its self-test.
fn count(slot: &[u8]) -> Option<u32> {
    let record = Record::read(slot)?;
    let image = Image::new_checked(slot, KERNELS).ok()?;
    (image.crc() == record.image).then_some(record.count)
}

/// Index of the slot that shall run.
pub fn current(slots: [&[u8]; 2]) -> usize {
    match slots.map(count) {
        [Some(first), Some(second)] => usize::from(second.wrapping_sub(first) as i32 > 0),
        [None, Some(_)] => 1,
        _ => 0,
    }
}

/// Version of the model in a slot: as its record says, else the manifest that a programmer put behind it.
fn version(slot: &[u8], model: Option<&Image>) -> u32 {
    let behind = || {
        let length = model?.bytes().len();
        let manifest = Manifest::read(slot.get(length..)?.first_chunk()?)?;
        (manifest.length as usize == length).then_some(manifest.version)
    };
    Record::read(slot).map(|record| record.version).or_else(behind).unwrap_or(0)
}

/// An update on its way into the slot that is not in use.
pub struct Update<F> {
    /// The board's name.
    board: &'static str,
    /// None on boards with one slot.
    spare: Option<F>,
    /// Who may sign manifests; nobody needs to, when there is none.
    key: Option<[u8; 32]>,
    /// Updates that led to the model in use.
    count: u32,
    /// Version of the model in use.
    version: u32,
    id: u32,
    total: usize,
    /// What was signed of the update.
    manifest: Option<Manifest>,
    /// Nothing: the slot holds no part of an update.
    pieces: Option<Pieces>,
}

impl<F: Slot> Update<F> {
    /// Ready for an update into `spare`; `used` is the slot in use, with its model.
    pub fn new(
        board: &'static str,
        used: &[u8],
        model: Option<&Image>,
        spare: Option<F>,
        key: Option<[u8; 32]>,
    ) -> Self {
        let count = Record::read(used).map_or(0, |record| record.count);
        let version = version(used, model);
        Self { board, spare, key, count, version, id: 0, total: 0, manifest: None, pieces: None }
    }

    /// What it takes to be updated.
    pub fn policy(&self) -> Updates {
        match (&self.spare, self.key) {
            (None, _) => Updates::None,
            (Some(_), None) => Updates::Unsigned,
            (Some(_), Some(key)) => Updates::Signed { key, version: self.version },
        }
    }

    /// Begins update `id` with a signed manifest: what has come of it so far. A firmware without a key does
    /// not look at it.
    pub fn begin(&mut self, id: u32, signed: &[u8]) -> Result<Pieces, Refusal> {
        let spare = self.spare.as_mut().ok_or(Refusal::NoUpdate)?;
        let Some(key) = self.key else { return Ok(Pieces::new()) };
        let manifest = signature::manifest(&key, signed).ok_or(Refusal::Signature)?;
        let (room, total) = (spare.capacity() - Record::BYTES, manifest.length as usize);
        if total > room {
            return Err(Refusal::TooLarge { slot: room as u32 });
        }
        let target = manifest.target();
        if target != self.board && !runs(target) {
            return Err(Refusal::OtherBoard);
        }
        if !manifest.may_follow(self.version) {
            return Err(Refusal::Rollback { installed: self.version });
        }
        match self.pieces {
            Some(pieces) if self.id == id && self.manifest == Some(manifest) => Ok(pieces),
            _ => {
                (self.pieces, self.manifest) = (None, Some(manifest));
                self.start(id, total)
            }
        }
    }

    /// Empties the slot for update `id`, of `total` bytes.
    fn start(&mut self, id: u32, total: usize) -> Result<Pieces, Refusal> {
        let spare = self.spare.as_mut().ok_or(Refusal::NoUpdate)?;
        self.pieces = None;
        let end = spare.capacity() as u32;
        spare.erase(0, end).map_err(|_| Refusal::Flash)?;
        (self.id, self.total) = (id, total);
        let pieces = Pieces::new();
        self.pieces = Some(pieces);
        Ok(pieces)
    }

    /// Takes a piece of update `id`, of `total` bytes in all: what has come so far.
    pub fn write(&mut self, id: u32, total: usize, offset: usize, bytes: &[u8]) -> Result<Pieces, Refusal> {
        let room = self.spare.as_ref().ok_or(Refusal::NoUpdate)?.capacity() - Record::BYTES;
        if total > room {
            return Err(Refusal::TooLarge { slot: room as u32 });
        }
        if offset.saturating_add(bytes.len()) > total {
            return Err(Refusal::TooLong { expected: total as u32 });
        }
        let known = self.pieces.filter(|_| self.id == id && self.total == total);
        let mut pieces = match known {
            Some(pieces) => pieces,
            None if self.key.is_some() => return Err(Refusal::NotBegun),
            None => self.start(id, total)?,
        };
        let spare = self.spare.as_mut().ok_or(Refusal::NoUpdate)?;
        if pieces.takes(offset, bytes.len(), total) {
            for (index, granule) in bytes.chunks(GRANULE).enumerate() {
                let offset = offset + index * GRANULE;
                // Flash with error correction takes each word once.
                if !pieces.has(offset) {
                    let mut word = [0xff; GRANULE];
                    for (place, &byte) in word.iter_mut().zip(granule) {
                        *place = byte;
                    }
                    if spare.write(offset as u32, &word).is_err() {
                        self.pieces = None;
                        return Err(Refusal::Flash);
                    }
                    pieces.take(offset, granule.len(), total);
                }
            }
        }
        self.pieces = Some(pieces);
        Ok(pieces)
    }

    /// Checks what was received as update `id`, tests it in the arena and makes it the current model of the
    /// next start.
    pub fn activate(&mut self, id: u32, crc: u32, arena: &mut [u32]) -> Result<ModelInfo, Refusal> {
        let spare = self.spare.as_mut().ok_or(Refusal::NoUpdate)?;
        let expected = self.total as u32;
        let received = match self.pieces {
            Some(pieces) if self.id == id => pieces.received(),
            _ => {
                return Err(Refusal::Incomplete { received: 0, expected: 0 });
            }
        };
        if received < self.total {
            return Err(Refusal::Incomplete { received: received as u32, expected });
        }
        let bytes = spare.memory().get(..self.total).unwrap_or_default();
        if CRC.checksum(bytes) != crc {
            self.pieces = None;
            return Err(Refusal::WrongImage);
        }
        // Nothing in bytes that nobody signed is looked at.
        let manifest = self.manifest.as_ref().filter(|_| self.key.is_some());
        if self.key.is_some() && !manifest.is_some_and(|manifest| signature::is_of(manifest, bytes)) {
            self.pieces = None;
            return Err(Refusal::Signature);
        }
        let image = model::check(bytes, arena).map_err(Refusal::NewModel)?;
        let (vectors, failed) = self_test(&image, arena);
        if vectors == 0 || failed > 0 {
            return Err(Refusal::NewSelfTest { vectors, failed });
        }
        let (info, image) = (describe(&image), image.crc());
        let version = manifest.map_or(0, |manifest| manifest.version);
        let record = Record { count: self.count.wrapping_add(1), image, version }.to_bytes();
        let place = (spare.capacity() - Record::BYTES) as u32;
        spare.write(place, &record).map_err(|_| Refusal::Flash)?;
        if spare.memory().last_chunk() != Some(&record) {
            return Err(Refusal::Flash);
        }
        Ok(info)
    }
}

/// Whether this firmware runs device images packed for a family of that name.
fn runs(family: &str) -> bool {
    [Family::Portable, Family::NATIVE].into_iter().any(|own| own.name() == family)
}

/// Runs the golden vectors of an image that fits the arena: how many there are, how many failed.
pub fn self_test(image: &Image, arena: &mut [u32]) -> (u16, u16) {
    match Engine::new(image, arena).map(|mut engine| engine.selftest()) {
        Ok(Ok(vectors)) => (vectors, 0),
        Ok(Err(SelfTestError::Failed { vectors, failed })) => (vectors, failed),
        // No vectors; an arena that is too small was refused before.
        Ok(Err(_)) | Err(_) => (0, 0),
    }
}

/// The second slot of a board that has none.
pub enum NoSlot {}

impl embedded_storage::nor_flash::ErrorType for NoSlot {
    type Error = core::convert::Infallible;
}

impl embedded_storage::nor_flash::ReadNorFlash for NoSlot {
    const READ_SIZE: usize = 1;
    fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), Self::Error> {
        match *self {}
    }
    fn capacity(&self) -> usize {
        match *self {}
    }
}

impl NorFlash for NoSlot {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;
    fn erase(&mut self, _: u32, _: u32) -> Result<(), Self::Error> {
        match *self {}
    }
    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Self::Error> {
        match *self {}
    }
}

impl Slot for NoSlot {
    fn memory(&self) -> &[u8] {
        match *self {}
    }
}

#[cfg(test)]
mod tests;
