//! What is signed of a device image, so that a board knows what it is about to get before it erases anything:
//! which version of the model it is, for which boards, how long, and its digest.
//!
//! The signature is Ed25519 (RFC 8032) over the manifest's bytes. Manifest and signature stand behind the
//! device image in its file, where the image's own readers pass over them.

use core::ops::Range;

/// A manifest.
///
/// ```
/// use goldcrest_link::manifest::Manifest;
///
/// let manifest = Manifest::new(7, 0, 71_364, "nucleo-f446re", [9; 64]).unwrap();
/// assert_eq!(Manifest::read(&manifest.to_bytes()), Some(manifest));
/// assert!(manifest.may_follow(6) && !manifest.may_follow(7) && !manifest.may_follow(8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Counts the versions of the model from 1 on.
    pub version: u32,
    /// Versions up to this one may be replaced though they are not older: a step back that is signed as
    /// allowed. 0: none.
    pub replaces: u32,
    /// Bytes of the device image.
    pub length: u32,
    target: [u8; Self::TARGET_BYTES],
    /// SHA-512 of the device image.
    pub digest: [u8; 64],
}

/// Where the fields lie, in bytes.
mod field {
    use super::Range;

    pub const MAGIC: Range<usize> = 0..4;
    pub const VERSION: Range<usize> = 4..8;
    pub const REPLACES: Range<usize> = 8..12;
    pub const LENGTH: Range<usize> = 12..16;
    pub const TARGET: Range<usize> = 16..48;
    pub const DIGEST: Range<usize> = 48..112;
}

impl Manifest {
    /// First bytes.
    pub const MAGIC: [u8; 4] = *b"GCM\x01";
    /// Bytes of a manifest.
    pub const BYTES: usize = field::DIGEST.end;
    /// Bytes of a signature.
    pub const SIGNATURE_BYTES: usize = 64;
    /// Bytes of a manifest and its signature.
    pub const SIGNED_BYTES: usize = Self::BYTES + Self::SIGNATURE_BYTES;
    /// Longest name of a target.
    pub const TARGET_BYTES: usize = field::TARGET.end - field::TARGET.start;

    /// A manifest; none where the version is 0, or the target's name is empty, too long or holds a zero.
    pub fn new(version: u32, replaces: u32, length: u32, target: &str, digest: [u8; 64]) -> Option<Self> {
        let mut name = [0; Self::TARGET_BYTES];
        name.get_mut(..target.len())?.copy_from_slice(target.as_bytes());
        let manifest = Self { version, replaces, length, target: name, digest };
        (version > 0 && !target.is_empty() && manifest.target() == target).then_some(manifest)
    }

    /// A board's name in the table of boards, or the name of a family of kernels: all boards that have them.
    pub fn target(&self) -> &str {
        let end = self.target.iter().position(|&byte| byte == 0).unwrap_or(self.target.len());
        let name = self.target.get(..end).unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_default()
    }

    /// Whether a board with a model of that version, 0 where it is unknown, may take this one.
    pub const fn may_follow(&self, version: u32) -> bool {
        self.version > version || version <= self.replaces
    }

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (version, replaces) = (self.version.to_le_bytes(), self.replaces.to_le_bytes());
        for (range, value) in [
            (field::MAGIC, &Self::MAGIC[..]),
            (field::VERSION, &version),
            (field::REPLACES, &replaces),
            (field::LENGTH, &self.length.to_le_bytes()),
            (field::TARGET, &self.target),
            (field::DIGEST, &self.digest),
        ] {
            bytes[range].copy_from_slice(value);
        }
        bytes
    }

    /// The manifest in bytes, whoever made them; none where they are not those of one.
    pub fn read(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let word = |range: Range<usize>| bytes.get(range)?.first_chunk().copied().map(u32::from_le_bytes);
        let manifest = Self {
            version: word(field::VERSION)?,
            replaces: word(field::REPLACES)?,
            length: word(field::LENGTH)?,
            target: *bytes.get(field::TARGET)?.first_chunk()?,
            digest: *bytes.get(field::DIGEST)?.first_chunk()?,
        };
        let target = manifest.target();
        let same = Self::new(manifest.version, manifest.replaces, manifest.length, target, manifest.digest);
        same.filter(|same| same.to_bytes() == *bytes)
    }

    /// A manifest and its signature at the beginning of bytes.
    pub fn split(signed: &[u8]) -> Option<(Self, &[u8; Self::BYTES], &[u8; Self::SIGNATURE_BYTES])> {
        let (bytes, rest) = signed.split_first_chunk()?;
        Some((Self::read(bytes)?, bytes, rest.first_chunk()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest(target: &str) -> Option<Manifest> {
        Manifest::new(1 << 31, 3, 71_364, target, core::array::from_fn(|index| index as u8))
    }

    #[test]
    fn only_names_that_fit_are_targets() {
        let longest = "a".repeat(Manifest::TARGET_BYTES);
        for name in ["x", "nucleo-f446re", &longest] {
            let manifest = manifest(name).unwrap();
            assert_eq!(manifest.target(), name);
            assert_eq!(Manifest::read(&manifest.to_bytes()), Some(manifest));
        }
        for name in ["", "a\0b", "\0", &(longest + "a")] {
            assert_eq!(manifest(name), None, "{name:?}");
        }
        assert_eq!(Manifest::new(0, 0, 1, "x", [0; 64]), None);
    }

    #[test]
    fn versions_go_up_unless_a_step_back_is_signed() {
        let made = |version, replaces| Manifest::new(version, replaces, 1, "x", [0; 64]).unwrap();
        let may = |version, replaces, installed| made(version, replaces).may_follow(installed);
        assert!(may(1, 0, 0) && may(2, 0, 1) && may(u32::MAX, 0, u32::MAX - 1));
        assert!(!may(1, 0, 1) && !may(1, 0, 2) && !may(1, 0, u32::MAX) && !may(5, 3, 6));
        // Back from 9, and from what is older, but not from 10.
        assert!(may(4, 9, 9) && may(4, 9, 4) && may(4, 9, 3) && !may(4, 9, 10));
    }

    proptest! {
        #[test]
        fn other_bytes_are_another_manifest_or_none(place in 0..Manifest::BYTES, change in 1u8..=255) {
            let good = manifest("mps2-an386").unwrap();
            let mut bytes = good.to_bytes();
            bytes[place] ^= change;
            // What is read is exactly what the bytes say: no two forms of one manifest.
            if let Some(other) = Manifest::read(&bytes) {
                prop_assert!(other != good && other.to_bytes() == bytes);
            }
        }
    }

    #[test]
    fn what_is_too_short_or_begins_otherwise_is_none() {
        let mut signed = [[0; Manifest::SIGNATURE_BYTES].as_slice(), &[]].concat();
        signed.splice(0..0, manifest("x").unwrap().to_bytes());
        assert_eq!(Manifest::split(&signed).map(|(read, ..)| read), manifest("x"));
        assert_eq!(Manifest::split(&signed[..signed.len() - 1]), None);
        for place in field::MAGIC {
            let mut other = signed.clone();
            other[place] ^= 1;
            assert_eq!(Manifest::split(&other), None);
        }
    }
}
