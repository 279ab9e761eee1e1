//! Who made a device image: the Ed25519 signature (RFC 8032) of its manifest, which holds its digest.

use goldcrest_link::Manifest;

/// The key of this build: GOLDCREST_UPDATE_KEY, 64 hexadecimal digits.
#[cfg(target_os = "none")]
pub const KEY: Option<[u8; 32]> = match option_env!("GOLDCREST_UPDATE_KEY") {
    Some(text) => Some(key(text.as_bytes())),
    None => None,
};

#[cfg(any(target_os = "none", test))]
const fn key(text: &[u8]) -> [u8; 32] {
    assert!(text.len() == 64, "GOLDCREST_UPDATE_KEY must have 64 hexadecimal digits");
    let mut key = [0; 32];
    let mut place = 0;
    while place < key.len() {
        key[place] = digit(text[2 * place]) << 4 | digit(text[2 * place + 1]);
        place += 1;
    }
    key
}

#[cfg(any(target_os = "none", test))]
const fn digit(character: u8) -> u8 {
    match (character as char).to_digit(16) {
        Some(digit) => digit as u8,
        None => panic!("GOLDCREST_UPDATE_KEY must have hexadecimal digits only"),
    }
}

/// The manifest that `key` signed: `signed` is its bytes and the signature. Never inlined: its tables of
/// points are on the stack only while it looks, and not below every inference.
#[cfg(feature = "signature")]
#[inline(never)]
pub fn manifest(key: &[u8; 32], signed: &[u8]) -> Option<Manifest> {
    use ed25519_dalek::{Signature, VerifyingKey};
    let (manifest, bytes, signature) = Manifest::split(signed)?;
    let whole = signed.len() == Manifest::SIGNED_BYTES;
    let is_right = |key: VerifyingKey| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok();
    (whole && VerifyingKey::from_bytes(key).is_ok_and(is_right)).then_some(manifest)
}

/// Whether a device image is the one that a manifest was signed for.
#[cfg(feature = "signature")]
#[inline(never)]
pub fn is_of(manifest: &Manifest, image: &[u8]) -> bool {
    use sha2::{Digest, Sha512};
    image.len() == manifest.length as usize && Sha512::digest(image)[..] == manifest.digest
}

/// A firmware without the code to look takes no signature for right.
#[cfg(not(feature = "signature"))]
pub fn manifest(_: &[u8; 32], _: &[u8]) -> Option<Manifest> {
    None
}

/// A firmware without the code to look takes no device image for the signed one.
#[cfg(not(feature = "signature"))]
pub fn is_of(_: &Manifest, _: &[u8]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_read_from_hexadecimal_digits() {
        let key = super::key(b"00ff10Ab00000000000000000000000000000000000000000000000000000009");
        assert_eq!((&key[..4], key[31]), (&[0x00, 0xff, 0x10, 0xab][..], 9));
    }
}
