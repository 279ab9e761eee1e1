//! Who writes and who reads each tensor, kept up to date while a pass rewrites the graph.

use alloc::{vec, vec::Vec};

use super::super::graph::{FloatGraph, TensorId};

/// The edges of a graph, by node index.
pub struct Links {
    producer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
    /// Nodes that the pass took away.
    pub removed: Vec<bool>,
}

impl Links {
    /// The edges of a graph.
    pub fn of(graph: &FloatGraph) -> Self {
        let mut links = Self {
            producer: vec![None; graph.tensors.len()],
            readers: vec![Vec::new(); graph.tensors.len()],
            removed: vec![false; graph.nodes.len()],
        };
        for (index, node) in graph.nodes.iter().enumerate() {
            links.producer[node.output.0] = Some(index);
            node.inputs.iter().for_each(|id| links.readers[id.0].push(index));
        }
        links
    }

    /// The node that writes a tensor; `None` for the input.
    pub fn producer(&self, tensor: TensorId) -> Option<usize> {
        self.producer[tensor.0]
    }

    /// The node that alone reads a tensor, once, when the tensor is not the graph's output.
    pub fn only_reader(&self, graph: &FloatGraph, tensor: TensorId) -> Option<usize> {
        match *self.readers[tensor.0] {
            [reader] if graph.output != tensor => Some(reader),
            _ => None,
        }
    }

    /// Takes a node of one input away: who read its output reads its input.
    pub fn remove(&mut self, graph: &mut FloatGraph, index: usize) {
        let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].output);
        self.removed[index] = true;
        self.producer[output.0] = None;
        self.readers[input.0].retain(|&reader| reader != index);
        for reader in core::mem::take(&mut self.readers[output.0]) {
            for id in graph.nodes[reader].inputs.iter_mut().filter(|id| **id == output) {
                *id = input;
            }
            self.readers[input.0].push(reader);
        }
        if graph.output == output {
            graph.output = input;
        }
    }

    /// Takes a node of one input away and lets the node before it write its output, so that the
    /// tensor keeps the later name.
    pub fn absorb(&mut self, graph: &mut FloatGraph, before: usize, index: usize) {
        let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].output);
        self.removed[index] = true;
        self.readers[input.0].clear();
        self.producer[input.0] = None;
        self.producer[output.0] = Some(before);
        graph.nodes[before].output = output;
    }

    /// Makes a node read one tensor only.
    pub fn read_only(&mut self, graph: &mut FloatGraph, index: usize, tensor: TensorId) {
        for input in core::mem::take(&mut graph.nodes[index].inputs) {
            self.readers[input.0].retain(|&reader| reader != index);
        }
        self.readers[tensor.0].push(index);
        graph.nodes[index].inputs.push(tensor);
    }
}
