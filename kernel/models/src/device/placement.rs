//! Which layers of a model go to which device.

use std::ops::Range;

use tch::{Device, Kind};

use super::Room;

/// Where the parts of a transformer go. Embedding, last norm and output layer are on the first
/// device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placement {
    /// Consecutive layers and their device, in the order of the computation; at least one.
    pub(crate) stages: Vec<(Device, Range<i64>)>,
    /// The kind of the weights.
    pub(crate) kind: Kind,
}

/// How many numbers the parts of a model have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Everything outside the layers.
    pub(crate) outside: u64,
    /// Each layer.
    pub(crate) layers: Vec<u64>,
}

impl Placement {
    /// All layers on one device.
    pub(crate) fn on(device: Device, layers: i64, kind: Kind) -> Self {
        Self {
            stages: vec![(device, 0..layers)],
            kind,
        }
    }

    /// Where the first layer is, with all that is outside the layers.
    pub(crate) fn first_device(&self) -> Device {
        self.stages.first().map_or(Device::Cpu, |stage| stage.0)
    }

    /// Layers over as few of the devices as have room for them, in order; `None` if all of them
    /// together have not. A device whose room is not known is taken to have enough.
    ///
    /// Where several are needed, all are used, and each is filled to about the same share of its
    /// room: what is left on each is for keys and values.
    pub(crate) fn spread(numbers: &Numbers, kind: Kind, rooms: &[Room]) -> Option<Self> {
        let size = kind.elt_size_in_bytes() as u64;
        let outside = numbers.outside * size;
        let layers: Vec<u64> = numbers.layers.iter().map(|count| count * size).collect();
        let total = outside + layers.iter().sum::<u64>();
        let fits_alone = |room: &&Room| room.bytes.is_none_or(|bytes| bytes >= total);
        if let Some(room) = rooms.iter().find(fits_alone) {
            return Some(Self::on(room.device, layers.len() as i64, kind));
        }
        let bytes: Vec<u64> = rooms.iter().filter_map(|room| room.bytes).collect();
        let filled = |share: f64| {
            let budgets: Vec<u64> = bytes.iter().map(|&b| (b as f64 * share) as u64).collect();
            fill(outside, &layers, &budgets)
        };
        // The smallest share at which everything fits, to a thousandth.
        let mut best = filled(1.0)?;
        let (mut too_small, mut enough) = (0.0, 1.0);
        while enough - too_small > 1e-3 {
            let middle = f64::midpoint(too_small, enough);
            match filled(middle) {
                Some(ranges) => (best, enough) = (ranges, middle),
                None => too_small = middle,
            }
        }
        let stages = rooms.iter().map(|room| room.device).zip(best);
        Some(Self {
            // Embedding and output layer may fill the first device: it stays the first.
            stages: stages
                .enumerate()
                .filter(|(index, (_, range))| *index == 0 || !range.is_empty())
                .map(|(_, stage)| stage)
                .collect(),
            kind,
        })
    }

    /// Cuts the layers into stages as [`Placement::spread`] does, as many as there are devices,
    /// without asking what fits: an equal number of layers each.
    pub(crate) fn even(devices: &[Device], layers: i64, kind: Kind) -> Self {
        let count = devices.len() as i64;
        let border = |index: i64| layers * index / count;
        let stages = (0..).zip(devices);
        Self {
            stages: stages
                .map(|(index, &device)| (device, border(index)..border(index + 1)))
                .collect(),
            kind,
        }
    }
}

/// Consecutive layers for each budget, the first reduced by what is outside the layers; `None` if
/// they do not all fit.
fn fill(outside: u64, layers: &[u64], budgets: &[u64]) -> Option<Vec<Range<i64>>> {
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

impl Numbers {
    /// Out of the Hugging Face names of a checkpoint's tensors and how many numbers each has.
    /// What belongs to no part of the transformer, such as a model of images, is left out.
    pub(crate) fn count<'a>(
        tensors: impl IntoIterator<Item = (&'a str, u64)>,
        layers: i64,
        tied: bool,
    ) -> Self {
        let mut numbers = Self {
            outside: 0,
            layers: vec![0; usize::try_from(layers).unwrap_or(0)],
        };
        for (name, count) in tensors {
            let layer = name.strip_prefix("model.layers.").and_then(|rest| {
                let (index, _) = rest.split_once('.')?;
                numbers.layers.get_mut(index.parse::<usize>().ok()?)
            });
            let outside = ["model.embed_tokens", "model.norm.", "model.per_layer_"];
            let head = name.starts_with("lm_head.") && !tied;
            match layer {
                Some(layer) => *layer += count,
                None if head || outside.iter().any(|start| name.starts_with(start)) => {
                    numbers.outside += count;
                }
                None => {}
            }
        }
        numbers
    }

    /// Bytes of the whole model in this kind.
    pub(crate) fn bytes(&self, kind: Kind) -> u64 {
        let count = self.outside + self.layers.iter().sum::<u64>();
        count * kind.elt_size_in_bytes() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(index: usize, bytes: u64) -> Room {
        Room {
            device: Device::Cuda(index),
            bytes: Some(bytes),
        }
    }

    #[test]
    fn what_fits_on_one_device_is_not_spread() {
        let numbers = Numbers {
            outside: 100,
            layers: vec![50; 4],
        };
        let small_then_large = [room(0, 599), room(1, 600)];
        let placement = Placement::spread(&numbers, Kind::BFloat16, &small_then_large).unwrap();
        assert_eq!(placement.stages, [(Device::Cuda(1), 0..4)]);
        assert!(Placement::spread(&numbers, Kind::BFloat16, &[room(0, 599)]).is_none());
        let unknown = Room {
            device: Device::Cpu,
            bytes: None,
        };
        assert!(Placement::spread(&numbers, Kind::Float, &[unknown]).is_some());
    }

    #[test]
    fn devices_are_filled_to_about_the_same_share() {
        // Llama 3.3 70B in bf16 over two cards of 80 GB.
        let numbers = Numbers {
            outside: 2 * 128_256 * 8192,
            layers: vec![855_654_400; 80],
        };
        let rooms = [room(0, 72 << 30), room(1, 72 << 30)];
        let placement = Placement::spread(&numbers, Kind::BFloat16, &rooms).unwrap();
        assert_eq!(
            placement.stages,
            [(Device::Cuda(0), 0..39), (Device::Cuda(1), 39..80)]
        );
    }

    #[test]
    fn numbers_are_counted_by_layer_and_strangers_left_out() {
        let tensors = [
            ("model.embed_tokens.weight", 10),
            ("model.layers.0.mlp.up_proj.weight", 3),
            ("model.layers.1.self_attn.q_proj.weight", 4),
            ("model.layers.1.input_layernorm.weight", 1),
            // A layer for multi-token prediction, and a model of images.
            ("model.layers.2.mlp.up_proj.weight", 1000),
            ("model.vision_tower.layers.0.weight", 1000),
            ("model.norm.weight", 2),
            ("lm_head.weight", 10),
        ];
        let numbers = Numbers::count(tensors, 2, false);
        assert_eq!(
            (numbers.outside, numbers.layers.as_slice()),
            (22, [3, 5].as_slice())
        );
        assert_eq!(Numbers::count(tensors, 2, true).outside, 12);
        assert_eq!(numbers.bytes(Kind::Half), 60);
    }

    proptest! {
        #[test]
        fn every_layer_is_placed_once_in_order_and_no_room_is_exceeded(
            outside in 0_u64..200,
            layers in prop::collection::vec(1_u64..100, 1..40),
            bytes in prop::collection::vec(1_u64..2000, 1..6),
        ) {
            let numbers = Numbers { outside, layers: layers.clone() };
            let rooms: Vec<Room> = bytes.iter().enumerate().map(|(i, &b)| room(i, b)).collect();
            let placement = Placement::spread(&numbers, Kind::Int8, &rooms);
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
                let has = rooms.iter().find(|room| room.device == *device).unwrap();
                prop_assert!(own <= has.bytes.unwrap());
            }
            prop_assert_eq!(next, layers.len() as i64);
        }
    }
}
