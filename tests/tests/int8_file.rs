//! What is written is read back equal; what is damaged is refused.

use goldcrest_data::{Dataset, Spec};
use goldcrest_onnx::int8::{Int8Error, QUANTIZATION, read, write};
use goldcrest_onnx::samples::every_operator;
use goldcrest_onnx::{Data, Model, Tensor};
use goldcrest_prove::calibrate::{Settings, quantize_model};
use goldcrest_quantize::graph::QuantizedModel;

fn model() -> &'static QuantizedModel {
    static MODEL: std::sync::OnceLock<QuantizedModel> = std::sync::OnceLock::new();
    MODEL.get_or_init(|| {
        let data = Dataset::open(&Spec::Glyphs { train: 20, test: 1 }, &Default::default()).unwrap();
        quantize_model(&every_operator(), &data.train, &Settings::default(), &|_| {}).unwrap().model
    })
}

#[test]
fn what_is_written_is_read_back_equal() {
    let model = model();
    let bytes = write(model).encode();
    assert_eq!(read(&Model::decode(&bytes).unwrap()).unwrap(), *model);
}

#[test]
fn every_tensor_is_a_value_of_its_name() {
    let model = model();
    let onnx = write(model);
    for node in &model.graph.nodes {
        let name = &model.graph.tensor(node.output).name;
        let written = onnx.graph.nodes.iter().find(|node| node.outputs[0] == *name);
        assert_eq!(written.map(|node| &node.name), Some(name));
    }
}

#[test]
fn a_float_model_is_not_an_int8_model() {
    assert!(matches!(read(&every_operator()), Err(Int8Error::NotInt8)));
}

#[test]
fn changes_outside_the_format_are_refused() {
    let changed = |change: &dyn Fn(&mut Model)| {
        let mut onnx = write(model());
        change(&mut onnx);
        read(&onnx).expect_err("was read").to_string()
    };
    let constant = |onnx: &mut Model, suffix: &str, data: Data| {
        let (_, tensor) =
            onnx.graph.initializers.iter_mut().find(|(name, _)| name.ends_with(suffix)).expect(suffix);
        tensor.data = data;
    };
    let off_grid = changed(&|onnx| constant(onnx, "/ratio0", Data::F32(vec![0.3])));
    assert!(off_grid.contains("not a multiple of 2^-16"), "{off_grid}");
    let one = changed(&|onnx| constant(onnx, "goldcrest/one", Data::F32(vec![2.0])));
    assert!(one.contains("must be 1"), "{one}");
    // A constant without a name is not what an absent input stands for.
    let absent = changed(&|onnx| {
        onnx.graph.initializers.insert(String::new(), Tensor::i64s(&[1]));
        onnx.graph.nodes.iter_mut().for_each(|node| node.inputs.truncate(6));
    });
    assert!(absent.contains("input 6 (``) is not an initializer"), "{absent}");
    let missing = changed(&|onnx| {
        onnx.metadata.insert(QUANTIZATION.into(), "{}".into());
    });
    assert!(missing.contains("no entry in the metadata"), "{missing}");
    let extra = changed(&|onnx| onnx.graph.nodes[0].op = "ConvInteger".into());
    assert!(extra.contains("no such node"), "{extra}");
    let order = changed(&|onnx| onnx.graph.nodes.swap(0, 1));
    assert!(order.contains("written by nothing before it"), "{order}");
    let zero = changed(&|onnx| {
        let text = onnx.metadata[QUANTIZATION].replacen("-128", "-127", 1);
        onnx.metadata.insert(QUANTIZATION.into(), text);
    });
    assert!(zero.contains("zero point"), "{zero}");
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn damaged_files_end_in_an_error_or_a_model(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = BYTES.get_or_init(|| write(model()).encode()).clone();
            for (index, value) in changes {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(onnx) = Model::decode(&bytes) {
                let _ = read(&onnx);
            }
        }
    }
}
