//! The pipeline on real files: what other tools quantized is taken over, what learning promises is kept.

use goldcrest_data::{Dataset, Spec, Split};
use goldcrest_onnx::import::float_model;
use goldcrest_onnx::samples::every_operator;
use goldcrest_onnx::{Model, int8};
use goldcrest_quantize::given::Moved;

use super::auto::{choose, choose_int4};
use super::{Budget, Parts, Settings, Trial, quantize_model, take_over_model};
use crate::evaluate::{Agreement, load, logits};

/// Made by tests/models/quantized.py: int8 with QDQ, uint8 with QDQ, int8 operators.
const FOREIGN: [&[u8]; 3] = [
    include_bytes!("../../../../tests/models/small.qdq.onnx"),
    include_bytes!("../../../../tests/models/small.qdq-u8.onnx"),
    include_bytes!("../../../../tests/models/small.qoperator.onnx"),
];

fn images(count: usize) -> Split {
    Dataset::open(&Spec::Glyphs { train: count, test: 1 }, &Default::default()).unwrap().train
}

fn answers(model: &Model, images: &Split) -> Vec<f32> {
    logits(&*load(model).unwrap(), images, &|_| {}).unwrap()
}

#[test]
fn grids_of_other_tools_stay_and_so_do_the_answers() {
    let images = images(40);
    for bytes in FOREIGN {
        let foreign = Model::decode(bytes).unwrap();
        let (taken, moved) = take_over_model(&foreign, &images, &|_| panic!("needs no calibration")).unwrap();
        // An addition's output is at least as coarse as its inputs, and the pool behind it shares its grid.
        let grids: Vec<&str> = moved
            .iter()
            .filter_map(|moved| match moved {
                Moved::Grid { tensor, .. } => Some(tensor.as_str()),
                _ => None,
            })
            .collect();
        assert!(
            matches!(*grids, [sum, pooled] if sum.starts_with("sum") && pooled.starts_with("pooled")),
            "{moved:?}"
        );
        let layers: Vec<f64> = moved
            .iter()
            .filter_map(|moved| match moved {
                Moved::Weights { largest, .. } => Some(*largest),
                _ => None,
            })
            .collect();
        assert_eq!(layers.len(), 4, "no weight scale is on the grid by chance: {moved:?}");
        assert!(layers.iter().all(|&largest| largest < 0.03), "{moved:?}");
        let output = taken.model.graph.tensor(taken.model.graph.output).info.scale;
        let (ours, theirs) = (answers(&taken.onnx, &images), answers(&foreign, &images));
        let far = Agreement::of(&ours, &theirs, images.labels(), 10).logit_mse.sqrt() / f64::from(output);
        assert!(far < 1.0, "the logits are {far} steps away");
        assert!(int8::read(&taken.onnx).is_ok());
    }
}

#[test]
fn learned_weights_follow_the_float_network_closer() {
    let (images, model) = (images(60), every_operator());
    // The logits themselves are moved apart from ties; what they are computed from is not.
    let noise = |learn: bool| {
        let settings = Settings { learn, ..Settings::default() };
        let quantized = quantize_model(&model, &images, &settings, &|_| {}).unwrap();
        let before = quantized.layers.split_last().unwrap().1;
        before.iter().map(|layer| layer.sqnr_db.min(100.0)).sum::<f64>() / before.len() as f64
    };
    let (learned, nearest) = (noise(true), noise(false));
    assert!(learned > nearest, "learned {learned} dB, nearest {nearest} dB");
}

#[test]
fn four_bits_are_four_bits_and_unknown_layers_are_named() {
    let (images, model) = (images(20), every_operator());
    let with = |layer: &str| {
        let settings = Settings { int4: vec![layer.into()], ..Settings::default() };
        quantize_model(&model, &images, &settings, &|_| {})
    };
    let unknown = with("nothing").unwrap_err().to_string();
    assert!(unknown.contains("no layer `nothing`") && unknown.contains("down"), "{unknown}");
    let quantized = with("down").unwrap();
    let node = quantized.model.graph.nodes.iter().find(|node| node.name == "down").unwrap();
    let Some(conv) = node.op.conv() else { panic!("{node:?}") };
    assert!(conv.weights.iter().all(|weight| (-8..=7).contains(weight)));
    assert!(conv.weights.iter().any(|weight| weight.abs() > 5), "four bits are used");
}

#[test]
fn four_bits_go_where_the_budget_allows_them() {
    let (parts, model) = (Parts::draw(&images(100), 60, 0), every_operator());
    let (graph, info) = float_model(&model).unwrap();
    assert_eq!((parts.fit.len(), parts.held.len()), (60, 40));
    let (start, budget) = (Settings::default(), Budget { error: 1.05, agreement: 0.05 });
    let found = choose_int4(&graph, &info, &parts, &start, budget, &|_| {}).unwrap();
    let [eight, tried @ ..] = &*found.trials else { panic!("no trials") };
    assert!(eight.settings.int4.is_empty() && !found.layers.is_empty(), "{found:?}");
    let of = |layers: &[String]| tried.iter().find(|trial| trial.settings.int4 == layers).unwrap();
    let kept = of(&found.layers);
    assert!(budget.allows(kept, eight) && kept.weight_bytes < eight.weight_bytes, "{found:?}");
    // What was left out is too much, alone or beside layers that were taken before it.
    let alone: Vec<&Trial> = tried.iter().filter(|trial| trial.settings.int4.len() == 1).collect();
    let left_out = || alone.iter().filter(|trial| !found.layers.contains(&trial.settings.int4[0]));
    assert!(left_out().count() > 0, "some layer does not fit: {found:?}");
    for trial in left_out() {
        let sum = kept.typical_mse + trial.typical_mse - eight.typical_mse;
        let failed = |other: &Trial| {
            other.settings.int4.contains(&trial.settings.int4[0]) && !budget.allows(other, eight)
        };
        assert!(sum > 0.95 * budget.error * eight.typical_mse || tried.iter().any(failed), "{found:?}");
    }
    // What was judged is what is written.
    let settings = Settings { int4: found.layers.clone(), ..start };
    let written = quantize_model(&model, &parts.fit, &settings, &|_| {}).unwrap();
    let (ours, exact) = (answers(&written.onnx, &parts.held), answers(&model, &parts.held));
    let compared = Agreement::of(&ours, &exact, parts.held.labels(), 10);
    assert!((compared.logit_mse / kept.logit_mse - 1.0).abs() < 0.05, "{compared:?}, {kept:?}");
    // No room for any error: no layer.
    let budget = Budget { error: 0.1, ..budget };
    let none = choose_int4(&graph, &info, &parts, &Settings::default(), budget, &|_| {});
    assert!(none.unwrap().layers.is_empty());
}

#[test]
fn trials_are_sorted_and_hold_the_start() {
    let start = Settings { learn: false, ..Settings::default() };
    let (graph, info) = float_model(&every_operator()).unwrap();
    let parts = Parts::draw(&images(20), 20, 0);
    let trials = choose(&graph, &info, &parts, &start, &|_| {}).unwrap();
    assert!(trials.is_sorted_by(|a, b| a.logit_mse <= b.logit_mse));
    assert!(trials.iter().any(|trial| trial.settings == start));
    assert!(trials.len() >= 8);
}
