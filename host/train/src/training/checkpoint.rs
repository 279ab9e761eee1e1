//! ONNX Runtime's training checkpoint: a flatbuffer with file identifier `ODTC`, version 2, holding
//! the trainable and the frozen parameters and a bag of named properties.
//!
//! Schema: `ort_training_checkpoint.fbs` and `ort.fbs` of ONNX Runtime 1.19. The optimizer groups
//! stay empty: all optimizer state lives in frozen parameters (see [`super::optimizer`]), so that one
//! file holds the whole training state.
//!
//! A run's file has a trailer behind the flatbuffer, which readers of the flatbuffer do not look at: `MARK`
//! and the SHA-256 of all bytes before it. A file in which any bit is another one is not taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flatbuffers::{
    FlatBufferBuilder, Follow, ForwardsUOffset, InvalidFlatbuffer, Table, TableFinishedWIPOffset, VOffsetT,
    Vector, Verifiable, Verifier, WIPOffset,
};
use goldcrest_files::DRAFT;
use goldcrest_onnx::Tensor;
use goldcrest_onnx::proto::data_type;
use sha2::{Digest, Sha256};

const IDENTIFIER: &str = "ODTC";
const VERSION: i32 = 2;

/// Begins the trailer.
const MARK: &[u8; 8] = b"GCSHA256";
/// Bytes of a SHA-256.
const SUM: usize = 32;

/// Offsets into a table's vtable: 4 for the schema's first field, then steps of 2.
mod field {
    pub mod checkpoint {
        pub const VERSION: u16 = 4;
        pub const MODULE: u16 = 6;
        pub const PROPERTIES: u16 = 10;
    }
    pub mod module {
        pub const TRAINABLE: u16 = 4;
        pub const FROZEN: u16 = 6;
    }
    pub mod tensor {
        pub const NAME: u16 = 4;
        pub const DIMS: u16 = 8;
        pub const DATA_TYPE: u16 = 10;
        pub const RAW_DATA: u16 = 12;
    }
    pub mod bag {
        pub const INTS: u16 = 4;
        pub const FLOATS: u16 = 6;
        pub const STRINGS: u16 = 8;
    }
    pub mod property {
        pub const NAME: u16 = 4;
        pub const VALUE: u16 = 6;
    }
}

/// Everything that training changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Float parameters that the optimizer updates.
    pub trainable: BTreeMap<String, Tensor>,
    /// Float parameters that it does not: momentum, running statistics, constants.
    pub frozen: BTreeMap<String, Tensor>,
    /// What else a resumed run must know, by name.
    pub properties: BTreeMap<String, Property>,
}

/// A named value beside the parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    Int(i64),
    Float(f32),
    Text(String),
}

/// Why a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("{path}: cannot read the checkpoint: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file cannot be written.
    #[error("{path}: cannot write the checkpoint: {source}; the one before is untouched")]
    Write { path: PathBuf, source: std::io::Error },
    /// The bytes are not a checkpoint.
    #[error(
        "{path}: not a training checkpoint, or a damaged one: {problem}; where there is a \
         checkpoint.previous beside it, --resume goes on from there once this file is removed"
    )]
    Damaged { path: PathBuf, problem: String },
    /// A parameter is not of floats.
    #[error("parameter `{name}` is not a float tensor")]
    Element { name: String },
}

impl State {
    /// A parameter by name, trainable or frozen.
    pub fn parameter(&self, name: &str) -> Option<&Tensor> {
        self.trainable.get(name).or_else(|| self.frozen.get(name))
    }

    /// An integer property.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.properties.get(name) {
            Some(Property::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// Reads a checkpoint's file.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes =
            std::fs::read(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
        checked(&bytes)
            .and_then(Self::decode)
            .map_err(|problem| CheckpointError::Damaged { path: path.to_owned(), problem })
    }

    /// Writes a checkpoint's file, and keeps the one before under `previous`. The file under `path` is always
    /// a whole one: the old or the new.
    pub fn write(&self, path: &Path, previous: &Path) -> Result<(), CheckpointError> {
        let mut bytes = self.encode()?;
        let sum = Sha256::digest(&bytes);
        bytes.extend(MARK);
        bytes.extend(sum);
        let replace = || {
            keep(path, previous)?;
            goldcrest_files::write(path, &bytes)
        };
        replace().map_err(|source| CheckpointError::Write { path: path.to_owned(), source })
    }

    /// The flatbuffer's bytes.
    pub fn encode(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut builder = FlatBufferBuilder::new();
        let trainable = encode_tensors(&mut builder, &self.trainable)?;
        let frozen = encode_tensors(&mut builder, &self.frozen)?;
        let module = table(&mut builder, |builder| {
            builder.push_slot_always(field::module::TRAINABLE, trainable);
            builder.push_slot_always(field::module::FROZEN, frozen);
        });
        let bag = self.encode_properties(&mut builder);
        let root = table(&mut builder, |builder| {
            builder.push_slot_always(field::checkpoint::VERSION, VERSION);
            builder.push_slot_always(field::checkpoint::MODULE, module);
            builder.push_slot_always(field::checkpoint::PROPERTIES, bag);
        });
        builder.finish(root, Some(IDENTIFIER));
        Ok(builder.finished_data().to_vec())
    }

    fn encode_properties<'b>(
        &self,
        builder: &mut FlatBufferBuilder<'b>,
    ) -> WIPOffset<TableFinishedWIPOffset> {
        let (mut ints, mut floats, mut strings) = (Vec::new(), Vec::new(), Vec::new());
        for (name, property) in &self.properties {
            let name = builder.create_string(name);
            match property {
                Property::Int(value) => ints.push(table(builder, |builder| {
                    builder.push_slot_always(field::property::NAME, name);
                    builder.push_slot_always(field::property::VALUE, *value);
                })),
                Property::Float(value) => floats.push(table(builder, |builder| {
                    builder.push_slot_always(field::property::NAME, name);
                    builder.push_slot_always(field::property::VALUE, *value);
                })),
                Property::Text(value) => {
                    let value = builder.create_string(value);
                    strings.push(table(builder, |builder| {
                        builder.push_slot_always(field::property::NAME, name);
                        builder.push_slot_always(field::property::VALUE, value);
                    }));
                }
            }
        }
        let (ints, floats, strings) =
            (builder.create_vector(&ints), builder.create_vector(&floats), builder.create_vector(&strings));
        table(builder, |builder| {
            builder.push_slot_always(field::bag::INTS, ints);
            builder.push_slot_always(field::bag::FLOATS, floats);
            builder.push_slot_always(field::bag::STRINGS, strings);
        })
    }

    /// Decodes a flatbuffer; the error says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() < 8 {
            return Err(format!("{} bytes are too few", bytes.len()));
        }
        if !flatbuffers::buffer_has_identifier(bytes, IDENTIFIER, false) {
            return Err(format!("no file identifier {IDENTIFIER}"));
        }
        let root = flatbuffers::root::<Root>(bytes).map_err(|error| error.to_string())?;
        let version = root.0.scalar(field::checkpoint::VERSION).unwrap_or(0);
        if version != VERSION {
            return Err(format!("version {version}, expected {VERSION}"));
        }
        let module: Module = root.0.child(field::checkpoint::MODULE).ok_or("no parameters")?;
        let mut properties = BTreeMap::new();
        if let Some(bag) = root.0.child::<Bag>(field::checkpoint::PROPERTIES) {
            for entry in bag.0.children::<IntProperty>(field::bag::INTS) {
                let value = entry.0.scalar(field::property::VALUE).unwrap_or(0);
                properties.insert(entry.0.text(field::property::NAME), Property::Int(value));
            }
            for entry in bag.0.children::<FloatProperty>(field::bag::FLOATS) {
                let value = entry.0.scalar(field::property::VALUE).unwrap_or(0.0);
                properties.insert(entry.0.text(field::property::NAME), Property::Float(value));
            }
            for entry in bag.0.children::<TextProperty>(field::bag::STRINGS) {
                let value = entry.0.text(field::property::VALUE);
                properties.insert(entry.0.text(field::property::NAME), Property::Text(value));
            }
        }
        Ok(Self {
            trainable: decode_tensors(&module.0, field::module::TRAINABLE)?,
            frozen: decode_tensors(&module.0, field::module::FROZEN)?,
            properties,
        })
    }
}

/// The bytes before a trailer that is right.
fn checked(bytes: &[u8]) -> Result<&[u8], String> {
    let trailer = bytes.len().checked_sub(MARK.len() + SUM);
    let (content, trailer) = bytes.split_at(trailer.ok_or(format!("{} bytes are too few", bytes.len()))?);
    let (mark, sum) = trailer.split_at(MARK.len());
    if mark != MARK {
        return Err("no checksum at its end".to_string());
    }
    if Sha256::digest(content).as_slice() != sum {
        return Err("its SHA-256 is not the one at its end".to_string());
    }
    Ok(content)
}

/// Gives the file under `path` the name `previous` too, in one move.
fn keep(path: &Path, previous: &Path) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let second = folder.join(format!("{DRAFT}previous"));
    let linked =
        std::fs::remove_file(&second).or_else(absent).and_then(|()| std::fs::hard_link(path, &second));
    match linked {
        // A rename between two names of one file leaves both.
        Ok(()) => {
            std::fs::rename(&second, previous).and_then(|()| std::fs::remove_file(&second).or_else(absent))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // A file system without links gets a copy.
        Err(_) => goldcrest_files::write(previous, &std::fs::read(path)?),
    }
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn table<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    fill: impl FnOnce(&mut FlatBufferBuilder<'b>),
) -> WIPOffset<TableFinishedWIPOffset> {
    let start = builder.start_table();
    fill(builder);
    builder.end_table(start)
}

type Tables<'b> = WIPOffset<Vector<'b, ForwardsUOffset<TableFinishedWIPOffset>>>;

fn encode_tensors<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Tables<'b>, CheckpointError> {
    let mut tables = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.as_f32().ok_or_else(|| CheckpointError::Element { name: name.clone() })?;
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let dims: Vec<i64> = tensor.shape.iter().map(|&dim| dim as i64).collect();
        let (name, dims, raw) =
            (builder.create_string(name), builder.create_vector(&dims), builder.create_vector(&raw));
        tables.push(table(builder, |builder| {
            builder.push_slot_always(field::tensor::NAME, name);
            builder.push_slot_always(field::tensor::DIMS, dims);
            builder.push_slot_always(field::tensor::DATA_TYPE, data_type::FLOAT);
            builder.push_slot_always(field::tensor::RAW_DATA, raw);
        }));
    }
    Ok(builder.create_vector(&tables))
}

fn decode_tensors(module: &Fields, slot: VOffsetT) -> Result<BTreeMap<String, Tensor>, String> {
    let mut tensors = BTreeMap::new();
    for entry in module.children::<TensorTable>(slot) {
        let name = entry.0.text(field::tensor::NAME);
        let element: i32 = entry.0.scalar(field::tensor::DATA_TYPE).unwrap_or(0);
        if element != data_type::FLOAT {
            return Err(format!("parameter `{name}` has element type {element}, expected float"));
        }
        let dims = entry.0.vector::<i64>(field::tensor::DIMS);
        let shape: Vec<usize> = dims.iter().flatten().filter_map(|dim| usize::try_from(dim).ok()).collect();
        let raw = entry.0.vector::<u8>(field::tensor::RAW_DATA).map_or(&[][..], |raw| raw.bytes());
        let wanted = shape.iter().try_fold(4usize, |bytes, &dim| bytes.checked_mul(dim));
        if shape.len() != dims.map_or(0, |dims| dims.len()) || wanted != Some(raw.len()) {
            return Err(format!("parameter `{name}` of shape {shape:?} has {} bytes", raw.len()));
        }
        let values = raw.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        tensors.insert(name, Tensor::f32(&shape, values));
    }
    Ok(tensors)
}

/// A table of a buffer that `flatbuffers::root` has verified with the types below.
#[derive(Clone, Copy)]
struct Fields<'a>(Table<'a>);

impl<'a> Fields<'a> {
    fn get<T: Follow<'a> + 'a>(&self, slot: VOffsetT) -> Option<T::Inner> {
        // SAFETY: every slot is read as the type that `Verifiable` checked for it.
        unsafe { self.0.get::<T>(slot, None) }
    }

    fn scalar<T: Follow<'a, Inner = T> + 'a>(&self, slot: VOffsetT) -> Option<T> {
        self.get::<T>(slot)
    }

    fn text(&self, slot: VOffsetT) -> String {
        self.get::<ForwardsUOffset<&str>>(slot).unwrap_or_default().to_owned()
    }

    fn child<T: Follow<'a, Inner = T> + 'a>(&self, slot: VOffsetT) -> Option<T> {
        self.get::<ForwardsUOffset<T>>(slot)
    }

    fn vector<T: Follow<'a> + 'a>(&self, slot: VOffsetT) -> Option<Vector<'a, T>> {
        self.get::<ForwardsUOffset<Vector<'a, T>>>(slot)
    }

    fn children<T: Follow<'a, Inner = T> + 'a>(
        &self,
        slot: VOffsetT,
    ) -> impl Iterator<Item = T> + use<'a, T> {
        self.vector::<ForwardsUOffset<T>>(slot).into_iter().flat_map(|children| children.iter())
    }
}

/// Declares a table with the types of the fields that are read.
macro_rules! tables {
    ($($table:ident { $($slot:path: $type:ty),+ $(,)? })+) => {$(
        struct $table<'a>(Fields<'a>);

        impl<'a> Follow<'a> for $table<'a> {
            type Inner = Self;
            unsafe fn follow(buffer: &'a [u8], location: usize) -> Self {
                // SAFETY: the caller's promise that a table lies there.
                Self(Fields(unsafe { Table::new(buffer, location) }))
            }
        }

        impl Verifiable for $table<'_> {
            fn run_verifier(verifier: &mut Verifier, position: usize) -> Result<(), InvalidFlatbuffer> {
                verifier
                    .visit_table(position)?
                    $(.visit_field::<$type>(stringify!($slot), $slot, false)?)+
                    .finish();
                Ok(())
            }
        }
    )+};
}

type Children<'a, T> = ForwardsUOffset<Vector<'a, ForwardsUOffset<T>>>;

tables! {
    Root {
        field::checkpoint::VERSION: i32,
        field::checkpoint::MODULE: ForwardsUOffset<Module>,
        field::checkpoint::PROPERTIES: ForwardsUOffset<Bag>,
    }
    Module {
        field::module::TRAINABLE: Children<TensorTable>,
        field::module::FROZEN: Children<TensorTable>,
    }
    TensorTable {
        field::tensor::NAME: ForwardsUOffset<&str>,
        field::tensor::DIMS: ForwardsUOffset<Vector<i64>>,
        field::tensor::DATA_TYPE: i32,
        field::tensor::RAW_DATA: ForwardsUOffset<Vector<u8>>,
    }
    Bag {
        field::bag::INTS: Children<IntProperty>,
        field::bag::FLOATS: Children<FloatProperty>,
        field::bag::STRINGS: Children<TextProperty>,
    }
    IntProperty { field::property::NAME: ForwardsUOffset<&str>, field::property::VALUE: i64 }
    FloatProperty { field::property::NAME: ForwardsUOffset<&str>, field::property::VALUE: f32 }
    TextProperty {
        field::property::NAME: ForwardsUOffset<&str>, field::property::VALUE: ForwardsUOffset<&str>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> State {
        State {
            trainable: BTreeMap::from([
                (
                    "conv.weight".into(),
                    Tensor::f32(&[2, 1, 1, 3], vec![1.0, -2.5, 0.0, f32::MIN_POSITIVE, 4.0, 5.0]),
                ),
                ("conv.bias".into(), Tensor::f32(&[2], vec![0.25, -0.5])),
            ]),
            frozen: BTreeMap::from([("scale".into(), Tensor::f32(&[], vec![3.0]))]),
            properties: BTreeMap::from([
                ("epoch".into(), Property::Int(-7)),
                ("zero".into(), Property::Int(0)),
                ("rate".into(), Property::Float(0.125)),
                ("recipe".into(), Property::Text("a = 1\n".into())),
            ]),
        }
    }

    #[test]
    fn decoding_returns_what_was_encoded() {
        let state = sample();
        assert_eq!(State::decode(&state.encode().unwrap()).unwrap(), state);
        let empty = State::default();
        assert_eq!(State::decode(&empty.encode().unwrap()).unwrap(), empty);
    }

    #[test]
    fn a_file_with_any_bit_changed_or_cut_off_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, previous) = (folder.path().join("checkpoint"), folder.path().join("checkpoint.previous"));
        sample().write(&path, &previous).unwrap();
        assert_eq!(State::read(&path).unwrap(), sample());
        assert!(!previous.exists());
        let bytes = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8], what: String| {
            std::fs::write(&path, bytes).unwrap();
            let error = State::read(&path).expect_err(&what).to_string();
            assert!(error.contains("checkpoint: not a training"), "{what}: {error}");
        };
        (0..bytes.len()).for_each(|length| refused(&bytes[..length], format!("{length} bytes")));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&flipped, format!("bit {bit}"));
        }
    }

    #[test]
    fn the_last_two_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, previous) = (folder.path().join("checkpoint"), folder.path().join("checkpoint.previous"));
        let state = |epoch| {
            let properties = BTreeMap::from([("epoch".to_string(), Property::Int(epoch))]);
            State { properties, ..sample() }
        };
        for epoch in 1..=3 {
            state(epoch).write(&path, &previous).unwrap();
        }
        assert_eq!(State::read(&path).unwrap(), state(3));
        assert_eq!(State::read(&previous).unwrap(), state(2));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_integer_parameter_is_refused() {
        let mut state = sample();
        state.frozen.insert("shape".into(), Tensor::i64s(&[1, 2]));
        assert!(matches!(state.encode(), Err(CheckpointError::Element { name }) if name == "shape"));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
        ) {
            let mut bytes = sample().encode().unwrap();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            let _ = State::decode(&bytes);
        }
    }
}
