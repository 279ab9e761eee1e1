//! Keys that sign device images, in files (PKCS#8 in PEM, RFC 8410, as OpenSSL writes them), and what they
//! sign: the [`Manifest`].

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use goldcrest_engine::ImageBuf;
use goldcrest_link::manifest::Manifest;
use sha2::{Digest, Sha256, Sha512};

/// Why a key cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A key that is there is not written over.
    #[error("{} is there already; a lost key cannot be made again, so give another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("{} has mode {mode:04o}: others may read the key; run: chmod 600 FILE", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error(
        "{} holds no Ed25519 private key in PEM (PKCS#8); `goldcrest keys new FILE` makes one", path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
}

/// A public key: who may make the models of a board.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The key in 64 hexadecimal digits, if they are those of one.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let bytes: Vec<u8> =
            digits?.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit)).collect();
        let bytes = <[u8; 32]>::try_from(bytes).ok().filter(|_| text.len() == 64)?;
        VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).map(|_| Self(bytes))
    }

    /// Its name for people: the first 8 bytes of its SHA-256, as in `3b6a-27bc-ceb6-a42d`.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.0);
        let pairs: Vec<String> = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        pairs.chunks(2).map(<[String]>::concat).collect::<Vec<_>>().join("-")
    }

    /// Whether this key signed a manifest; `signed` is the manifest and its signature.
    pub fn signed(&self, signed: &[u8]) -> bool {
        let Some((_, bytes, signature)) = Manifest::split(signed) else { return false };
        let key = VerifyingKey::from_bytes(&self.0);
        key.is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A private key, in memory.
pub struct Key(SigningKey);

impl Key {
    /// Makes a new key and writes it to a file that was not there, which only its owner may read (mode 0600).
    ///
    /// # Errors
    /// When the file is there, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(&rand::random());
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_path_buf() },
            _ => KeyError::File { path: path.to_path_buf(), error },
        };
        let text =
            key.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a key is none.
            let _ = std::fs::remove_file(path);
            return Err(failed(error));
        }
        Ok(Self(key))
    }

    /// Reads a key from a file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be read, others can read it, or it holds no such key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |error| KeyError::File { path: path.to_path_buf(), error };
        let mut file = std::fs::File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
            if mode & 0o077 != 0 {
                return Err(KeyError::Open { path: path.to_path_buf(), mode });
            }
        }
        let mut text = zeroize::Zeroizing::new(String::new());
        // A key is short: what is longer is something else.
        let read = io::Read::read_to_string(&mut io::Read::take(&mut file, 4096), &mut text);
        let format = || KeyError::Format { path: path.to_path_buf() };
        match read {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(format()),
            other => other.map_err(failed)?,
        };
        SigningKey::from_pkcs8_pem(&text).map(Self).map_err(|_| format())
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a manifest: its bytes, then the signature.
    pub fn sign(&self, manifest: &Manifest) -> Vec<u8> {
        let bytes = manifest.to_bytes();
        [&bytes[..], &self.0.sign(&bytes).to_bytes()].concat()
    }
}

/// The manifest of a device image; none where [`Manifest::new`] has none.
pub fn manifest(image: &ImageBuf, version: u32, replaces: u32, target: &str) -> Option<Manifest> {
    let length = u32::try_from(image.bytes().len()).ok()?;
    Manifest::new(version, replaces, length, target, Sha512::digest(image.bytes()).into())
}

/// The signed manifest behind a device image in the bytes of its file, where it is that image's.
pub fn manifest_behind(file: &[u8], image: &ImageBuf) -> Option<Vec<u8>> {
    let signed = file.get(image.bytes().len()..)?.get(..Manifest::SIGNED_BYTES)?;
    let (read, ..) = Manifest::split(signed)?;
    let own = manifest(image, read.version, read.replaces, read.target())?;
    (own == read).then(|| signed.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private key of RFC 8410, section 10.3, and its public half of section 10.1.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
         -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    fn put(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    #[test]
    fn the_key_of_the_rfc_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rfc.pem");
        put(&path, PEM);
        let public = Key::read(&path).unwrap().public();
        assert_eq!(public.to_string(), PUBLIC);
        assert_eq!(PublicKey::from_hex(PUBLIC), Some(public));
        assert_eq!(PublicKey::from_hex(&PUBLIC.to_uppercase()), Some(public));
        // The last two: no point of the curve, and one of small order, which signs anything.
        let (no_point, weak) = ("02".repeat(32), format!("01{}", "00".repeat(31)));
        let (longer, letters) = (format!("{PUBLIC}0"), PUBLIC.replace('9', "g"));
        for text in ["", &PUBLIC[1..], &longer, &letters, &no_point, &weak] {
            assert_eq!(PublicKey::from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn a_new_key_is_its_owners_alone_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.pem");
        let key = Key::create(&path).unwrap();
        assert_eq!(Key::read(&path).unwrap().public(), key.public());
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Key::create(&path), Err(KeyError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let other = Key::create(&folder.path().join("other.pem")).unwrap();
        assert_ne!(other.public(), key.public());
        assert_ne!(other.public().fingerprint(), key.public().fingerprint());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path), 0o600);
            for open in [0o640, 0o604, 0o660] {
                std::fs::set_permissions(&path, PermissionsExt::from_mode(open)).unwrap();
                let message = Key::read(&path).err().unwrap().to_string();
                assert!(
                    message.contains("chmod 600") && message.contains(&format!("{open:04o}")),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        for text in ["", "hello", &PEM[..60], &PEM.replace("MC4C", "MC4D"), &"x".repeat(5000)] {
            put(&path, text);
            let message = Key::read(&path).err().unwrap().to_string();
            assert!(message.contains("key.pem") && message.contains("keys new"), "{message}");
        }
        let message = Key::read(&folder.path().join("none.pem")).err().unwrap().to_string();
        assert!(message.contains("none.pem: No such file"), "{message}");
    }

    #[test]
    fn only_what_was_signed_is_signed() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, theirs] = ["ours", "theirs"].map(|name| Key::create(&folder.path().join(name)).unwrap());
        let manifest = Manifest::new(3, 0, 100, "nucleo-f446re", [7; 64]).unwrap();
        let signed = ours.sign(&manifest);
        assert!(ours.public().signed(&signed) && !theirs.public().signed(&signed));
        for place in 0..signed.len() {
            let mut forged = signed.clone();
            forged[place] ^= 0x80;
            assert!(!ours.public().signed(&forged), "byte {place}");
        }
    }
}
