//! Reading and writing adapters in PEFT's folder format: `adapter_config.json` and
//! `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor};

use super::lora::LoraWeights;
use super::peft_config::{PeftConfig, to_json};
use super::targets::{ModuleMatcher, Targets, pattern_name};
use super::{Adapter, LoraConfig, stacked_experts};
use crate::ModelError;
use crate::atomic_folder::{write_file, write_folder};
use crate::checkpoint::read_json;
use crate::transformer::{LinearModule, SharedTensor, Transformer};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// The weights file of older versions of PEFT. It is a pickle, which can run code when it is read.
const PICKLE_FILE: &str = "adapter_model.bin";
/// PEFT's model card.
const CARD_FILE: &str = "README.md";
/// PEFT puts this before the name of each module.
const PEFT_PREFIX: &str = "base_model.model.";

impl Adapter {
    /// Writes the adapter in PEFT's format, which `PeftModel.from_pretrained(base, folder)` reads.
    ///
    /// Readers see the whole folder or none. An adapter in the folder is replaced.
    ///
    /// # Errors
    /// When the folder cannot be written, or holds other files.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), ModelError> {
        let folder = folder.as_ref();
        self.check_config_describes_weights()?;
        let config = to_json(self.config(), self.base());
        let config = format!("{config:#}\n");
        let weights = self.to_safetensors(folder)?;
        let is_ours = |name: &str| [CONFIG_FILE, WEIGHTS_FILE, CARD_FILE].contains(&name);
        write_folder(folder, is_ours, |folder| {
            write_file(&folder.join(CONFIG_FILE), config.as_bytes())?;
            write_file(&folder.join(WEIGHTS_FILE), &weights)
        })
    }

    /// Reads an adapter of `transformer` that PEFT or [`Adapter::save`] wrote.
    pub(crate) fn load(folder: &Path, transformer: &Transformer) -> Result<Self, ModelError> {
        let weights_path = folder.join(WEIGHTS_FILE);
        if !weights_path.is_file() && folder.join(PICKLE_FILE).is_file() {
            return Err(ModelError::Unsupported {
                path: folder.to_owned(),
                field: "the file of the weights".to_owned(),
                found: PICKLE_FILE.to_owned(),
                supported: "adapter_model.safetensors (a .bin file may run code: convert it with PEFT)",
            });
        }
        let config_path = folder.join(CONFIG_FILE);
        let config = PeftConfig::from_json(&config_path, &read_json(&config_path)?)?;
        let loader = AdapterLoader {
            path: weights_path,
            matcher: ModuleMatcher::new(&config.lora)?,
            config: &config,
            modules: transformer
                .linear_modules()
                .map(|module| (module.name.as_str(), module))
                .collect(),
        };
        let weights = loader.weights(transformer)?;
        let lora = loader.equivalent_config(&weights)?;
        drop(loader);
        let adapter = Self::new(lora, config.base, weights);
        adapter.check_fits(transformer.linear_modules())?;
        Ok(adapter)
    }

    /// Fails if a reader of the configuration would not find an update of each module with its rank
    /// and scaling. [`Adapter::from_tensors`] accepts modules that its configuration does not select.
    fn check_config_describes_weights(&self) -> Result<(), ModelError> {
        let matcher = ModuleMatcher::new(self.config())?;
        for (module, weights) in self.weights.iter() {
            let rank = weights.rank();
            let is_described = matcher.selects(module)?
                && matcher.rank(module)? == rank
                && is_close(matcher.scaling(module, rank)?, weights.scaling);
            if !is_described {
                let detail = format!("the configuration does not describe its update of {module}");
                return Err(ModelError::Adapter { detail });
            }
        }
        Ok(())
    }

    /// The content of the weights file.
    fn to_safetensors(&self, folder: &Path) -> Result<Vec<u8>, ModelError> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (module, a, b) in self.modules() {
            for (letter, matrix) in [("A", a), ("B", b)] {
                let shape = matrix.size().iter().map(|&size| size as usize).collect();
                let matrix = matrix.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
                let numbers = Vec::<f32>::try_from(matrix.f_contiguous()?.f_view(-1)?)?;
                let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
                let name = format!("{PEFT_PREFIX}{module}.lora_{letter}.weight");
                tensors.push((name, shape, bytes.collect()));
            }
        }
        let failed = |error: safetensors::SafeTensorError| ModelError::Safetensors {
            path: folder.join(WEIGHTS_FILE),
            detail: error.to_string(),
        };
        let mut views = Vec::with_capacity(tensors.len());
        for (name, shape, bytes) in &tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(failed)?;
            views.push((name, view));
        }
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        safetensors::serialize(views, Some(metadata)).map_err(failed)
    }
}

/// Turns the tensors of a weights file into the updates of an [`Adapter`].
struct AdapterLoader<'a> {
    /// The weights file.
    path: PathBuf,
    config: &'a PeftConfig,
    matcher: ModuleMatcher<'a>,
    /// The linear modules of the model by name.
    modules: BTreeMap<&'a str, &'a LinearModule>,
}

/// The matrices of one module, as far as they have been read.
#[derive(Default)]
struct MatrixPair {
    a: Option<Tensor>,
    b: Option<Tensor>,
}

/// What a tensor of the weights file is, with the name of its module.
enum TensorRole<'a> {
    LoraA(&'a str),
    LoraB(&'a str),
    /// A copy of one of the model's own weights. PEFT adds them when the output layer is adapted.
    BaseWeight(&'a str),
}

impl<'a> TensorRole<'a> {
    fn from_name(tensor: &'a str) -> Option<Self> {
        let name = tensor.strip_prefix(PEFT_PREFIX)?;
        if let Some(module) = name.strip_suffix(".lora_A.weight") {
            return Some(Self::LoraA(module));
        }
        if let Some(module) = name.strip_suffix(".lora_B.weight") {
            return Some(Self::LoraB(module));
        }
        let module = name.strip_suffix(".weight")?;
        let module = module.strip_suffix(".base_layer").unwrap_or(module);
        (!module.contains(".lora_")).then_some(Self::BaseWeight(module))
    }
}

impl AdapterLoader<'_> {
    /// The update of every module, with the matrices of stacked experts split.
    fn weights(
        &self,
        transformer: &Transformer,
    ) -> Result<BTreeMap<String, LoraWeights>, ModelError> {
        let mut all = BTreeMap::new();
        for (module, (a, b)) in self.matrices(transformer)? {
            match stacked_experts::find(&module, &self.config.target_parameters) {
                None => {
                    let rank = self.matcher.rank(&module)?;
                    self.check_shapes(&module, &a, &b, rank)?;
                    let scaling = self.matcher.scaling(&module, rank)?;
                    let weights = self.on_device(&module, &a, &b, scaling)?;
                    all.insert(module, weights);
                }
                Some(stacked) => {
                    let rank = self.matcher.rank(&stacked.name)?;
                    let experts = stacked.expert_count(self.modules.keys().copied());
                    self.check_shapes(&module, &a, &b, rank * experts)?;
                    let scaling = self.matcher.scaling(&stacked.name, rank)?;
                    for (module, a, b) in stacked.split(&a, &b, experts)? {
                        let weights = self.on_device(&module, &a, &b, scaling)?;
                        all.insert(module, weights);
                    }
                }
            }
        }
        self.check_complete(&all)?;
        Ok(all)
    }

    /// A and B of every module in the file, on the CPU.
    fn matrices(
        &self,
        transformer: &Transformer,
    ) -> Result<BTreeMap<String, (Tensor, Tensor)>, ModelError> {
        let bytes = std::fs::read(&self.path).map_err(|source| ModelError::Read {
            path: self.path.clone(),
            source,
        })?;
        let damaged = |error: safetensors::SafeTensorError| ModelError::Safetensors {
            path: self.path.clone(),
            detail: error.to_string(),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let mut pairs: BTreeMap<String, MatrixPair> = BTreeMap::new();
        for (name, view) in file.iter() {
            let tensor = self.tensor(name, &view)?;
            match TensorRole::from_name(name) {
                Some(TensorRole::LoraA(module)) => {
                    pairs.entry(module.to_owned()).or_default().a = Some(tensor);
                }
                Some(TensorRole::LoraB(module)) => {
                    pairs.entry(module.to_owned()).or_default().b = Some(tensor);
                }
                Some(TensorRole::BaseWeight(module)) => {
                    let own = transformer.embedding_or_head(module);
                    self.check_base_weight(name, &tensor, own)?;
                }
                None => {
                    return Err(self.unsupported(format!("tensor {name}"), "present"));
                }
            }
        }
        let missing = |module: &str, letter: char| ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: format!("{PEFT_PREFIX}{module}.lora_{letter}.weight"),
        };
        let mut complete = BTreeMap::new();
        for (module, MatrixPair { a, b }) in pairs {
            let a = a.ok_or_else(|| missing(&module, 'A'))?;
            let b = b.ok_or_else(|| missing(&module, 'B'))?;
            complete.insert(module, (a, b));
        }
        Ok(complete)
    }

    /// The tensor in `f32`, in which PEFT computes adapters no matter how they are stored.
    fn tensor(&self, name: &str, view: &TensorView) -> Result<Tensor, ModelError> {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => {
                let field = format!("the type of tensor {name}");
                return Err(self.unsupported(field, &format!("{other:?}")));
            }
        };
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        Ok(tensor.f_to_kind(Kind::Float)?)
    }

    /// The matrices on the device of the module that they update.
    fn on_device(
        &self,
        module: &str,
        a: &Tensor,
        b: &Tensor,
        scaling: f64,
    ) -> Result<LoraWeights, ModelError> {
        let module = self.modules.get(module);
        let device = module.map_or(Device::Cpu, |module| module.device);
        Ok(LoraWeights {
            a: SharedTensor::new(a.f_to_device(device)?),
            b: SharedTensor::new(b.f_to_device(device)?),
            scaling,
        })
    }

    /// Fails unless A has `rank` rows and B has `rank` columns.
    fn check_shapes(
        &self,
        module: &str,
        a: &Tensor,
        b: &Tensor,
        rank: i64,
    ) -> Result<(), ModelError> {
        for (letter, matrix, rank_dimension) in [("A", a, 0), ("B", b, 1)] {
            let found = matrix.size();
            if found.len() == 2 && found[rank_dimension] == rank {
                continue;
            }
            let features = found.get(1 - rank_dimension).copied().unwrap_or(0);
            return Err(ModelError::Shape {
                path: self.path.clone(),
                tensor: format!("{PEFT_PREFIX}{module}.lora_{letter}.weight"),
                expected: if rank_dimension == 0 {
                    vec![rank, features]
                } else {
                    vec![features, rank]
                },
                found,
            });
        }
        Ok(())
    }

    /// Fails if the file's copy of a base weight differs from the model's own, because loading an
    /// adapter does not replace weights.
    fn check_base_weight(
        &self,
        name: &str,
        copy: &Tensor,
        own: Option<&Tensor>,
    ) -> Result<(), ModelError> {
        /// Both may have been rounded to bfloat16, which keeps eight significant bits.
        const RELATIVE_TOLERANCE: f64 = 1.0 / 256.0;
        let Some(own) = own else {
            return Err(self.unsupported(format!("tensor {name}"), "present"));
        };
        let own = own.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
        let is_same =
            own.size() == copy.size() && own.f_allclose(copy, RELATIVE_TOLERANCE, 1e-30, false)?;
        if is_same {
            return Ok(());
        }
        let field = format!("tensor {name}");
        Err(self.unsupported(field, "another weight than the model's own"))
    }

    /// Fails if the file lacks an update of a module that the configuration selects.
    fn check_complete(&self, weights: &BTreeMap<String, LoraWeights>) -> Result<(), ModelError> {
        if weights.is_empty() {
            return Err(self.unsupported("the file".to_owned(), "without any update"));
        }
        // The matcher does not know the narrowing fields, so the file itself has to tell.
        if self.config.is_narrowed {
            return Ok(());
        }
        for module in self.modules.keys() {
            if self.matcher.selects(module)? && !weights.contains_key(*module) {
                return Err(ModelError::MissingTensor {
                    path: self.path.clone(),
                    tensor: format!("{PEFT_PREFIX}{module}.lora_A.weight"),
                });
            }
        }
        Ok(())
    }

    /// A [`LoraConfig`] that describes the same updates without the fields that only PEFT has: the
    /// modules, and the ranks and alphas that differ, are listed by name.
    fn equivalent_config(
        &self,
        all: &BTreeMap<String, LoraWeights>,
    ) -> Result<LoraConfig, ModelError> {
        let mut lora = self.config.lora.clone();
        if !self.config.is_narrowed && self.config.target_parameters.is_empty() {
            return Ok(lora);
        }
        lora.targets = Targets::Names(all.keys().cloned().collect());
        for (module, weights) in all {
            let rank = weights.rank();
            let pattern = || fancy_regex::escape(&pattern_name(module)).into_owned();
            if self.matcher.rank(module)? != rank {
                lora.rank_pattern.insert(pattern(), rank);
            }
            if !is_close(self.matcher.scaling(module, rank)?, weights.scaling) {
                let alpha = weights.scaling / lora.scaling(rank, 1.0);
                lora.alpha_pattern.insert(pattern(), alpha);
            }
        }
        Ok(lora)
    }

    fn unsupported(&self, field: String, found: &str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.clone(),
            field,
            found: found.to_owned(),
            supported: "the matrices A and B of linear modules, as F32, F16 or BF16",
        }
    }
}

/// Whether two scalings are equal but for the rounding between alpha and scaling.
fn is_close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-12 * other.abs()
}
