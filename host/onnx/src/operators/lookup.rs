//! Tables of functions, which only int8 files have: `Cast` to int32, `Gather` from the table (negative values
//! count from its end).

use goldcrest_quantize::graph::QuantizedOp;
use goldcrest_quantize::operators::Lookup;

use super::{Held, Int8Node, Problem, Reader, Writer, unsupported};
use crate::proto::data_type::INT32;
use crate::{Attribute, Data, Node, Tensor};

/// `Cast` from an int8 file.
pub fn read_index<'a>(reader: &mut Reader<'a>, node: &'a Node, _: &str) -> Result<Held, Problem> {
    match node.int("to") == Some(INT32.into()) {
        true => Ok(Held::Index(reader.input(node, 0)?)),
        false => unsupported("it must make int32 of a tensor"),
    }
}

/// `Gather` from an int8 file.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    let table = reader.constant(node, 0)?;
    let Data::I8(values) = &table.data else { return unsupported("its table must be int8") };
    let Ok(values) = <&[i8; 256]>::try_from(&**values) else {
        return unsupported(format!("its table has {} entries, not 256", values.len()));
    };
    if table.shape != [256] || node.int("axis").unwrap_or(0) != 0 {
        return unsupported("its table must have one dimension");
    }
    let &Held::Index(input) = reader.value(node, 1)? else { return unsupported("its index is not a tensor") };
    reader.spend(values.len())?;
    let table = Box::new(std::array::from_fn(|index| values[(index + 128) % 256]));
    reader.push(output, QuantizedOp::Lookup(Lookup { table }), vec![input])
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node, Lookup { table }: &Lookup) {
    let (input, output) = (writer.name(node.inputs[0]), writer.name(node.output));
    // Index i is value i, index 256 + i value i < 0.
    let turned = (0..256usize).map(|index| table[(index + 128) % 256]).collect();
    let table = writer.constant(format!("{output}/table"), Tensor::new(&[256], Data::I8(turned)));
    let index = format!("{output}/index");
    writer.push(Node::new("Cast", &[&input], &[&index]).with("to", Attribute::Int(INT32.into())));
    writer.push(Node::new("Gather", &[&table, &index], &[&output]).with("axis", Attribute::Int(0)));
}
