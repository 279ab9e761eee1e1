use super::*;

const CIFAR: Shape = Shape::new(32, 32, 3);

fn macs(name: &str) -> u64 {
    let model = load(name).unwrap().build(CIFAR, 10, 1).unwrap();
    multiply_accumulates(&model).unwrap()
}

#[test]
fn multiply_accumulates_are_those_of_the_papers() {
    assert_eq!(macs("lenet5"), 651_720);
    assert_eq!(macs("resnet8"), 12_501_632);
    assert_eq!(macs("resnet20"), 40_813_184);
}

#[test]
fn every_built_in_builds_and_survives_its_file() {
    for (name, _) in ARCHITECTURES {
        let model = load(name).unwrap().build(CIFAR, 7, 1).unwrap();
        assert_eq!(Model::decode(&model.encode()).unwrap(), model, "{name}");
        assert_eq!(model.graph.name, *name);
        assert_eq!(model.graph.outputs[0], goldcrest_onnx::ValueInfo::float("logits", &[-1, 7]));
    }
}

#[test]
fn weights_follow_the_seed() {
    let build = |seed| load("resnet8").unwrap().build(CIFAR, 10, seed).unwrap();
    assert_eq!(build(3), build(3));
    assert_ne!(build(3), build(4));
}

#[test]
fn kaiming_uniform_fills_its_range() {
    let model = load("lenet5").unwrap().build(CIFAR, 10, 1).unwrap();
    let weights = model.graph.initializers["linear1.weight"].as_f32().unwrap();
    let bound = 1.0 / 400f32.sqrt();
    let largest = weights.iter().fold(0f32, |largest, w| largest.max(w.abs()));
    assert!(largest <= bound && largest > 0.999 * bound, "{largest} against {bound}");
    let mean = weights.iter().sum::<f32>() / weights.len() as f32;
    assert!(mean.abs() < 0.01 * bound, "{mean}");
}

#[test]
fn he_normal_has_its_variance() {
    let model = load("resnet8").unwrap().build(CIFAR, 10, 1).unwrap();
    let weights = model.graph.initializers["basic3.residual1.conv2.weight"].as_f32().unwrap();
    let variance = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64;
    assert!((variance * 576.0 / 2.0 - 1.0).abs() < 0.03, "{variance}");
}

fn error(text: &str) -> String {
    match Architecture::parse("net.toml", text) {
        Err(error) => error.to_string(),
        Ok(architecture) => architecture.build(CIFAR, 10, 1).unwrap_err().to_string(),
    }
}

#[test]
fn an_unknown_key_is_shown_with_its_line() {
    let text = "name = \"x\"\nlayers = [\n    { conv = { channels = 8, kernle = 3 } },\n]\n";
    let error = error(text);
    assert!(error.contains("line 3") && error.contains("kernle"), "{error}");
}

#[test]
fn an_unknown_layer_is_shown_with_its_line() {
    let error = error("name = \"x\"\nlayers = [\n    \"relu\",\n    \"gelu\",\n]\n");
    assert!(error.contains("line 4") && error.contains("gelu"), "{error}");
}

#[test]
fn a_layer_that_does_not_fit_is_named_with_its_line() {
    let text = "name = \"x\"\nlayers = [\n    { block = { name = \"b\", channels = 4, repeat = 3 } \
         },\n]\n[blocks.b]\nlayers = [\n    { conv = { channels = \"$channels\", kernel = 15 } },\n]\n";
    let error = error(text);
    assert!(error.starts_with("net.toml, line 7: layer `b3.conv1`"), "{error}");
    assert!(error.contains("15x15 window does not fit input [N, 4, 4, 4]"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let layers = |layers: &str| error(&format!("name = \"x\"\nlayers = [{layers}]\n"));
    for (text, part) in [
        ("{ linear = { features = 10 } }", "layer `linear1`: it takes a flat tensor"),
        ("{ conv = { channels = \"$channels\", kernel = 3 } }", "`$channels` has no value here"),
        ("{ conv = { channels = 4, kernel = 3, groups = 2 } }", "3 channels do not divide into 2 groups"),
        ("{ conv = { channels = 4, kernel = 4, padding = \"same\" } }", "needs an odd kernel"),
        ("{ conv = { channels = 0, kernel = 4 } }", "a number from 1 to 65536"),
        ("{ conv = { channels = 60000, kernel = 2001, padding = 2000 } }", "parameters"),
        ("{ block = { name = \"b\" } }", "no block `b`"),
        ("{ residual = { body = [{ conv = { channels = 4, kernel = 3 } }] } }", "cannot be added"),
        ("\"flatten\"", "the last layer makes [N, 3072], but logits are [N, 10]"),
        ("", "the last layer makes [N, 3, 32, 32]"),
        ("{ dropout = { ratio = 1.5 } }", "ratio = 1.5 is outside"),
    ] {
        let error = layers(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    // Blocks of blocks of blocks: 1.4 kB that would be more layers than any memory holds.
    for inside in ["\"relu\"", "{ conv = { channels = 4096, kernel = 9, padding = 4 } }", ""] {
        let mut text = "name = \"x\"\nlayers = [{ block = { name = \"b0\", repeat = 65536 } }]\n".to_string();
        for depth in 0..14 {
            let inner = format!("{{ block = {{ name = \"b{}\", repeat = 65536 }} }}", depth + 1);
            text += &format!("[blocks.b{depth}]\nlayers = [{inner}]\n");
        }
        text += &format!("[blocks.b14]\nlayers = [{inside}]\n");
        let error = error(&text);
        assert!(error.contains("more than"), "{inside}: {error}");
    }
    let name = "b".repeat(900);
    let nested = format!(
        "name = \"x\"\nlayers = [{{ block = {{ name = \"{name}\" }} }}]\n[blocks.{name}]\nlayers = [{{ \
         block = {{ name = \"{name}\" }} }}]\n"
    );
    assert!(error(&nested).contains("shorter names"));
    let recursion = "name = \"x\"\nlayers = [{ block = { name = \"b\" } }]\n[blocks.b]\nlayers = [{ block = \
         { name = \"b\" } }]\n";
    assert!(error(recursion).contains("nested more than"));
    assert!(load("alexnet").unwrap_err().to_string().contains("built in are lenet5, resnet8"));
}
