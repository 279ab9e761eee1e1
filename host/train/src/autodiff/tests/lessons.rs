//! Losses of shares and teachers, and mean weights, against their definitions in double precision.

use super::*;

const CLASSES: usize = 4;

fn rows(seed: u64, range: std::ops::Range<f32>) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..BATCH * CLASSES).map(|_| random.random_range(range.clone())).collect()
}

/// Shares that sum to 1, and a teacher's logits.
fn lessons() -> [Tensor; 2] {
    let mut shares = rows(2, 0.0..1.0);
    for row in shares.chunks_mut(CLASSES) {
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|share| *share /= sum);
    }
    [shares, rows(3, -3.0..3.0)].map(|values| Tensor::f32(&[BATCH, CLASSES], values))
}

/// The feeds of a graph that takes shares, and a teacher where `taught`.
fn fed(graph: &GradientGraph, taught: bool) -> Vec<(String, Tensor)> {
    let mut feeds = feeds(&graph.model, &graph.parameters, CLASSES as i64);
    let [shares, teacher] = lessons();
    feeds[1].1 = shares;
    if taught {
        feeds.insert(2, (graph.model.graph.inputs[2].name.clone(), teacher));
    }
    feeds
}

fn log_softmax(logits: impl Iterator<Item = f64>) -> Vec<f64> {
    let logits: Vec<f64> = logits.collect();
    let sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    logits.iter().map(|logit| logit - sum).collect()
}

/// The loss by its definition.
fn expected(logits: &[f64], smoothing: f64, teaching: Option<Distillation>) -> f64 {
    let [shares, teacher] = lessons();
    let (shares, teacher) = (shares.as_f32().unwrap(), teacher.as_f32().unwrap());
    let mut loss = 0.0;
    for (row, logits) in logits.chunks(CLASSES).enumerate() {
        let place = row * CLASSES..(row + 1) * CLASSES;
        let log_p = log_softmax(logits.iter().copied());
        let targets = shares[place.clone()].iter().map(|&share| (1.0 - smoothing) * f64::from(share));
        let hard: f64 =
            targets.zip(&log_p).map(|(target, log_p)| -(target + smoothing / CLASSES as f64) * log_p).sum();
        let Some(Distillation { weight, temperature }) = teaching else {
            loss += hard;
            continue;
        };
        let (weight, t) = (f64::from(weight), f64::from(temperature));
        let log_q = log_softmax(logits.iter().map(|logit| logit / t));
        let log_p = log_softmax(teacher[place].iter().map(|&logit| f64::from(logit) / t));
        let soft: f64 = log_p.iter().zip(&log_q).map(|(log_p, log_q)| log_p.exp() * (log_p - log_q)).sum();
        loss += (1.0 - weight) * hard + weight * t * t * soft;
    }
    loss / BATCH as f64
}

#[test]
fn losses_of_shares_and_teachers_are_those_of_their_definitions() {
    let teaching = Distillation { weight: 0.7, temperature: 3.0 };
    for (label_smoothing, distillation) in [(0.0, None), (0.2, None), (0.1, Some(teaching))] {
        let mut results = Vec::new();
        for dialect in [Dialect::Training, Dialect::Standard] {
            let targets = Targets::Shares;
            let options = GraphOptions { targets, label_smoothing, distillation, ..options(dialect) };
            let graph = gradient_graph(&linear(CLASSES), &options).unwrap();
            let mut session = session(&graph.model);
            let mut feeds = fed(&graph, distillation.is_some());
            let outputs = run(&mut session, &feeds);
            let loss = expected(&outputs[1], f64::from(label_smoothing), distillation);
            assert!((outputs[0][0] - loss).abs() < 1e-5, "{dialect:?}: {} {loss}", outputs[0][0]);

            let weights = feeds.len() - 1;
            let mut slopes = Vec::new();
            for element in 0..outputs[2].len() {
                let mut loss = |step: f32| {
                    floats(&mut feeds[weights].1)[element] += step;
                    let logits = run(&mut session, &feeds)[1].clone();
                    floats(&mut feeds[weights].1)[element] -= step;
                    expected(&logits, f64::from(label_smoothing), distillation)
                };
                slopes.push((loss(0.0625) - loss(-0.0625)) / 0.125);
            }
            let distance = distance(&outputs[2], &slopes);
            assert!(distance < 1e-3, "{dialect:?}, smoothing {label_smoothing}: {distance}");
            results.push(outputs);
        }
        assert!(distance(&results[0][2], &results[1][2]) < 1e-4);
    }
}

#[test]
fn a_teacher_beside_labels_is_the_same_as_beside_their_shares() {
    let distillation = Some(Distillation { weight: 0.5, temperature: 2.0 });
    let losses = [Targets::Labels, Targets::Shares].map(|targets| {
        let options = GraphOptions { targets, distillation, ..options(Dialect::Training) };
        let graph = gradient_graph(&linear(CLASSES), &options).unwrap();
        let mut feeds = feeds(&graph.model, &graph.parameters, CLASSES as i64);
        let labels: Vec<i64> = vec![2, 0, 3];
        feeds[1].1 = match targets {
            Targets::Labels => Tensor::new(&[BATCH], Data::I64(labels)),
            Targets::Shares => {
                let row = |label: i64| (0..CLASSES as i64).map(move |class| f32::from(class == label));
                let shares = labels.iter().flat_map(|&label| row(label)).collect();
                Tensor::f32(&[BATCH, CLASSES], shares)
            }
        };
        feeds.insert(2, (graph.model.graph.inputs[2].name.clone(), lessons()[1].clone()));
        run(&mut session(&graph.model), &feeds)
    });
    assert!((losses[0][0][0] - losses[1][0][0]).abs() < 1e-6);
    assert!(distance(&losses[0][2], &losses[1][2]) < 1e-5);
}

#[test]
fn options_of_teachers_and_means_have_their_range() {
    let distillation = |weight, temperature| GraphOptions {
        distillation: Some(Distillation { weight, temperature }),
        ..GraphOptions::default()
    };
    let average = GraphOptions { average: Some(1.0), ..GraphOptions::default() };
    for wrong in [distillation(1.1, 1.0), distillation(0.5, 0.0), distillation(0.5, f32::NAN), average] {
        let error = gradient_graph(&linear(CLASSES), &wrong).unwrap_err();
        assert!(matches!(error, AutodiffError::Option { .. }), "{error}");
    }
}

#[test]
fn mean_weights_follow_their_definition_and_are_what_is_evaluated() {
    let decay = 0.3;
    for dialect in [Dialect::Training, Dialect::Standard] {
        let options = GraphOptions { average: Some(decay), ..options(dialect) };
        let graph = gradient_graph(&linear(CLASSES), &options).unwrap();
        let names: Vec<&str> = graph.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["linear1.weight", "linear1.weight.ema", "goldcrest.step"]);
        let mut session = session(&graph.model);
        let mut state = feeds(&graph.model, &graph.parameters, CLASSES as i64);
        let mut mean: Vec<f64> = floats(&mut state[2].1).iter().map(|&weight| f64::from(weight)).collect();
        for step in 1..=4 {
            let outputs = run(&mut session, &state);
            let keep = f64::from(decay).min(f64::from(step) / (9.0 + f64::from(step)));
            for (mean, weight) in mean.iter_mut().zip(floats(&mut state[2].1)) {
                *mean = keep * *mean + (1.0 - keep) * f64::from(*weight);
            }
            assert!(distance(&outputs[3], &mean) < 1e-5, "{dialect:?}, step {step}");
            for (weight, gradient) in floats(&mut state[2].1).iter_mut().zip(&outputs[2]) {
                *weight -= 2.0 * *gradient as f32;
            }
            for (parameter, output) in state[3..].iter_mut().zip(&outputs[3..]) {
                *floats(&mut parameter.1) = output.iter().map(|&value| value as f32).collect();
            }
        }
        assert_eq!(floats(&mut state[4].1)[..], [4.0]);
        let evaluate = |state: &[(String, Tensor)]| {
            let inputs = graph.eval_model.graph.inputs.iter();
            let named =
                inputs.map(|input| state.iter().find(|(name, _)| *name == input.name).unwrap().clone());
            run(&mut super::session(&graph.eval_model), &named.collect::<Vec<_>>())
        };
        let of_mean = evaluate(&state);
        state[2].1 = state[3].1.clone();
        assert_eq!(evaluate(&state), of_mean);
    }
}
