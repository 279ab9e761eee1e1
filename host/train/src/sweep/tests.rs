//! A whole sweep on a small drawn data set.

use goldcrest_data::glyphs;

use super::*;

const RECIPE: &str = "
epochs = 4
batch = 20
validate = 0.2
optimizer = \"adamw\"
augment = \"none\"

[search]
learning-rate = { low = 1e-5, high = 0.005, log = true }
label-smoothing = { choices = [0.0, 0.125] }
";

/// Runs a sweep; stops after `steps` steps of all trials.
fn go(
    out: &Path,
    existing: Existing,
    recipe: &str,
    trials: usize,
    steps: usize,
) -> Result<Report, SweepError> {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let dataset = glyphs::draw(500, 50, 1);
    let model = |seed| {
        let lenet = crate::architecture::load("lenet5").unwrap();
        lenet.build(dataset.shape, dataset.classes.len(), seed).unwrap()
    };
    let (stop, mut seen) = (AtomicBool::new(false), 0);
    let options: RecipeOptions = toml::from_str(recipe).unwrap();
    let (text, network) = (recipe.to_owned(), "lenet5".to_owned());
    let task = Sweep { options, text, network, model: &model, dataset: &dataset, out, existing, trials };
    sweep(task, &Setup::default(), &stop, &mut |event| {
        seen += usize::from(matches!(event, Event::Training(Progress::Step { .. })));
        stop.store(seen >= steps, Ordering::Relaxed);
    })
}

/// What does not depend on the time of day.
fn timeless(trials: &[Trial]) -> Vec<Trial> {
    trials.iter().map(|trial| Trial { seconds: 0.0, ..trial.clone() }).collect()
}

#[test]
fn a_sweep_cut_off_anywhere_goes_on_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let report = go(&whole, Existing::Refuse, RECIPE, 9, usize::MAX).unwrap();
    assert_eq!((report.trials.len(), report.stopped), (9, false));
    // 20 steps make an epoch, 80 a trial: within a trial, at a trial's end, and on to the end.
    assert!(go(&cut, Existing::Refuse, RECIPE, 9, 30).unwrap().stopped);
    assert!(go(&cut, Existing::Resume, RECIPE, 9, 210).unwrap().stopped);
    let resumed = go(&cut, Existing::Resume, RECIPE, 9, usize::MAX).unwrap();
    assert_eq!(timeless(&resumed.trials), timeless(&report.trials));

    // The median rule ends some, and the best recipe is that of the best trial, whole and without [search].
    assert!(report.trials.iter().any(|trial| trial.outcome == Outcome::Stopped), "{:?}", report.trials);
    let best = report.best().unwrap();
    assert!(report.trials.iter().all(|trial| cost(trial) >= cost(best)));
    let recipe = RecipeOptions::read(report.recipe.as_deref().unwrap()).unwrap();
    assert_eq!(recipe.label_smoothing.map(f64::from), best.parameters["label-smoothing"].as_float());
    assert_eq!((recipe.validate, recipe.epochs), (Some(0.2), Some(4)));
    // 100 of the 500 training images: not the 50 test images.
    assert!(median::best(&best.accuracies) > 0.15, "{best:?}");
    assert!(report.trials.iter().flat_map(|trial| &trial.accuracies).any(|a| (a * 50.0).fract() != 0.0));
    let accuracy = best.accuracies[0] * 100.0;
    assert!((accuracy - accuracy.round()).abs() < 1e-9);

    // More trials go on after those; another recipe is another sweep.
    let more = go(&cut, Existing::Resume, RECIPE, 10, usize::MAX).unwrap();
    assert_eq!((more.trials.len(), timeless(&more.trials[..9])), (10, timeless(&report.trials)));
    let error = go(&cut, Existing::Resume, &RECIPE.replace("validate = 0.2", "validate = 0.3"), 10, 0)
        .unwrap_err()
        .to_string();
    assert!(error.contains("another recipe"), "{error}");
    let error = go(&cut, Existing::Refuse, RECIPE, 10, 0).unwrap_err().to_string();
    assert!(error.contains("--resume") && error.contains("--overwrite"), "{error}");
}

#[test]
fn a_recipe_that_fails_is_the_worst_and_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = "epochs = 1\n[search]\nlearning-rate = { choices = [0.01, 1e9, -1.0] }\n";
    let report = go(&folder.path().join("sweep"), Existing::Refuse, recipe, 6, usize::MAX).unwrap();
    let failed = report.trials.iter().filter(|trial| trial.outcome == Outcome::Failed).count();
    assert!((1..6).contains(&failed), "{failed}");
    let failed = report.trials.iter().filter(|trial| trial.outcome == Outcome::Failed);
    assert!(failed.clone().all(|trial| trial.problem.is_some()));
    assert_eq!(report.best().unwrap().parameters["learning-rate"].as_float(), Some(0.01));
}

#[test]
fn a_recipe_without_a_search_is_no_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let error = go(folder.path(), Existing::Refuse, "epochs = 1", 1, 0).unwrap_err().to_string();
    assert!(error.contains("[search]") && error.contains("low = 0.005"), "{error}");
    let options: RecipeOptions = toml::from_str(RECIPE).unwrap();
    let error = options.resolve().unwrap_err().to_string();
    assert!(error.contains("goldcrest sweep"), "{error}");
}
