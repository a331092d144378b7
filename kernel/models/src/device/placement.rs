//! Distributes the layers of a model over devices, as pipeline stages.

use std::ops::Range;

use tch::{Device, Kind};

use super::DeviceBudget;

/// The devices of a transformer's layers. Embedding, last norm and output layer go to the first
/// device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placement {
    /// The pipeline stages, at least one: consecutive layers and their device, in the order of the
    /// computation.
    pub(crate) stages: Vec<(Device, Range<i64>)>,
    /// The kind of the weights.
    pub(crate) kind: Kind,
}

/// How many parameters the parts of a model have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParameterCounts {
    /// Parameters outside the layers.
    pub(crate) outside_layers: u64,
    /// Parameters of each layer.
    pub(crate) layers: Vec<u64>,
}

impl Placement {
    /// Puts all layers on one device.
    pub(crate) fn single(device: Device, layers: i64, kind: Kind) -> Self {
        Self {
            stages: vec![(device, 0..layers)],
            kind,
        }
    }

    /// The device of the first layer and of everything outside the layers.
    pub(crate) fn first_device(&self) -> Device {
        self.stages.first().map_or(Device::Cpu, |stage| stage.0)
    }

    /// Puts all layers on the first device that has room for them, or distributes them over all
    /// devices. Returns none if all devices together have too little room. A device whose budget is
    /// not known is taken to have enough.
    ///
    /// Distributed layers fill about the same share of each budget, because the keys and values of
    /// a layer go to the layer's device too.
    pub(crate) fn balanced(
        counts: &ParameterCounts,
        kind: Kind,
        budgets: &[DeviceBudget],
    ) -> Option<Self> {
        let element_bytes = kind.elt_size_in_bytes() as u64;
        let outside = counts.outside_layers * element_bytes;
        let layers: Vec<u64> = counts
            .layers
            .iter()
            .map(|count| count * element_bytes)
            .collect();
        let total = outside + layers.iter().sum::<u64>();
        let fits_alone = |budget: &&DeviceBudget| budget.bytes.is_none_or(|bytes| bytes >= total);
        if let Some(budget) = budgets.iter().find(fits_alone) {
            return Some(Self::single(budget.device, layers.len() as i64, kind));
        }
        let bytes: Vec<u64> = budgets.iter().filter_map(|budget| budget.bytes).collect();
        let filled_to = |share: f64| {
            let shares: Vec<u64> = bytes.iter().map(|&b| (b as f64 * share) as u64).collect();
            fill_in_order(outside, &layers, &shares)
        };
        // Bisects for the smallest share at which everything fits, to a thousandth.
        let mut best = filled_to(1.0)?;
        let (mut too_small, mut enough) = (0.0, 1.0);
        while enough - too_small > 1e-3 {
            let middle = f64::midpoint(too_small, enough);
            match filled_to(middle) {
                Some(ranges) => (best, enough) = (ranges, middle),
                None => too_small = middle,
            }
        }
        let stages = budgets.iter().map(|budget| budget.device).zip(best);
        Some(Self {
            // The first device stays even without layers: it has the embedding and the output layer.
            stages: stages
                .enumerate()
                .filter(|(index, (_, range))| *index == 0 || !range.is_empty())
                .map(|(_, stage)| stage)
                .collect(),
            kind,
        })
    }

    /// Puts the same number of layers on every device, whatever fits where.
    pub(crate) fn even(devices: &[Device], layers: i64, kind: Kind) -> Self {
        let count = devices.len() as i64;
        let boundary = |index: i64| layers * index / count;
        let stages = (0..).zip(devices);
        Self {
            stages: stages
                .map(|(index, &device)| (device, boundary(index)..boundary(index + 1)))
                .collect(),
            kind,
        }
    }
}

/// Fills the budgets, in order, with consecutive layers. `outside` bytes of the first budget go to what
/// is outside the layers. Returns none if the layers do not all fit.
fn fill_in_order(outside: u64, layers: &[u64], budgets: &[u64]) -> Option<Vec<Range<i64>>> {
    let mut ranges = Vec::with_capacity(budgets.len());
    let mut next = 0;
    for (index, &budget) in budgets.iter().enumerate() {
        let mut left = match index {
            0 => budget.checked_sub(outside)?,
            _ => budget,
        };
        let first = next;
        while next < layers.len()
            && let Some(rest) = left.checked_sub(layers[next])
        {
            left = rest;
            next += 1;
        }
        ranges.push(first as i64..next as i64);
    }
    (next == layers.len()).then_some(ranges)
}

impl ParameterCounts {
    /// Sums up the elements of a checkpoint's tensors, which are given by their Hugging Face names.
    ///
    /// Leaves out tensors that are not loaded, such as those of an image encoder.
    pub(crate) fn from_tensors<'a>(
        tensors: impl IntoIterator<Item = (&'a str, u64)>,
        layers: i64,
        is_tied: bool,
    ) -> Self {
        let mut counts = Self {
            outside_layers: 0,
            layers: vec![0; usize::try_from(layers).unwrap_or(0)],
        };
        for (name, count) in tensors {
            let layer = name.strip_prefix("model.layers.").and_then(|rest| {
                let (index, _) = rest.split_once('.')?;
                counts.layers.get_mut(index.parse::<usize>().ok()?)
            });
            let outside_prefixes = ["model.embed_tokens", "model.norm.", "model.per_layer_"];
            let is_head = name.starts_with("lm_head.") && !is_tied;
            match layer {
                Some(layer) => *layer += count,
                None if is_head
                    || outside_prefixes
                        .iter()
                        .any(|prefix| name.starts_with(prefix)) =>
                {
                    counts.outside_layers += count;
                }
                None => {}
            }
        }
        counts
    }

    /// Bytes of the whole model in this kind.
    pub(crate) fn bytes(&self, kind: Kind) -> u64 {
        let count = self.outside_layers + self.layers.iter().sum::<u64>();
        count * kind.elt_size_in_bytes() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(index: usize, bytes: u64) -> DeviceBudget {
        DeviceBudget {
            device: Device::Cuda(index),
            bytes: Some(bytes),
        }
    }

    #[test]
    fn a_model_that_fits_on_one_device_is_not_distributed() {
        let counts = ParameterCounts {
            outside_layers: 100,
            layers: vec![50; 4],
        };
        let small_then_large = [budget(0, 599), budget(1, 600)];
        let placement = Placement::balanced(&counts, Kind::BFloat16, &small_then_large).unwrap();
        assert_eq!(placement.stages, [(Device::Cuda(1), 0..4)]);
        assert!(Placement::balanced(&counts, Kind::BFloat16, &[budget(0, 599)]).is_none());
        let unknown = DeviceBudget {
            device: Device::Cpu,
            bytes: None,
        };
        assert!(Placement::balanced(&counts, Kind::Float, &[unknown]).is_some());
    }

    #[test]
    fn devices_are_filled_to_about_the_same_share() {
        // Llama 3.3 70B in bf16 over two cards of 80 GB.
        let counts = ParameterCounts {
            outside_layers: 2 * 128_256 * 8192,
            layers: vec![855_654_400; 80],
        };
        let budgets = [budget(0, 72 << 30), budget(1, 72 << 30)];
        let placement = Placement::balanced(&counts, Kind::BFloat16, &budgets).unwrap();
        assert_eq!(
            placement.stages,
            [(Device::Cuda(0), 0..39), (Device::Cuda(1), 39..80)]
        );
    }

    #[test]
    fn parameters_are_counted_by_layer_and_unused_tensors_left_out() {
        let tensors = [
            ("model.embed_tokens.weight", 10),
            ("model.layers.0.mlp.up_proj.weight", 3),
            ("model.layers.1.self_attn.q_proj.weight", 4),
            ("model.layers.1.input_layernorm.weight", 1),
            // A layer for multi-token prediction, and an image encoder.
            ("model.layers.2.mlp.up_proj.weight", 1000),
            ("model.vision_tower.layers.0.weight", 1000),
            ("model.norm.weight", 2),
            ("lm_head.weight", 10),
        ];
        let counts = ParameterCounts::from_tensors(tensors, 2, false);
        assert_eq!(
            (counts.outside_layers, counts.layers.as_slice()),
            (22, [3, 5].as_slice())
        );
        assert_eq!(
            ParameterCounts::from_tensors(tensors, 2, true).outside_layers,
            12
        );
        assert_eq!(counts.bytes(Kind::Half), 60);
    }

    proptest! {
        #[test]
        fn every_layer_is_placed_once_in_order_and_no_budget_is_exceeded(
            outside in 0_u64..200,
            layers in prop::collection::vec(1_u64..100, 1..40),
            bytes in prop::collection::vec(1_u64..2000, 1..6),
        ) {
            let counts = ParameterCounts { outside_layers: outside, layers: layers.clone() };
            let budgets: Vec<DeviceBudget> = bytes.iter().enumerate().map(|(i, &b)| budget(i, b)).collect();
            let placement = Placement::balanced(&counts, Kind::Int8, &budgets);
            let Some(placement) = placement else {
                // Greedy filling wastes less than one layer on each device.
                let largest = layers.iter().max().unwrap();
                let slack = largest * bytes.len() as u64;
                let total = outside + layers.iter().sum::<u64>();
                prop_assert!(
                    bytes.iter().sum::<u64>() < total + slack || bytes[0] < outside
                );
                return Ok(());
            };
            let mut next = 0;
            for (index, (device, range)) in placement.stages.iter().enumerate() {
                prop_assert_eq!(range.start, next);
                next = range.end;
                let own: u64 = layers[range.start as usize..range.end as usize].iter().sum();
                let own = own + if index == 0 { outside } else { 0 };
                let available = budgets.iter().find(|budget| budget.device == *device).unwrap();
                prop_assert!(own <= available.bytes.unwrap());
            }
            prop_assert_eq!(next, layers.len() as i64);
        }
    }
}
