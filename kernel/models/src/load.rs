//! Options for loading a model.

use tch::{Device, Kind};

use crate::checkpoint::Checkpoint;
use crate::device::{BestDevice, DeviceBudget, ParameterCounts, Placement, weight_budgets};
use crate::{Configuration, ModelError};

/// The devices and the precision of a model that is loaded.
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
    spread_evenly: bool,
}

/// The floating-point format in which weights are stored and layers compute. Norms, softmax and
/// probabilities are always computed in `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, of which 11 are significant. Numbers below about 6e-8 become zero.
    F16,
    /// 16 bits, of which 8 are significant, with the range of `f32`.
    Bf16,
}

impl LoadOptions {
    /// Loads the model to `device`. By default that is the first GPU with enough memory, all GPUs if
    /// none has enough alone, or the CPU if there is no GPU.
    #[must_use]
    pub fn device(self, device: Device) -> Self {
        self.devices([device])
    }

    /// Loads the model to the first of `devices` with enough memory. If none has enough, its layers
    /// are distributed over all of them.
    #[must_use]
    pub fn devices(mut self, devices: impl IntoIterator<Item = Device>) -> Self {
        self.devices = Some(devices.into_iter().collect());
        self
    }

    /// Puts the same number of layers on every device, whatever fits where.
    #[must_use]
    pub fn spread_evenly(mut self) -> Self {
        self.spread_evenly = true;
        self
    }

    /// Converts the weights to `precision`. By default they keep the precision of the file on GPUs,
    /// and become `f32` on the CPU.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Decides which layers of a model go to which device.
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
        let num_layers = configuration.num_hidden_layers;
        if self.spread_evenly {
            return Ok(Placement::even(&devices, num_layers, kind));
        }
        let tensors = checkpoint.parameter_counts();
        let tensors = tensors.iter().map(|(name, count)| (name.as_str(), *count));
        let is_tied = configuration.tie_word_embeddings;
        let counts = ParameterCounts::from_tensors(tensors, num_layers, is_tied);
        let budgets = weight_budgets(&devices);
        let insufficient_memory = || {
            let available: Vec<String> = budgets.iter().map(DeviceBudget::to_string).collect();
            ModelError::InsufficientMemory {
                name: name.to_owned(),
                needed: counts.bytes(kind),
                precision: Precision::from_kind(kind),
                available: available.join(", "),
            }
        };
        Placement::balanced(&counts, kind, &budgets).ok_or_else(insufficient_memory)
    }
}

impl Precision {
    /// The libtorch kind.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::F16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
        }
    }

    /// The precision of a libtorch kind; weights have no kinds but these three.
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
