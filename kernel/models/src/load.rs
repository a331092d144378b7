//! What may be chosen when a model is loaded.

use tch::{Device, Kind};

use crate::checkpoint::Checkpoint;
use crate::device::{BestDevice, Numbers, Placement, Room, rooms};
use crate::{Configuration, ModelError};

/// Where a model goes and in what precision.
///
/// ```no_run
/// use offmodel_models::{LoadOptions, Model, Precision};
/// use tch::Device;
///
/// let options = LoadOptions::default().device(Device::Cpu).precision(Precision::Bf16);
/// let model = Model::load_with("smollm2", &options)?;
/// # Ok::<(), offmodel_models::ModelError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadOptions {
    devices: Option<Vec<Device>>,
    precision: Option<Precision>,
    even: bool,
}

/// The kind of number in which weights are kept and layers compute. Norms, softmax and
/// probabilities are computed in `f32` in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, eleven of them significant: small numbers vanish.
    F16,
    /// 16 bits, eight of them significant, with the range of `f32`.
    Bf16,
}

impl LoadOptions {
    /// The one device to use. By default it is the first GPU with enough memory, or all GPUs where
    /// none has enough alone, or the CPU where there is no GPU.
    #[must_use]
    pub fn device(self, device: Device) -> Self {
        self.devices([device])
    }

    /// The devices to use: the model goes to the first that has room for it, or is spread by layers
    /// over all of them.
    #[must_use]
    pub fn devices(mut self, devices: impl IntoIterator<Item = Device>) -> Self {
        self.devices = Some(devices.into_iter().collect());
        self
    }

    /// The same number of layers on every device, whatever fits where.
    #[must_use]
    pub fn spread_evenly(mut self) -> Self {
        self.even = true;
        self
    }

    /// The precision of the weights. By default it is that of the file on GPUs and `f32` on the
    /// CPU.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Decides where the parts of a model go.
    pub(crate) fn placement(
        &self,
        name: &str,
        checkpoint: &dyn Checkpoint,
        configuration: &Configuration,
    ) -> Result<Placement, ModelError> {
        let devices = self.devices.clone().unwrap_or_else(Device::all);
        let Some(&first) = devices.first() else {
            return Err(ModelError::Option {
                option: "devices",
                found: "none".to_owned(),
                expected: "at least one device",
            });
        };
        let kind = match (self.precision, first) {
            (Some(precision), _) => precision.kind(),
            (None, Device::Cpu) => Kind::Float,
            (None, _) => checkpoint.kind(),
        };
        let layers = configuration.num_hidden_layers;
        let placement = match self.even {
            true => Placement::even(&devices, layers, kind),
            false => {
                let tensors = checkpoint.numbers();
                let tensors = tensors.iter().map(|(name, count)| (name.as_str(), *count));
                let tied = configuration.tie_word_embeddings;
                let numbers = Numbers::count(tensors, layers, tied);
                let rooms = rooms(&devices);
                Placement::spread(&numbers, kind, &rooms).ok_or_else(|| {
                    ModelError::InsufficientMemory {
                        name: name.to_owned(),
                        needed: numbers.bytes(kind),
                        precision: Precision::from_kind(kind),
                        rooms: rooms
                            .iter()
                            .map(Room::to_string)
                            .collect::<Vec<_>>()
                            .join(", "),
                    }
                })?
            }
        };
        Ok(placement)
    }
}

impl Precision {
    /// libtorch's name for it.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::F16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
        }
    }

    /// Weights have no other kinds.
    pub(crate) fn from_kind(kind: Kind) -> Self {
        match kind {
            Kind::Half => Self::F16,
            Kind::BFloat16 => Self::Bf16,
            _ => Self::F32,
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}
