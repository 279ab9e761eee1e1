//! Training for int8: the int8 model computes what training saw.

use super::*;
use crate::calibrate::take_over_model;
use crate::evaluate;

fn drawn() -> Dataset {
    glyphs::draw(600, 100, 1)
}

/// Trains a network as it is, then for int8 in `folder/int8`.
fn trained(folder: &Path, name: &str, backend: Backend) -> Summary {
    crate::runtime::load(&Default::default()).unwrap();
    let (dataset, setup) = (drawn(), Setup { backend, ..Setup::default() });
    let (batch, optimizer) = (Some(20), Some(Optimizer::AdamW));
    let plain =
        Options { epochs: Some(3), batch, optimizer, learning_rate: Some(2e-3), ..Options::default() };
    let (float, model) = (folder.join("float"), network(&dataset, name));
    let float = run_of(&dataset, &model, &setup, &float, Existing::Refuse, &recipe(plain), usize::MAX);
    let model = Model::read(&float.model).unwrap();
    let (qat, learning_rate) = (Some(true), Some(5e-4));
    let options = Options { epochs: Some(2), batch, optimizer, learning_rate, qat, ..Options::default() };
    let recipe = recipe(options.or(Options::of_model(&model)));
    run_of(&dataset, &model, &setup, &folder.join("int8"), Existing::Refuse, &recipe, usize::MAX)
}

#[test]
fn the_int8_model_computes_what_training_saw() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = drawn();
    for name in ["lenet5", "resnet8"] {
        let summary = trained(&folder.path().join(name), name, Backend::TrainingApi);
        assert!(summary.epochs[1].train_loss < summary.epochs[0].train_loss, "{:?}", summary.epochs);
        assert!(summary.epochs[1].test_accuracy > 0.25, "{:?}", summary.epochs);
        let model = Model::read(&summary.model).unwrap();
        let (int8, moved) = take_over_model(&model, &dataset.train, &|_| ()).unwrap();
        println!("{name}: {moved:?}");
        // Grids and weights stay, to the bit; sums of two scales are rounded to the grid of multipliers.
        let ratio = |moved: &Moved| matches!(moved, Moved::Ratio { change, .. } if change.abs() < 1e-4);
        assert!(moved.iter().all(ratio), "{moved:?}");

        let logits = [&model, &int8.onnx].map(|model| {
            let classifier = evaluate::load(model).unwrap();
            evaluate::logits(&*classifier, &dataset.test, &|_| ()).unwrap()
        });
        let labels: Vec<i64> =
            (0..dataset.test.len()).map(|index| dataset.test.label(index) as i64).collect();
        let [seen, int8] =
            logits.each_ref().map(|logits| super::super::session::Answer::new(&[0.0], logits, labels.len()));
        let equal =
            logits[0].iter().zip(&logits[1]).filter(|(a, b)| (*a - *b).abs() < 1e-4 * a.abs().max(1.0));
        let equal = equal.count() as f64 / logits[0].len() as f64;
        let agree = seen.answers.iter().zip(&int8.answers).filter(|(a, b)| a == b).count();
        println!("{name}: {agree} of {} answers and {:.2} % of logits equal", labels.len(), 100.0 * equal);
        // Some values move by a step here and there, the more, the deeper the network: 99.6 % of LeNet-5's
        // logits are equal and all answers, 85 % of ResNet-8's logits and 99 of 100 answers.
        assert!(agree >= labels.len() - 2, "{agree}");
        assert!(equal > if name == "lenet5" { 0.97 } else { 0.8 }, "{equal}");
        let accuracy = int8.correct(&labels) as f64 / labels.len() as f64;
        assert!((accuracy - summary.epochs[1].test_accuracy).abs() < 0.025, "{accuracy}");
    }
}

#[test]
fn both_backends_round_alike_and_a_resumed_run_keeps_its_scales() {
    let folder = tempfile::tempdir().unwrap();
    let losses = [Backend::TrainingApi, Backend::Session].map(|backend| {
        trained(&folder.path().join(format!("{backend:?}")), "lenet5", backend).epochs[0].train_loss
    });
    assert!((losses[0] - losses[1]).abs() < 0.02 * losses[0], "{losses:?}");

    let whole = folder.path().join("TrainingApi/int8");
    let model = Model::read(&folder.path().join("TrainingApi/float/model.onnx")).unwrap();
    let recipe = Options::read(&whole.join("recipe.toml")).unwrap().resolve().unwrap();
    let (cut, dataset, setup) = (folder.path().join("cut"), drawn(), Setup::default());
    run_of(&dataset, &model, &setup, &cut, Existing::Refuse, &recipe, 35);
    run_of(&dataset, &model, &setup, &cut, Existing::Resume, &recipe, usize::MAX);
    assert_eq!(parameters(&cut), parameters(&whole));

    // What it exports is for `quantize`: its weights are integers.
    let model = Model::read(&whole.join("model.onnx")).unwrap();
    let error = super::super::check(&model, &dataset).unwrap_err().to_string();
    assert!(error.contains("weights.integers") && error.contains("--resume"), "{error}");
    let info = crate::onnx::info::read(&model.metadata, 3, 10).unwrap();
    let error = super::super::quantization_aware::prepare(&model, &dataset.train, &info, 0).unwrap_err();
    assert!(error.to_string().contains("quantized already"), "{error}");
}
