//! A project: files that stand in a folder and build there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use goldcrest_board::payload::Payload;
use goldcrest_board::sources::{self, SourcesError};
use minijinja::{Environment, UndefinedBehavior, context};

use crate::cores::Core;
use crate::form::{ARM_START, Form, RUST_START};
use crate::library::{self, Library, LibraryError};
use crate::model;

/// What is exported.
#[derive(Clone, Debug)]
pub struct Export<'a> {
    /// The model's name in the program: a name of C.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its device image, packed for the core, and what is known of its layers.
    pub payload: &'a Payload,
    /// The core.
    pub core: &'static Core,
    /// Little code rather than speed.
    pub small: bool,
}

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// The form has no place for the core.
    #[error("--as {form} does not take {core}: {problem}; --as c and --as cmake take every core")]
    Core {
        /// The form.
        form: &'static str,
        /// The core.
        core: &'static str,
        /// What is missing.
        problem: &'static str,
    },
    /// The C library could not be built.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The engine's sources cannot be had.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The folder has other things in it.
    #[error("{} is not empty; give a new folder, or --overwrite to write over what an export \
         made", .0.display())]
    NotEmpty(PathBuf),
    /// A template or a manifest of ours is wrong.
    #[error("{0}; please report it")]
    Template(String),
}

/// A project's files, by their paths in it.
#[derive(Clone, Debug)]
pub struct Project {
    /// Contents by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Bytes of code and constants that its program links of the library; none where there is no library.
    pub code_bytes: Option<u64>,
}

/// A name of C that comes closest to a text: `my_signs` of `My signs!`.
pub fn name_of(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
        _ => '_',
    });
    let name: String = letters.collect();
    let name = name.trim_matches('_').to_string();
    match name.chars().next() {
        None => "model".to_string(),
        Some(first) if first.is_ascii_digit() => format!("model_{name}"),
        Some(_) => name,
    }
}

impl Project {
    /// Makes a project: builds the library of the core, where the form takes one, and fills the templates.
    ///
    /// # Errors
    /// When the form does not take the core, or the library cannot be built.
    pub fn new(form: &Form, export: &Export<'_>) -> Result<Self, ProjectError> {
        Self::with_library(form, export, || library::build(export.core, export.small))
    }

    /// The same with a library that the caller has built, or builds now.
    ///
    /// # Errors
    /// As for [`Project::new`].
    pub fn with_library(
        form: &Form,
        export: &Export<'_>,
        build: impl FnOnce() -> Result<Library, LibraryError>,
    ) -> Result<Self, ProjectError> {
        let core = export.core;
        (form.takes)(core).map_err(|problem| ProjectError::Core {
            form: form.name,
            core: core.name,
            problem,
        })?;
        let library = match (form.libraries)(core).is_empty() {
            true => None,
            false => Some(build()?),
        };
        let library_name = (form.library)(core);
        let kernels: Vec<_> = export.payload.layers.iter().map(|layer| layer.kernel).collect();
        let code_bytes = library.as_ref().map(|library| library.code_bytes(&kernels));
        let [entry, failed, done] = form.entry.unwrap_or_default();
        let context = context! {
            library => library_name, code_bytes, entry, failed, done, ..model::of(export)
        };
        let how = render(form.how, &context)?;
        let context = context! { how, ..context };

        let start = match (form.name, core.machine) {
            ("c", Some(machine)) if machine.program == "qemu-system-arm" => ARM_START,
            ("rust", Some(_)) => RUST_START,
            _ => &[],
        };
        let mut files = BTreeMap::new();
        let mut put = |path: &str, bytes: Vec<u8>| {
            files.insert(PathBuf::from(path.replace("MODEL", &export.name)), bytes);
        };
        for (path, template) in form.templates.iter().chain(start) {
            put(path, render(template, &context)?.into_bytes());
        }
        let vectors = format!("{}\n", model::vectors(export));
        put("vectors.json", vectors.into_bytes());
        put("MODEL.gci", export.payload.image.bytes().to_vec());
        if let Some(library) = &library {
            put(&format!("{}/goldcrest.h", form.header), library.header.clone().into_bytes());
            for folder in (form.libraries)(core) {
                put(&format!("{folder}/lib{library_name}.a"), library.archive.clone());
            }
        } else {
            put("picture.bin", model::picture(&export.payload.image.image()).pixels);
            engine(&mut files)?;
        }
        Ok(Self { files, code_bytes })
    }

    /// Writes the files into a folder, which must be new or empty unless `overwrite`.
    ///
    /// # Errors
    /// When the folder has something in it, or a file cannot be written.
    pub fn write(&self, folder: &Path, overwrite: bool) -> Result<(), ProjectError> {
        let file = |path: &Path| {
            let path = path.to_path_buf();
            move |error| ProjectError::File { path, error }
        };
        if !overwrite && folder.exists() {
            let mut there = fs::read_dir(folder).map_err(file(folder))?;
            if there.next().is_some() {
                return Err(ProjectError::NotEmpty(folder.to_path_buf()));
            }
        }
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(file(parent))?;
            fs::write(&path, bytes).map_err(file(&path))?;
        }
        Ok(())
    }
}

fn render(template: &str, context: &minijinja::Value) -> Result<String, ProjectError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.render_str(template, context).map_err(|error| ProjectError::Template(error.to_string()))
}

/// The engine's sources, as a crate that needs no workspace.
fn engine(files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), ProjectError> {
    let root = sources::root()?;
    let read = |path: PathBuf| fs::read(&path).map_err(|error| ProjectError::File { path, error });
    let text = |path: PathBuf| Ok::<_, ProjectError>(String::from_utf8_lossy(&read(path)?).into_owned());
    let folder = root.join("shared/engine");
    let manifest = manifest(&text(folder.join("Cargo.toml"))?, &text(root.join("Cargo.toml"))?)?;
    let to = PathBuf::from("goldcrest-engine");
    files.insert(to.join("Cargo.toml"), manifest.into_bytes());
    for name in ["build.rs", "README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        files.insert(to.join(name), read(folder.join(name))?);
    }
    let mut folders = vec![PathBuf::from("src")];
    while let Some(inside) = folders.pop() {
        let path = folder.join(&inside);
        let entries =
            fs::read_dir(&path).map_err(|error| ProjectError::File { path: path.clone(), error })?;
        for entry in entries {
            let entry = entry.map_err(|error| ProjectError::File { path: path.clone(), error })?;
            let name = inside.join(entry.file_name());
            match entry.path().is_dir() {
                true => folders.push(name),
                false => drop(files.insert(to.join(&name), read(folder.join(&name))?)),
            }
        }
    }
    Ok(())
}

/// The engine's manifest with what it inherits from the workspace written out; without what only its own
/// tests need.
fn manifest(own: &str, workspace: &str) -> Result<String, ProjectError> {
    let wrong = |problem: &dyn std::fmt::Display| ProjectError::Template(format!("Cargo.toml: {problem}"));
    let mut own: toml::Table = own.parse().map_err(|error| wrong(&error))?;
    let workspace: toml::Table = workspace.parse().map_err(|error| wrong(&error))?;
    let shared = workspace.get("workspace").and_then(|workspace| workspace.get("package"));
    let package = own.get_mut("package").and_then(toml::Value::as_table_mut);
    let (Some(shared), Some(package)) = (shared, package) else { return Err(wrong(&"no package")) };
    for (key, value) in package.iter_mut() {
        if value.get("workspace").is_some() {
            *value = shared.get(key).cloned().ok_or_else(|| wrong(key))?;
        }
    }
    for section in ["dev-dependencies", "lints"] {
        own.remove(section);
    }
    toml::to_string(&own).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_c() {
        for (text, name) in [
            ("My signs!", "my_signs"),
            ("resnet8", "resnet8"),
            ("8bit", "model_8bit"),
            ("é", "model"),
            ("", "model"),
        ] {
            assert_eq!(name_of(text), name);
        }
    }

    #[test]
    fn the_engine_needs_no_workspace() {
        let own = "[package]\nname = \"e\"\nversion.workspace = true\n\n[dependencies]\ncrc = \"3\"\n\n\
                   [dev-dependencies]\nproptest.workspace = true\n\n[lints]\nworkspace = true\n";
        let alone = manifest(own, "[workspace.package]\nversion = \"1.2.3\"\n").unwrap();
        let alone: toml::Table = alone.parse().unwrap();
        assert_eq!(alone["package"]["version"].as_str(), Some("1.2.3"));
        assert_eq!(alone["dependencies"]["crc"].as_str(), Some("3"));
        assert_eq!(alone.len(), 2);
        assert!(manifest(own, "").is_err());
    }
}
