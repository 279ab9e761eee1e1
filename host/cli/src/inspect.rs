//! `goldcrest inspect`: what a model is, before anything is done with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_board::BOARDS;
use goldcrest_board::fit::{Fit, Size};
use goldcrest_engine::kernels::Family;
use goldcrest_onnx::import::{
    Element, ImportError, UnsupportedNode, classes, float_model, image_input, is_quantized, pixels,
};
use goldcrest_onnx::{Data, Model, info, int8};
use goldcrest_quantize::graph::{ModelInfo, QuantizedModel};
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::statistics::Statistics;
use goldcrest_quantize::{FloatGraph, Options, quantize};
use serde_json::{Value, json};

use super::Output;
use super::table::Table;

/// Show what a model is: input, operators, size, what is unsupported, and which boards it would fit
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest inspect resnet.onnx
  goldcrest inspect model.int8.onnx --json

Nothing is written. The sizes of a float model are those of an int8 model made of it, but for a few
percent that depend on its data. Exit code 1 if the model cannot be imported.")]
pub struct Args {
    /// ONNX model, float or int8
    pub model: PathBuf,
}

/// Exit code 0 when the model can be quantized, or is an int8 model; 1 when not.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let place = || args.model.display().to_string();
    let model = Model::read(&args.model)?;
    let report = match model.metadata.contains_key(int8::QUANTIZATION) {
        true => Report::of_int8(&model, &int8::read(&model).with_context(place)?),
        false => Report::of_float(&model).with_context(place)?,
    };
    let mut result = report.json();
    result["model"] = json!(args.model);
    output.print(&result, || report.text());
    Ok(ExitCode::from(u8::from(report.problem.is_some())))
}

/// What is said of a model.
struct Report {
    kind: &'static str,
    opset: i64,
    /// Name and value, in their order.
    facts: Vec<(&'static str, String, Value)>,
    /// How many nodes there are of each operator.
    operators: BTreeMap<String, usize>,
    unsupported: Vec<UnsupportedNode>,
    /// Why it cannot be imported.
    problem: Option<String>,
    boards: Vec<(&'static str, Size, Fit)>,
}

impl Report {
    fn new(kind: &'static str, model: &Model) -> Self {
        let mut operators = BTreeMap::new();
        for node in &model.graph.nodes {
            let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
            *operators.entry(format!("{domain}{}", node.op)).or_default() += 1;
        }
        let (unsupported, boards, facts) = (Vec::new(), Vec::new(), Vec::new());
        Self { kind, opset: model.opset, facts, operators, unsupported, problem: None, boards }
    }

    fn fact(&mut self, name: &'static str, text: impl Into<String>, value: Value) {
        self.facts.push((name, text.into(), value));
    }

    fn of_int8(model: &Model, int8: &QuantizedModel) -> Self {
        let mut report = Self::new("int8, by Goldcrest", model);
        let input = int8.graph.tensor(int8.graph.input).shape;
        report.fact("input", format!("{input}, int8"), json!([input.height, input.width, input.channels]));
        let bytes: usize =
            int8.graph.nodes.iter().filter_map(|node| node.op.conv()).map(|conv| conv.weights.len()).sum();
        report.fact("parameters", bytes.to_string(), json!(bytes));
        report.said_of_pictures(&int8.info, "the file says so");
        report.boards = boards(int8);
        report
    }

    fn of_float(model: &Model) -> Result<Self, ImportError> {
        let kind = if is_quantized(model) { "quantized by another tool" } else { "float" };
        let mut report = Self::new(kind, model);
        let imported = image_input(model).and_then(|input| {
            let layout = if input.channels_last { "channels last" } else { "channels first" };
            let element = match input.element {
                Element::Float => "float",
                Element::Uint8 => "uint8",
                Element::Int8 => "int8",
            };
            let batch = input.batch.map_or("any batch".into(), |batch| format!("batch {batch}"));
            report.fact(
                "input",
                format!("`{}`, {}, {layout}, {element}, {batch}", input.name, input.shape),
                json!({
                    "name": input.name, "height": input.shape.height, "width": input.shape.width,
                    "channels": input.shape.channels, "channels_last": input.channels_last, "element":
                    element,
                    "batch": input.batch,
                }),
            );
            let output = model.graph.outputs.first().map_or("", |output| &output.name);
            let count = classes(model);
            let shown = count.map_or("an unknown number of".into(), |count| count.to_string());
            let value = json!({ "name": output, "classes": count });
            report.fact("output", format!("`{output}`, {shown} classes"), value);
            let parameters: usize = model
                .graph
                .initializers
                .values()
                .filter(|tensor| matches!(tensor.data, Data::F32(_) | Data::I8(_) | Data::U8(_)))
                .map(|tensor| tensor.data.len())
                .sum();
            report.fact("parameters", parameters.to_string(), json!(parameters));
            float_model(model)
        });
        match imported {
            Ok((graph, info)) => report.complete(model, &graph, &info)?,
            Err(ImportError::Unsupported(nodes)) => {
                report.problem = Some(format!("{} of its nodes cannot be imported", nodes.len()));
                report.unsupported = nodes;
            }
            Err(error) => report.problem = Some(error.to_string()),
        }
        Ok(report)
    }

    /// What only a graph that was imported tells.
    fn complete(&mut self, model: &Model, graph: &FloatGraph, info: &ModelInfo) -> Result<(), ImportError> {
        let macs: usize = graph
            .nodes
            .iter()
            .filter(|node| node.op.conv().is_some())
            .map(|node| {
                let output = graph.tensor(node.output).shape;
                output.len() * node.op.rules().reads(output)
            })
            .sum();
        self.fact("multiply-accumulates", macs.to_string(), json!(macs));
        let source = match pixels(model)? {
            _ if model.metadata.contains_key(info::NORMALIZATION) => "the file says so".to_owned(),
            Some(told) => told.reason,
            None => "assumed: nothing says it; state it with `goldcrest import`".to_owned(),
        };
        self.said_of_pictures(info, &source);
        match synthetic(graph, info) {
            Some(int8) => self.boards = boards(&int8),
            None => {
                self.fact("boards", "unknown: its layers do not go together on one set of grids", Value::Null)
            }
        }
        Ok(())
    }

    fn said_of_pictures(&mut self, info: &ModelInfo, source: &str) {
        let (mean, std) = (&info.normalization.mean, &info.normalization.std);
        let value = json!({ "mean": mean, "std": std, "because": source });
        self.fact("normalization", format!("mean {mean:?}, std {std:?} ({source})"), value);
        self.fact("labels", info.labels.join(", "), json!(info.labels));
    }

    fn json(&self) -> Value {
        let facts: serde_json::Map<String, Value> =
            self.facts.iter().map(|(name, _, value)| (name.replace('-', "_"), value.clone())).collect();
        let unsupported = self.unsupported.iter().map(|node| {
            json!({ "node": node.name, "operator": node.op, "inputs": node.shapes, "problem": node.problem })
        });
        let boards = self.boards.iter().map(|(name, size, fit)| {
            json!({
                "name": name, "fits": *fit == Fit::Fits, "image_bytes": size.image_bytes,
                "arena_bytes": size.arena_bytes,
            })
        });
        let mut result = json!({
            "kind": self.kind, "opset": self.opset, "operators": self.operators, "problem": self.problem,
            "unsupported": unsupported.collect::<Vec<_>>(), "boards": boards.collect::<Vec<_>>(),
        });
        if let Some(result) = result.as_object_mut() {
            result.extend(facts);
        }
        result
    }

    fn text(&self) -> String {
        let mut table = Table::new(&["what", "found"]);
        table.row(["kind".into(), format!("{}, opset {}", self.kind, self.opset)]);
        for (name, text, _) in &self.facts {
            table.row([(*name).to_owned(), text.clone()]);
        }
        let operators: Vec<String> =
            self.operators.iter().map(|(op, count)| format!("{count} {op}")).collect();
        table.row(["operators".into(), operators.join(", ")]);
        let mut text = table.to_string();
        if let Some(problem) = &self.problem {
            text += &format!("\nnot supported: {problem}\n");
        }
        for UnsupportedNode { name, op, shapes, problem } in &self.unsupported {
            text += &format!("  `{name}` ({op}, input {shapes}): {problem}\n");
        }
        if !self.boards.is_empty() {
            let mut table = Table::new(&["board", "flash", "RAM", ""]);
            for (name, size, fit) in &self.boards {
                let bytes = |bytes: u64| format!("{bytes} B");
                table.row([
                    (*name).to_owned(),
                    bytes(size.image_bytes),
                    bytes(size.arena_bytes),
                    fit.to_string(),
                ]);
            }
            text += &format!("\n{table}");
        }
        text
    }
}

/// An int8 model of a graph whose activations all reach equally far: what it takes of a board hardly
/// depends on them.
fn synthetic(graph: &FloatGraph, info: &ModelInfo) -> Option<QuantizedModel> {
    let mut statistics = Statistics::new(graph);
    for (tensor, seen) in graph.tensors.iter().zip(&mut statistics.tensors) {
        (0..tensor.shape.channels).for_each(|channel| seen.observe(channel, &[-1.0, 1.0]));
    }
    quantize(graph, info, &statistics, &Options::default()).ok().map(|(model, _)| model)
}

/// What a model takes of each board. An image is packed for a family of kernels.
fn boards(model: &QuantizedModel) -> Vec<(&'static str, Size, Fit)> {
    let mut sizes: Vec<(Family, Size)> = Vec::new();
    let mut size = |family: Family| {
        if let Some((_, size)) = sizes.iter().find(|(known, _)| *known == family) {
            return Some(*size);
        }
        let packed = pack(model, &PackOptions { family, ..PackOptions::default() }).ok()?;
        let (image_bytes, arena_bytes) = (packed.image.bytes().len() as u64, packed.arena_bytes as u64);
        let size = Size { image_bytes, arena_bytes };
        sizes.push((family, size));
        Some(size)
    };
    BOARDS
        .iter()
        .filter_map(|board| size(board.family).map(|size| (board.name, size, size.fit(board))))
        .collect()
}
