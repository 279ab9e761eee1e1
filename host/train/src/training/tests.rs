//! Whole runs on a small drawn data set.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use goldcrest_data::{Dataset, glyphs};
use goldcrest_onnx::{Attribute, Model, Node};
use goldcrest_quantize::given::Moved;

use super::checkpoint::State;
use super::defaults::RECIPE;
use super::metrics::{self, Epoch};
use super::recipe::{Optimizer, Recipe, RecipeOptions};
use super::run::{Existing, Run};
use super::{Backend, Progress, Setup, Summary, TrainError, train};

mod int8;

fn recipe(options: RecipeOptions) -> Recipe {
    let defaults =
        RecipeOptions { epochs: Some(3), batch: Some(32), momentum: Some(0.9), ..RecipeOptions::default() };
    options.or(defaults).resolve().unwrap()
}

fn dataset() -> Dataset {
    glyphs::draw(200, 50, 1)
}

fn network(dataset: &Dataset, name: &str) -> Model {
    crate::architecture::load(name).unwrap().build(dataset.shape, dataset.classes.len(), 7).unwrap()
}

/// Trains LeNet-5; stops after step `stop_at` of all steps.
fn run(folder: &Path, existing: Existing, recipe: &Recipe, stop_at: usize) -> Result<Summary, TrainError> {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let (dataset, stop, mut steps) = (dataset(), AtomicBool::new(false), 0);
    let model = network(&dataset, "lenet5");
    let run = Run::open(folder, existing)?;
    train(&model, &dataset, recipe, &run, &Setup::default(), &stop, &mut |progress| {
        if let Progress::Step { .. } = progress {
            steps += 1;
            stop.store(steps >= stop_at, Ordering::Relaxed);
        }
    })
}

/// What must not depend on the time of day.
fn timeless(epochs: &[Epoch]) -> Vec<Epoch> {
    let still = |epoch: &Epoch| Epoch {
        samples_per_second: 0.0,
        samples_per_processor_second: 0.0,
        seconds: 0.0,
        waited: 0.0,
        ..epoch.clone()
    };
    epochs.iter().map(still).collect()
}

/// Parameters of a run's checkpoint, without the properties (which hold times).
fn parameters(run: &Path) -> State {
    let state = State::read(&run.join("checkpoint")).unwrap();
    State { properties: Default::default(), ..state }
}

#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let recipe = recipe(RecipeOptions::default());
    let expected = run(&whole, Existing::Refuse, &recipe, usize::MAX).unwrap();
    assert_eq!((expected.epochs.len(), expected.stopped), (3, false));
    assert!(expected.epochs[2].train_loss < expected.epochs[0].train_loss);

    // 7 steps make an epoch: within the first one, at the end of the second one, and on to the end.
    let first = run(&cut, Existing::Refuse, &recipe, 3).unwrap();
    assert!(first.stopped && first.epochs.is_empty());
    let second = run(&cut, Existing::Resume, &recipe, 11).unwrap();
    assert_eq!(second.epochs.len(), 2);
    let third = run(&cut, Existing::Resume, &recipe, usize::MAX).unwrap();
    assert_eq!(timeless(&third.epochs), timeless(&expected.epochs));
    assert_eq!(parameters(&cut), parameters(&whole));
    assert_eq!(
        std::fs::read(cut.join("model.onnx")).unwrap(),
        std::fs::read(whole.join("model.onnx")).unwrap()
    );
    assert_eq!(metrics::read::<Epoch>(&cut.join("metrics.jsonl")).unwrap(), third.epochs);
}

#[test]
fn the_exported_model_holds_the_trained_weights_and_says_what_it_sees() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let recipe = recipe(RecipeOptions { epochs: Some(1), ..RecipeOptions::default() });
    let summary = run(&path, Existing::Refuse, &recipe, usize::MAX).unwrap();
    let (model, state) = (Model::read(&summary.model).unwrap(), parameters(&path));
    for (name, tensor) in &state.trainable {
        assert_eq!(model.graph.initializers.get(name), Some(tensor), "{name}");
    }
    assert!(!model.graph.initializers.keys().any(|name| name.ends_with(".mom")));
    let dataset = dataset();
    let info = goldcrest_onnx::info::read(&model.metadata, 3, dataset.classes.len()).unwrap();
    assert_eq!((info.labels, info.normalization.mean), (dataset.classes, vec![0.5; 3]));
    assert!(!path.join("artifacts").exists());
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let recipe = recipe(RecipeOptions { learning_rate: Some(1e9), ..RecipeOptions::default() });
    let error = run(&path, Existing::Refuse, &recipe, usize::MAX).unwrap_err();
    let TrainError::Diverged { step, epoch, .. } = error else { panic!("{error}") };
    assert!(step > 0 && epoch == 1);
    assert!(error.to_string().contains("--learning-rate 100000000"), "{error}");
}

#[test]
fn a_network_for_other_images_is_named_before_training() {
    let dataset = dataset();
    let mut model = network(&dataset, "lenet5");
    super::check(&model, &dataset).unwrap();
    let small = Dataset { shape: goldcrest_engine::shape::Shape::new(16, 16, 3), ..dataset.clone() };
    let error = super::check(&model, &small).unwrap_err().to_string();
    assert!(error.contains("3x32x32") && error.contains("16x16x3") && error.contains("--resize"), "{error}");
    let many = Dataset { classes: vec!["x".into(); 12], ..dataset.clone() };
    let error = super::check(&model, &many).unwrap_err().to_string();
    assert!(error.contains("10 classes") && error.contains("12"), "{error}");
    model.graph.inputs.clear();
    assert!(super::check(&Model::default(), &Dataset { test: dataset.test.head(0), ..dataset }).is_err());
}

#[test]
fn a_checkpoint_of_another_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let recipe = recipe(RecipeOptions { epochs: Some(1), ..RecipeOptions::default() });
    run(&path, Existing::Refuse, &recipe, usize::MAX).unwrap();
    let dataset = dataset();
    let other = network(&dataset, "dscnn");
    let (run, stop) = (Run::open(&path, Existing::Resume).unwrap(), AtomicBool::new(false));
    let error = train(&other, &dataset, &recipe, &run, &Setup::default(), &stop, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("the run began with the network"), "{error}");
}

#[test]
fn a_run_goes_on_with_what_it_began_with_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let options = RecipeOptions { epochs: Some(2), validate: Some(0.2), ..RecipeOptions::default() };
    let began = recipe(options.clone());
    run(&path, Existing::Refuse, &began, 1).unwrap();
    let dataset = dataset();
    let resume = |dataset: &Dataset, recipe: &Recipe| {
        let (run, stop) = (Run::open(&path, Existing::Resume).unwrap(), AtomicBool::new(true));
        let model = network(dataset, "lenet5");
        let outcome = train(&model, dataset, recipe, &run, &Setup::default(), &stop, &mut |_| ());
        outcome.map(drop).map_err(|error| error.to_string())
    };
    let refused = |dataset: &Dataset, recipe: &Recipe, says: &str| {
        let error = resume(dataset, recipe).expect_err(says);
        assert!(error.contains(says), "{error}");
    };
    refused(
        &Dataset { train: dataset.train.head(150), ..dataset.clone() },
        &began,
        "150 training and 50 test",
    );
    let mut pixels = dataset.train.pixels().to_vec();
    pixels[7] ^= 1;
    let train = goldcrest_data::Split::new(dataset.shape, pixels, dataset.train.labels().to_vec());
    refused(&Dataset { train, ..dataset.clone() }, &began, "the images ");
    refused(&dataset, &recipe(RecipeOptions { validate: Some(0.3), ..options.clone() }), "--validate 0.3");
    refused(&dataset, &recipe(RecipeOptions { seed: Some(9), ..options.clone() }), "--seed 9");
    refused(&dataset, &recipe(RecipeOptions { batch: Some(7), ..options.clone() }), "--batch 32");
    resume(&dataset, &recipe(RecipeOptions { learning_rate: Some(0.001), ..options.clone() })).unwrap();

    // Files of the run that something else wrote.
    let manifest = path.join("manifest.json");
    let (text, copy) = (std::fs::read_to_string(&manifest).unwrap(), path.join("recipe.toml"));
    assert_eq!(super::manifest::recipe(&path).unwrap().learning_rate, Some(0.001));
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(super::manifest::recipe(&path).unwrap().learning_rate, Some(0.001));
    std::fs::write(&copy, "learning-rate = 0.5\n").unwrap();
    assert!(super::manifest::recipe(&path).unwrap_err().to_string().contains("with flags"));
    std::fs::write(&manifest, text.replace("0.001", "0.002")).unwrap();
    refused(&dataset, &began, "SHA-256");
    std::fs::remove_file(&manifest).unwrap();
    refused(&dataset, &began, "cannot read what the run was trained on");
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_one_before_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(RecipeOptions { epochs: Some(3), ..RecipeOptions::default() });
    let (whole, damaged) = (folder.path().join("whole"), folder.path().join("damaged"));
    run(&whole, Existing::Refuse, &recipe, usize::MAX).unwrap();
    run(&damaged, Existing::Refuse, &recipe, 10).unwrap();
    let checkpoint = damaged.join("checkpoint");
    let mut bytes = std::fs::read(&checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&checkpoint, bytes).unwrap();
    let error = run(&damaged, Existing::Resume, &recipe, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("checkpoint.previous") && error.contains("SHA-256"), "{error}");
    std::fs::remove_file(&checkpoint).unwrap();
    run(&damaged, Existing::Resume, &recipe, usize::MAX).unwrap();
    assert_eq!(parameters(&damaged), parameters(&whole));
}

const DROPPING: &str = r#"
    name = "dropping"
    layers = [
        "flatten",
        { linear = { features = 32, activation = "relu" } },
        { dropout = { ratio = 0.5 } },
        { linear = { features = "$classes" } },
    ]
"#;

/// Masks do not come from a generator that a checkpoint does not hold; AdamW's state is in it too.
#[test]
fn a_resumed_run_with_dropout_and_adamw_ends_with_the_same_bits() {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (dataset, optimizer) = (dataset(), Some(Optimizer::AdamW));
    let architecture = crate::architecture::Architecture::parse("dropping", DROPPING).unwrap();
    let model = architecture.build(dataset.shape, dataset.classes.len(), 7).unwrap();
    let options =
        RecipeOptions { epochs: Some(2), optimizer, learning_rate: Some(1e-3), ..RecipeOptions::default() };
    let recipe = recipe(options);
    let go = |name: &str, existing, stop_at: usize| {
        let (run, stop) = (Run::open(&folder.path().join(name), existing).unwrap(), AtomicBool::new(false));
        let mut steps = 0;
        let report = &mut |progress: Progress| {
            steps += usize::from(matches!(progress, Progress::Step { .. }));
            stop.store(steps >= stop_at, Ordering::Relaxed);
        };
        let summary = train(&model, &dataset, &recipe, &run, &Setup::default(), &stop, report).unwrap();
        (parameters(run.path()), summary)
    };
    let (whole, summary) = go("whole", Existing::Refuse, usize::MAX);
    assert!(summary.epochs[1].train_loss < summary.epochs[0].train_loss);
    go("cut", Existing::Refuse, 5);
    assert_eq!(go("cut", Existing::Resume, usize::MAX).0, whole);
}

/// Trains a network on the drawn data set; stops after step `stop_at`.
fn run_of(
    dataset: &Dataset,
    model: &Model,
    setup: &Setup,
    folder: &Path,
    existing: Existing,
    recipe: &Recipe,
    stop_at: usize,
) -> Summary {
    let (run, stop) = (Run::open(folder, existing).unwrap(), AtomicBool::new(false));
    let mut steps = 0;
    train(model, dataset, recipe, &run, setup, &stop, &mut |progress| {
        steps += usize::from(matches!(progress, Progress::Step { .. }));
        stop.store(steps >= stop_at, Ordering::Relaxed);
    })
    .unwrap()
}

/// Mean weights, mixed images and a teacher leave nothing outside the checkpoint, with either backend.
#[test]
fn a_resumed_run_with_means_mixed_images_and_a_teacher_ends_with_the_same_bits() {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset();
    let teacher = folder.path().join("teacher");
    let lenet = network(&dataset, "lenet5");
    let setup = Setup::default();
    let mean = Some(vec![0.4]);
    let teaching = recipe(RecipeOptions { epochs: Some(2), mean, ..RecipeOptions::default() });
    let teacher = run_of(&dataset, &lenet, &setup, &teacher, Existing::Refuse, &teaching, usize::MAX).model;
    let model = network(&dataset, "dscnn");
    let options = RecipeOptions {
        epochs: Some(2),
        ema: Some(0.9),
        augment: Some("flip,crop=2,mixup=0.5,cutmix=1".into()),
        teacher: Some(teacher.clone()),
        ..RecipeOptions::default()
    };
    let recipe = recipe(options);
    let mut losses = Vec::new();
    for backend in [Backend::TrainingApi, Backend::Session] {
        let setup = Setup { backend, ..Setup::default() };
        let at = |name: &str| folder.path().join(format!("{name}-{backend:?}"));
        let go = |name: &str, existing, stop_at| {
            run_of(&dataset, &model, &setup, &at(name), existing, &recipe, stop_at)
        };
        let whole = go("whole", Existing::Refuse, usize::MAX);
        go("cut", Existing::Refuse, 4);
        let cut = go("cut", Existing::Resume, usize::MAX);
        assert_eq!(timeless(&cut.epochs), timeless(&whole.epochs));
        assert_eq!(parameters(&at("cut")), parameters(&at("whole")));
        let [ours, theirs] = [&whole, &cut].map(|summary| std::fs::read(&summary.model).unwrap());
        assert_eq!(ours, theirs);
        // The exported weights are the means, running statistics too.
        let (exported, state) = (Model::read(&whole.model).unwrap(), parameters(&at("whole")));
        let (mut means, mut moved) = (0, 0);
        for (name, mean) in &state.frozen {
            if let Some(name) = name.strip_suffix(".ema") {
                assert_eq!(&exported.graph.initializers[name], mean, "{name}");
                moved += usize::from(state.parameter(name) != Some(mean));
                means += 1;
            }
        }
        assert_eq!(means, exported.graph.initializers.len());
        // Scales that the next normalization undoes stay at 1.
        assert!(moved > means / 2, "{moved} of {means}");
        // What is measured is what is exported.
        let evaluated = goldcrest_prove::evaluate::load(&exported).unwrap();
        let logits = goldcrest_prove::evaluate::logits(&*evaluated, &dataset.test, &|_| ()).unwrap();
        let labels =
            (0..dataset.test.len()).map(|index| dataset.test.label(index) as i64).collect::<Vec<_>>();
        let correct = super::session::Answer::new(&[0.0], &logits, labels.len()).correct(&labels);
        assert_eq!(correct as f64 / labels.len() as f64, whole.epochs[1].test_accuracy);
        losses.push(whole.epochs[0].train_loss);
    }
    assert!((losses[0] - losses[1]).abs() < 1e-4 * losses[0], "{losses:?}");

    // Without the teacher and without mixing the losses are others.
    let plain = Recipe { distillation: None, ..recipe.clone() };
    let path = folder.path().join("plain");
    let plain = run_of(&dataset, &model, &setup, &path, Existing::Refuse, &plain, usize::MAX).epochs;
    assert!((plain[0].train_loss - losses[0]).abs() > 1e-3);
}

#[test]
fn a_fresh_last_layer_is_all_that_changes_when_the_rest_is_frozen() {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = network(&dataset(), "lenet5");
    let error =
        super::check(&whole, &Dataset { classes: vec!["a".into(), "b".into(), "c".into()], ..dataset() });
    assert!(error.unwrap_err().to_string().contains("--head 3"));
    let model = crate::architecture::replace_head(&whole, 10, 3).unwrap();
    let freeze = Some(vec!["conv".to_owned(), "linear1".to_owned(), "linear2".to_owned()]);
    let recipe = recipe(RecipeOptions { epochs: Some(1), freeze, ..RecipeOptions::default() });
    let path = folder.path().join("run");
    let summary = run_of(&dataset(), &model, &Setup::default(), &path, Existing::Refuse, &recipe, usize::MAX);
    let trained = Model::read(&summary.model).unwrap();
    for (name, tensor) in &whole.graph.initializers {
        assert_eq!(trained.graph.initializers[name] == *tensor, !name.starts_with("linear3"), "{name}");
    }
}

#[test]
fn a_teacher_of_other_images_or_classes_is_refused() {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let (folder, dataset) = (tempfile::tempdir().unwrap(), dataset());
    let path = folder.path().join("teacher.onnx");
    let refused = |classes: usize, labels: &str| {
        let mut model =
            crate::architecture::load("lenet5").unwrap().build(dataset.shape, classes, 7).unwrap();
        model.metadata.insert(goldcrest_onnx::info::LABELS.into(), labels.into());
        std::fs::write(&path, model.encode()).unwrap();
        let recipe = recipe(RecipeOptions { teacher: Some(path.clone()), ..RecipeOptions::default() });
        let run = Run::open(&folder.path().join("run"), Existing::Refuse).unwrap();
        let (setup, stop) = (Setup::default(), AtomicBool::new(false));
        train(&network(&dataset, "lenet5"), &dataset, &recipe, &run, &setup, &stop, &mut |_| ())
            .unwrap_err()
            .to_string()
    };
    let error = refused(3, r#"["a", "b", "c"]"#);
    assert!(error.contains("3 classes (a, b, c)") && error.contains("10 classes"), "{error}");
    let error = refused(10, r#"["0", "1", "2", "3", "4", "5", "6", "7", "8", "nine"]"#);
    assert!(error.contains("nine") && error.contains("must agree"), "{error}");
}

/// Exporters may hold weights in `Constant` nodes.
#[test]
fn weights_in_constant_nodes_are_trained_and_exported() {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (dataset, stop) = (dataset(), AtomicBool::new(false));
    let mut model = network(&dataset, "lenet5");
    let weights = model.graph.initializers.remove("conv1.weight").unwrap();
    let constant = Node::new("Constant", &[], &["conv1.weight"]);
    model.graph.nodes.insert(0, constant.with("value", Attribute::Tensor(weights.clone())));
    let run = Run::open(&folder.path().join("run"), Existing::Refuse).unwrap();
    let recipe = recipe(RecipeOptions { epochs: Some(1), ..RecipeOptions::default() });
    let setup = Setup::default();
    let summary = train(&model, &dataset, &recipe, &run, &setup, &stop, &mut |_| ()).unwrap();
    let trained = Model::read(&summary.model).unwrap();
    assert_eq!(trained.graph.initializers["conv1.weight"], parameters(run.path()).trainable["conv1.weight"]);
    assert_ne!(trained.graph.initializers["conv1.weight"], weights);
}

#[test]
fn the_best_model_is_chosen_on_validation_images_where_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let recipe = recipe(RecipeOptions { validate: Some(0.25), batch: Some(25), ..RecipeOptions::default() });
    let summary = run(&path, Existing::Refuse, &recipe, usize::MAX).unwrap();
    let accuracies: Vec<f64> =
        summary.epochs.iter().map(|epoch| epoch.validation_accuracy.unwrap()).collect();
    // 50 images are set aside.
    assert!(accuracies.iter().all(|accuracy| (accuracy * 50.0).fract() == 0.0), "{accuracies:?}");
    let best = summary.best().unwrap();
    assert!(accuracies.iter().all(|&accuracy| accuracy <= best.validation_accuracy.unwrap()));
    let same = std::fs::read(&summary.best_model).unwrap() == std::fs::read(path.join("model.onnx")).unwrap();
    assert_eq!(same, best.epoch == 3, "{accuracies:?}");
    let confusions: Vec<metrics::Confusion> = metrics::read(&path.join("confusion.jsonl")).unwrap();
    assert_eq!(confusions.len(), 3);
    assert_eq!(confusions[2].confusion.iter().flatten().sum::<usize>(), 50);
    assert_eq!(confusions[2].per_class(), summary.epochs[2].per_class);
}

#[test]
fn a_share_of_no_image_is_an_error_and_not_the_test_images() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(RecipeOptions { validate: Some(1e-4), ..RecipeOptions::default() });
    let error = run(&folder.path().join("run"), Existing::Refuse, &recipe, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("sets no image of any class aside"), "{error}");
}

#[test]
fn a_trained_model_holds_its_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(RecipeOptions { epochs: Some(1), validate: Some(0.2), ..RecipeOptions::default() });
    let summary = run(&folder.path().join("run"), Existing::Refuse, &recipe, usize::MAX).unwrap();
    let model = Model::read(&summary.model).unwrap();
    assert_eq!(model.metadata[RECIPE], recipe.to_toml());
}

#[test]
fn both_backends_have_the_same_losses() {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset();
    // Steep steps of a deep network make much of the last bit: 1e-7 after one step is 1e-5 after three.
    for (name, learning_rate) in [("lenet5", 0.05), ("resnet8", 1e-4)] {
        let network = network(&dataset, name);
        let options =
            RecipeOptions { epochs: Some(1), learning_rate: Some(learning_rate), ..RecipeOptions::default() };
        let recipe = recipe(options);
        let losses = [Backend::TrainingApi, Backend::Session].map(|backend| {
            let path = folder.path().join(format!("{name}-{backend:?}"));
            let (run, stop) = (Run::open(&path, Existing::Refuse).unwrap(), AtomicBool::new(false));
            let (setup, mut losses) = (Setup { backend, ..Setup::default() }, Vec::new());
            let summary = train(&network, &dataset, &recipe, &run, &setup, &stop, &mut |progress| {
                if let Progress::Step { loss, .. } = progress {
                    losses.push(loss);
                }
            });
            losses.push(summary.unwrap().epochs[0].test_loss);
            losses
        });
        let [api, session] = &losses;
        assert_eq!(api.len(), 8);
        assert!(api[6] != api[0]);
        for (api, session) in api.iter().zip(session) {
            assert!((api - session).abs() < 1e-5 * api, "{name}: {losses:?}");
        }
    }
}
