//! Whose models a firmware takes: the public key that it is built with. GOLDCREST_UPDATE_KEY says so once;
//! the project's `goldcrest.toml` remembers it, so that a build that forgets the variable has the key all the
//! same.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde::Deserialize;

use super::keys::PublicKey;

/// The variable: 64 hexadecimal digits.
pub const VARIABLE: &str = "GOLDCREST_UPDATE_KEY";
/// The file, in the current folder or one above it.
pub const FILE: &str = "goldcrest.toml";

/// Why it is not known which key a firmware is built with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateKeyError {
    /// The variable holds something else.
    #[error(
        "{VARIABLE} is not an Ed25519 public key in 64 hexadecimal digits; `goldcrest keys show FILE` prints \
         one"
    )]
    Variable,
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Two keys.
    #[error(
        "{VARIABLE} names the key {variable}, {} the key {file}; unset the variable, or change the file if \
         the boards shall take another's models", path.display()
    )]
    Conflict {
        /// Fingerprint of the variable's.
        variable: String,
        /// The file.
        path: PathBuf,
        /// Fingerprint of its key.
        file: String,
    },
}

/// What the project's file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Project {
    update: Option<Update>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    key: String,
}

/// The key that a build here has; none: any model is taken.
///
/// # Errors
/// When the variable or the file cannot be understood, or they contradict each other.
pub fn chosen() -> Result<Option<PublicKey>, UpdateKeyError> {
    Place::current()?.chosen(env::var_os(VARIABLE))
}

/// Has the project remember a key that was built in; the file that was written, if it did not know yet.
///
/// # Errors
/// When the file cannot be written, or holds another key.
pub fn remember(key: PublicKey) -> Result<Option<PathBuf>, UpdateKeyError> {
    Place::current()?.remember(key)
}

/// The project's file: the nearest one, or where it would be.
struct Place {
    path: PathBuf,
}

impl Place {
    fn current() -> Result<Self, UpdateKeyError> {
        let folder = env::current_dir();
        let failed = |error| UpdateKeyError::File { path: PathBuf::from(FILE), error };
        Ok(Self::of(&folder.map_err(failed)?))
    }

    fn of(folder: &Path) -> Self {
        let found = folder.ancestors().map(|folder| folder.join(FILE)).find(|path| path.exists());
        Self { path: found.unwrap_or_else(|| folder.join(FILE)) }
    }

    /// The file's text and its key; none where there is no file.
    fn read(&self) -> Result<Option<(String, Option<PublicKey>)>, UpdateKeyError> {
        let path = || self.path.clone();
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| UpdateKeyError::File { path: path(), error })?,
        };
        let format = |problem: String| UpdateKeyError::Format { path: path(), problem };
        let project: Project =
            toml::from_str(&text).map_err(|error| format(error.message().trim_end().to_owned()))?;
        let read = |update: Update| {
            let problem = "`key` in [update] is not an Ed25519 public key in 64 hexadecimal digits";
            PublicKey::from_hex(&update.key).ok_or_else(|| format(problem.to_owned()))
        };
        let key = project.update.map(read).transpose()?;
        Ok(Some((text, key)))
    }

    fn chosen(&self, variable: Option<OsString>) -> Result<Option<PublicKey>, UpdateKeyError> {
        let remembered = self.read()?.and_then(|(_, key)| key);
        let told = variable.filter(|text| !text.is_empty());
        let told =
            told.map(|text| text.to_str().and_then(PublicKey::from_hex).ok_or(UpdateKeyError::Variable));
        match (told.transpose()?, remembered) {
            (Some(told), Some(remembered)) if told != remembered => Err(UpdateKeyError::Conflict {
                variable: told.fingerprint(),
                path: self.path.clone(),
                file: remembered.fingerprint(),
            }),
            (told, remembered) => Ok(told.or(remembered)),
        }
    }

    fn remember(&self, key: PublicKey) -> Result<Option<PathBuf>, UpdateKeyError> {
        let before = match self.read()? {
            Some((_, Some(known))) if known == key => return Ok(None),
            Some((_, Some(known))) => {
                let (variable, file) = (key.fingerprint(), known.fingerprint());
                return Err(UpdateKeyError::Conflict { variable, path: self.path.clone(), file });
            }
            Some((text, None)) => text.trim_end().to_owned() + "\n\n",
            None => String::new(),
        };
        let text = format!(
            "{before}[update]\n# Firmware that is built in this folder takes only models signed with this \
             key. Boards that have it\n# keep it until they are flashed anew; without this line a build \
             takes any model.\nkey = \"{key}\"\n"
        );
        goldcrest_files::write(&self.path, text.as_bytes())
            .map_err(|error| UpdateKeyError::File { path: self.path.clone(), error })?;
        Ok(Some(self.path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    const OTHER: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_hex(text).unwrap()
    }

    #[test]
    fn a_key_once_built_in_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("models/new");
        fs::create_dir_all(&below).unwrap();
        let place = Place::of(folder.path());
        assert_eq!(place.chosen(None).unwrap(), None);
        assert_eq!(place.chosen(Some(ONE.into())).unwrap(), Some(key(ONE)));
        assert_eq!(place.remember(key(ONE)).unwrap(), Some(folder.path().join(FILE)));
        assert_eq!(place.remember(key(ONE)).unwrap(), None);
        // Without the variable, and from a folder below.
        for variable in [None, Some(""), Some(ONE)] {
            let chosen = Place::of(&below).chosen(variable.map(Into::into)).unwrap();
            assert_eq!(chosen, Some(key(ONE)), "{variable:?}");
        }
        let message = place.chosen(Some(OTHER.into())).unwrap_err().to_string();
        for part in [key(ONE).fingerprint(), key(OTHER).fingerprint(), FILE.to_owned()] {
            assert!(message.contains(&part), "{message}");
        }
        assert!(matches!(place.remember(key(OTHER)), Err(UpdateKeyError::Conflict { .. })));
    }

    #[test]
    fn what_stands_in_the_file_stays_and_mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path());
        fs::write(&place.path, "# ours\n").unwrap();
        place.remember(key(ONE)).unwrap();
        let text = fs::read_to_string(&place.path).unwrap();
        assert!(text.starts_with("# ours\n\n[update]\n") && text.contains(ONE), "{text}");
        for text in [
            "[updates]\nkey = \"1\"\n",
            "[update]\nkey = \"1\"\n",
            "[update]\n",
            "[update]\nkey = 1\n",
            "update",
        ] {
            fs::write(&place.path, text).unwrap();
            let message = place.chosen(None).unwrap_err().to_string();
            assert!(message.contains(FILE) && message.lines().count() == 1, "{text:?}: {message}");
            assert!(place.remember(key(ONE)).is_err(), "{text:?}");
        }
        fs::remove_file(&place.path).unwrap();
        for variable in ["1", &ONE[1..], &"02".repeat(32)] {
            let message = place.chosen(Some(variable.into())).unwrap_err().to_string();
            assert!(message.contains(VARIABLE), "{message}");
        }
    }
}
