//! Training for int8: the int8 model computes what training saw.

use goldcrest_onnx::info;
use goldcrest_onnx::samples::every_operator;
use goldcrest_prove::calibrate::{normalize, take_over_model};
use goldcrest_prove::evaluate;
use goldcrest_prove::verify::onnxruntime::OnnxRuntime;
use ort::session::builder::GraphOptimizationLevel;

use super::super::export::trained as trained_model;
use super::super::quantization_aware::Prepared;
use super::*;

fn drawn() -> Dataset {
    glyphs::draw(600, 100, 1)
}

/// Trains a network as it is, then for int8 in `folder/int8`.
fn trained(folder: &Path, name: &str, backend: Backend) -> Summary {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let (dataset, setup) = (drawn(), Setup { backend, ..Setup::default() });
    let (batch, optimizer) = (Some(20), Some(Optimizer::AdamW));
    let plain = RecipeOptions {
        epochs: Some(3),
        batch,
        optimizer,
        learning_rate: Some(2e-3),
        ..RecipeOptions::default()
    };
    let (float, model) = (folder.join("float"), network(&dataset, name));
    let float = run_of(&dataset, &model, &setup, &float, Existing::Refuse, &recipe(plain), usize::MAX);
    let model = Model::read(&float.model).unwrap();
    let (qat, learning_rate) = (Some(true), Some(5e-4));
    let options =
        RecipeOptions { epochs: Some(2), batch, optimizer, learning_rate, qat, ..RecipeOptions::default() };
    let recipe = recipe(options.or(RecipeOptions::of_model(&model)));
    run_of(&dataset, &model, &setup, &folder.join("int8"), Existing::Refuse, &recipe, usize::MAX)
}

/// Logits of a training network for the test images, run node by node as it is written.
fn seen(network: &Model, dataset: &Dataset) -> Vec<f32> {
    let info = info::read(&network.metadata, 3, 10).unwrap();
    let shape = dataset.shape;
    let sizes = [shape.channels, shape.height, shape.width];
    let outputs = network.graph.outputs.clone();
    let runtime = OnnxRuntime::load(network, sizes, outputs, GraphOptimizationLevel::Disable).unwrap();
    let images: Vec<&[u8]> = (0..dataset.test.len()).map(|index| dataset.test.image(index)).collect();
    runtime.run::<f32, f32>(&normalize(&info.normalization, shape, &images)).unwrap().concat()
}

/// Logits of the int8 model that `quantize` makes of a file.
fn int8(file: &Model, dataset: &Dataset) -> (Vec<f32>, Vec<Moved>) {
    let (int8, moved) = take_over_model(file, &dataset.train, &|_| ()).unwrap();
    let classifier = evaluate::load(&int8.onnx).unwrap();
    (evaluate::logits(&*classifier, &dataset.test, &|_| ()).unwrap(), moved)
}

fn cross_entropy(logits: &[f32], labels: &[i64]) -> f64 {
    let each = logits.chunks_exact(logits.len() / labels.len()).zip(labels).map(|(logits, &label)| {
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        sum.ln() - f64::from(logits[label as usize])
    });
    each.sum::<f64>() / labels.len() as f64
}

#[test]
fn the_int8_model_computes_what_training_saw() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = drawn();
    let labels: Vec<i64> = (0..dataset.test.len()).map(|index| dataset.test.label(index) as i64).collect();
    for (name, backend) in [("lenet5", Backend::Session), ("resnet8", Backend::TrainingApi)] {
        let folder = folder.path().join(format!("{name}-{backend:?}"));
        let summary = trained(&folder, name, backend);
        assert!(summary.epochs[1].train_loss < summary.epochs[0].train_loss, "{:?}", summary.epochs);
        assert!(summary.epochs[1].test_accuracy > 0.25, "{:?}", summary.epochs);
        let (logits, moved) = int8(&Model::read(&summary.model).unwrap(), &dataset);
        // Grids and weights stay, to the bit; sums of two scales are rounded to the grid of multipliers, in
        // training too.
        let ratio = |moved: &Moved| matches!(moved, Moved::Ratio { change, .. } if change.abs() < 1e-4);
        assert!(moved.iter().all(ratio), "{moved:?}");

        let run = folder.join("int8");
        let prepared = Prepared::of(Model::read(&run.join("prepared.onnx")).unwrap()).unwrap();
        let description = info::read(&prepared.file.metadata, 3, 10).unwrap();
        let network = trained_model(&prepared.network, &parameters(&run), &description);
        assert_eq!(seen(&network, &dataset), logits, "{name}");
        // The session that trains sees them too.
        let epoch = &summary.epochs[1];
        let loss = cross_entropy(&logits, &labels);
        assert!((epoch.test_loss - loss).abs() < 1e-5 * loss, "{name}: {loss} {epoch:?}");
        let answers = super::super::session::Answer::new(&[0.0], &logits, labels.len());
        assert_eq!(answers.correct(&labels) as f64 / labels.len() as f64, epoch.test_accuracy);
    }
}

/// No training: rounding alone. Entries of tables next to a tie depend on how a library computes functions.
#[test]
fn every_operator_rounds_as_in_int8() {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let dataset = drawn();
    let exact = ["dscnn", "mobilenetv1-025", "resnet20"].map(|name| (name, network(&dataset, name), 1.0));
    for (name, model, share) in exact.into_iter().chain([("every operator", every_operator(), 0.9)]) {
        let info = info::read(&model.metadata, 3, 10).unwrap();
        let prepared = Prepared::new(&model, &dataset.train, &info, 1).unwrap();
        let (logits, _) = int8(&prepared.settled(&prepared.network), &dataset);
        assert!(logits.iter().any(|logit| *logit != logits[0]));
        let seen = seen(&prepared.network, &dataset);
        let equal = seen.iter().zip(&logits).filter(|(a, b)| a == b).count() as f64 / logits.len() as f64;
        assert!(equal >= share, "{name}: {equal}");
    }
}

#[test]
fn both_backends_round_alike_and_a_resumed_run_keeps_its_scales() {
    let folder = tempfile::tempdir().unwrap();
    let losses = [Backend::TrainingApi, Backend::Session].map(|backend| {
        trained(&folder.path().join(format!("{backend:?}")), "lenet5", backend).epochs[0].train_loss
    });
    assert!((losses[0] - losses[1]).abs() < 0.005 * losses[0], "{losses:?}");

    let whole = folder.path().join("TrainingApi/int8");
    let model = Model::read(&folder.path().join("TrainingApi/float/model.onnx")).unwrap();
    let recipe = RecipeOptions::read(&whole.join("recipe.toml")).unwrap().resolve().unwrap();
    let (cut, dataset, setup) = (folder.path().join("cut"), drawn(), Setup::default());
    run_of(&dataset, &model, &setup, &cut, Existing::Refuse, &recipe, 35);
    run_of(&dataset, &model, &setup, &cut, Existing::Resume, &recipe, usize::MAX);
    assert_eq!(parameters(&cut), parameters(&whole));

    // What it exports is for `quantize`: its weights are integers.
    let model = Model::read(&whole.join("model.onnx")).unwrap();
    let error = super::super::check(&model, &dataset).unwrap_err().to_string();
    assert!(error.contains("weights.integers") && error.contains("--resume"), "{error}");
    let info = info::read(&model.metadata, 3, 10).unwrap();
    let error = Prepared::new(&model, &dataset.train, &info, 0).unwrap_err();
    assert!(error.to_string().contains("quantized already"), "{error}");
}
