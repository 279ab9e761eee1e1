//! Tensors, straight from the file: their elements are most of it, and how many there are is known before any
//! is kept.

use super::external::External;
use super::{OnnxError, lossy};
use half::{bf16, f16};

use crate::proto::{data_type, element_name, tensor as field};
use crate::wire::{Content, Fields, Varints};
use crate::{Data, Tensor};

/// Maximum number of dimensions of a constant.
const RANK: usize = 16;

/// A tensor and its name.
pub fn decode(bytes: &[u8], external: &mut External<'_>) -> Result<(String, Tensor), OnnxError> {
    let (mut name, mut raw, mut kind, mut location) = (String::new(), &[][..], 0, 0);
    for part in Fields::of(bytes) {
        match part.ok_or(OnnxError::Malformed)? {
            (field::NAME, Content::Bytes(text)) => name = lossy(text.to_vec()),
            (field::RAW_DATA, Content::Bytes(content)) => raw = content,
            (field::DATA_TYPE, Content::Varint(value)) => kind = value as i32,
            (field::DATA_LOCATION, Content::Varint(value)) => location = value,
            _ => {}
        }
    }
    let read = match location {
        0 => tensor(bytes, raw, kind),
        _ => external.read(bytes).and_then(|raw| tensor(bytes, &raw, kind)),
    };
    match read {
        Ok(tensor) => Ok((name, tensor)),
        Err(problem) => Err(OnnxError::Tensor { name, problem }),
    }
}

fn tensor(bytes: &[u8], raw: &[u8], kind: i32) -> Result<Tensor, String> {
    let rank = integers(bytes, field::DIMS).count();
    if rank > RANK {
        return Err(format!("{rank} dimensions, more than {RANK}"));
    }
    let size = |dim| usize::try_from(dim as i64).map_err(|_| format!("negative dimension {}", dim as i64));
    let mut shape = Vec::with_capacity(rank);
    for dim in integers(bytes, field::DIMS) {
        shape.push(size(dim)?);
    }
    let count = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    let count = count.ok_or_else(|| format!("shape {shape:?} overflows"))?;
    let source = Source { bytes, raw, count };
    let data = match kind {
        data_type::FLOAT => source.fixed(field::FLOAT_DATA, f32::from_le_bytes).map(Data::F32),
        data_type::DOUBLE => {
            source.fixed(field::DOUBLE_DATA, |all| f64::from_le_bytes(all) as f32).map(Data::F32)
        }
        data_type::FLOAT16 => {
            let (whole, bits) =
                (|all| f16::from_le_bytes(all).to_f32(), |v| f16::from_bits(v as u16).to_f32());
            source.integers(field::INT32_DATA, whole, bits).map(Data::F32)
        }
        data_type::BFLOAT16 => {
            let (whole, bits) =
                (|all| bf16::from_le_bytes(all).to_f32(), |v| bf16::from_bits(v as u16).to_f32());
            source.integers(field::INT32_DATA, whole, bits).map(Data::F32)
        }
        data_type::INT64 => {
            source.integers(field::INT64_DATA, i64::from_le_bytes, |v| v as i64).map(Data::I64)
        }
        data_type::INT32 => {
            source.integers(field::INT32_DATA, i32::from_le_bytes, |v| v as i32).map(Data::I32)
        }
        data_type::INT8 => source.integers(field::INT32_DATA, i8::from_le_bytes, |v| v as i8).map(Data::I8),
        data_type::UINT8 => source.integers(field::INT32_DATA, u8::from_le_bytes, |v| v as u8).map(Data::U8),
        data_type::BOOL => source.integers(field::INT32_DATA, |[v]| v != 0, |v| v != 0).map(Data::Bool),
        other => {
            let known = "float, float16, bfloat16, double, int8, uint8, int32, int64 and bool";
            return Err(format!("unsupported element type {}; supported are {known}", element_name(other)));
        }
    };
    match data {
        Ok(data) => Ok(Tensor { shape, data }),
        Err(found) => Err(format!("shape {shape:?} wants {count} elements, the file holds {found}")),
    }
}

/// Where a tensor's elements stand: in one block, or as numbers in fields of their type.
struct Source<'a> {
    bytes: &'a [u8],
    raw: &'a [u8],
    /// Elements that the shape asks for.
    count: usize,
}

impl Source<'_> {
    /// Elements that are numbers of N bytes in either place, or how many there are when the shape asks for
    /// others.
    fn fixed<const N: usize, T>(&self, tag: u32, element: fn([u8; N]) -> T) -> Result<Vec<T>, usize> {
        if !self.raw.is_empty() {
            return self.collect(self.raw.as_chunks().0.iter().copied().map(element));
        }
        let chunks = Fields::with(self.bytes, tag).flat_map(|content| match content {
            Content::Bytes(content) | Content::Fixed(content) => content.as_chunks().0,
            Content::Varint(_) => &[],
        });
        self.collect(chunks.copied().map(element))
    }

    /// Elements that are numbers of N bytes in one block, else integers.
    fn integers<const N: usize, T>(
        &self,
        tag: u32,
        element: fn([u8; N]) -> T,
        integer: fn(u64) -> T,
    ) -> Result<Vec<T>, usize> {
        match self.raw.is_empty() {
            false => self.collect(self.raw.as_chunks().0.iter().copied().map(element)),
            true => self.collect(integers(self.bytes, tag).map(integer)),
        }
    }

    fn collect<T>(&self, elements: impl Iterator<Item = T> + Clone) -> Result<Vec<T>, usize> {
        let found = elements.clone().count();
        if found != self.count {
            return Err(found);
        }
        let mut values = Vec::with_capacity(found);
        values.extend(elements);
        Ok(values)
    }
}

/// Integers in fields of a number, packed or one by one.
pub fn integers(bytes: &[u8], tag: u32) -> impl Iterator<Item = u64> + Clone {
    Fields::with(bytes, tag).flat_map(|content| {
        let (packed, single) = match content {
            Content::Bytes(packed) => (packed, None),
            Content::Varint(value) => (&[][..], Some(value)),
            Content::Fixed(_) => (&[][..], None),
        };
        Varints(packed).chain(single)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stand_in_one_block_or_in_fields_of_their_type() {
        let expected = Tensor::i64s(&[1, 300, -1]);
        let head = [0x08, 3, 0x10, data_type::INT64 as u8, 0x42, 1, b'a'];
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let raw: Vec<u8> = [1i64, 300, -1].iter().flat_map(|value| value.to_le_bytes()).collect();
        for body in [
            [&[0x4a, 24][..], &raw].concat(),
            [&[0x3a, 13, 1, 0xac, 0x02], &minus_one[..]].concat(),
            [&[0x38, 1, 0x38, 0xac, 0x02, 0x38], &minus_one[..]].concat(),
        ] {
            let (name, tensor) = decode(&[&head, &*body].concat(), &mut External::none()).unwrap();
            assert_eq!((name.as_str(), &tensor), ("a", &expected), "{body:?}");
        }
        let float = [0x0a, 1, 1, 0x10, data_type::FLOAT as u8, 0x25, 0, 0, 0x80, 0x3f];
        assert_eq!(decode(&float, &mut External::none()).unwrap().1, Tensor::f32(&[1], vec![1.0]));
        let unsigned = [0x08, 2, 0x10, data_type::UINT8 as u8, 0x2a, 3, 7, 0xff, 0x01];
        assert_eq!(
            decode(&unsigned, &mut External::none()).unwrap().1,
            Tensor::new(&[2], Data::U8(vec![7, 255]))
        );
    }

    #[test]
    fn half_floats_become_floats() {
        let raw = [0x08, 2, 0x10, data_type::FLOAT16 as u8, 0x4a, 4, 0, 0x3e, 0, 0xc0];
        let fields = [0x08, 2, 0x10, data_type::FLOAT16 as u8, 0x2a, 5, 0x80, 0x7c, 0x80, 0x80, 0x03];
        let brain = [0x08, 1, 0x10, data_type::BFLOAT16 as u8, 0x4a, 2, 0xc0, 0x3f];
        let read = |bytes: &[u8]| decode(bytes, &mut External::none()).unwrap().1;
        assert_eq!(read(&raw), Tensor::f32(&[2], vec![1.5, -2.0]));
        assert_eq!(read(&fields), Tensor::f32(&[2], vec![1.5, -2.0]));
        assert_eq!(read(&brain), Tensor::f32(&[1], vec![1.5]));
    }

    #[test]
    fn what_does_not_fit_its_shape_is_named() {
        let problem = |bytes: &[u8]| decode(bytes, &mut External::none()).unwrap_err().to_string();
        let short = [0x08, 9, 0x10, data_type::INT8 as u8, 0x42, 1, b'w', 0x4a, 2, 1, 2];
        assert_eq!(problem(&short), "tensor `w`: shape [9] wants 9 elements, the file holds 2");
        assert!(problem(&[0x10, 99]).contains("unsupported element type 99"));
        assert!(problem(&[0x10, 14]).contains("unsupported element type complex64; supported are float,"));
        assert!(problem(&[0x08, 1].repeat(17)).contains("17 dimensions"));
        assert!(problem(&[0x4a, 200]).contains("no protobuf"));
    }
}
